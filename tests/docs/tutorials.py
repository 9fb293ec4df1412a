"""A tutorial as a script: the files it has the reader write, the commands, and what they print."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
ANYTHING = "…"  # stands for any text in what a command is said to print


@dataclass(frozen=True)
class Block:
    """A fenced block of a tutorial.

    Attributes:
        kind: `file` to write, `commands` to type, or the `output` of the commands before it.
        text: of the block.
        name: of a file.
    """

    kind: Literal["file", "commands", "output"]
    text: str
    name: str = ""


def blocks(page: Path) -> list[Block]:
    """The blocks of a page in their order.

    Raises:
        ValueError: a block is neither a named file nor commands nor output.
    """
    found = []
    for language, name, text in FENCE.findall(page.read_text("utf-8")):
        if name:
            found.append(Block("file", text, name))
        elif language in ("sh", "text"):
            found.append(Block("commands" if language == "sh" else "output", text))
        else:
            raise ValueError(f"{page.name}: {language} is no file, no commands and no output")
    return found


def prints(shown: str, printed: str) -> bool:
    """Whether a command printed what a page shows.

    Numbers, durations, digests and spaces may differ, as values depend on the machine and on the
    bundled weights; `…` stands for any text.
    """
    parts = [re.escape(_plain(part)) for part in shown.split(ANYTHING)]
    return re.search(".*?".join(parts), _plain(printed), re.DOTALL) is not None


def _plain(text: str) -> str:
    text = re.sub(r"\b[0-9a-f]{12,}\b", "#", text)
    text = re.sub(r"[-−]?\d[\d.,]*", "#", text)
    text = re.sub(r"# (h|min|s)( # (h|min|s))*", "# s", text)
    return re.sub(r"\s+", " ", text).strip()
