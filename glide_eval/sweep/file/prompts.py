"""Prompts: captions with stable ids, from a sweep file's `[prompts]`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container
from pathlib import Path

import numpy as np

from glide_eval.errors import ConfigError
from glide_eval.files import Prompt, read_lines, read_table

from .sweep_file import SweepFile, TabletopPromptsTable

ID_PATTERN = re.compile(r"[A-Za-z0-9_.]{1,60}")
PROMPT_STREAM = 0x70726F6D707473  # keeps these draws apart from training's, whatever their seeds


def load_prompts(sweep: SweepFile) -> list[Prompt]:
    """Return the prompts of a sweep, in order.

    Ids come from the file's `id` column, otherwise they count: `p0000`, `p0001`, …

    Raises:
        ConfigError: the file is missing or damaged, a caption is empty, an id odd or repeated.
    """
    table = sweep.config.prompts
    if table.file is not None:
        return read_prompts(sweep.resolve(table.file))
    if table.tabletop is not None:
        captions = tabletop_captions(table.tabletop)
    else:
        captions = table.captions or []
    return _checked(_numbered(captions), str(sweep.path))


def read_prompts(path: Path) -> list[Prompt]:
    """Return the prompts of a `.txt`, `.csv` or `.jsonl` file.

    Raises:
        ConfigError: it is missing or damaged, a caption is empty, an id odd or repeated.
    """
    return _checked(_read(path), str(path))


def tabletop_captions(table: TabletopPromptsTable) -> list[str]:
    """Distinct captions of scenes drawn from the tabletop world.

    The numbers of objects take turns: caption i describes a scene of `objects[i % len(objects)]`
    objects. Where the captions of one number run out (there are 162 of one object), the next
    number has its turn. Caption i depends on (seed, i) and those before it, so a longer list
    begins with a shorter one's.

    Raises:
        ConfigError: the grammar has not that many distinct captions.
    """
    captions: dict[str, None] = {}
    numbers = list(table.objects)
    for index in range(table.count):
        rng = np.random.default_rng([table.seed, index, PROMPT_STREAM])
        while True:
            caption = _new_caption(table, numbers[index % len(numbers)], captions, rng)
            if caption is not None:
                break
            del numbers[index % len(numbers)]
            if not numbers:
                raise ConfigError(
                    f"`prompts.tabletop.count` is {table.count}, but the grammar ran out of new "
                    f"captions after {index}. Ask for fewer, or allow more objects; `run.replicas` "
                    "makes several images of each prompt."
                )
        captions[caption] = None
    return list(captions)


def _new_caption(
    table: TabletopPromptsTable, objects: int, known: Container[str], rng: np.random.Generator
) -> str | None:
    """Return a caption of so many objects that is not known yet; None where a thousand scenes had
    none.
    """
    from generator.tabletop.captions import describe
    from generator.tabletop.scenes import sample_scene

    for _ in range(1000):
        caption = describe(sample_scene(rng, objects, table.split), rng)
        if caption not in known:
            return caption
    return None


def _numbered(captions: list[str]) -> list[Prompt]:
    return [Prompt(f"p{number:04d}", caption.strip()) for number, caption in enumerate(captions)]


def _read(path: Path) -> list[Prompt]:
    if path.suffix == ".txt":
        return _numbered([line for line in read_lines(path) if line.strip()])
    if path.suffix not in (".csv", ".jsonl"):
        raise ConfigError(
            f"{path}: `prompts.file` is expected to end in .txt, .csv or .jsonl, "
            f"found {path.suffix or 'no ending'}."
        )
    rows = read_table(path, "caption")
    if not any("id" in row for row in rows):
        return _numbered([row["caption"] for row in rows])
    return [Prompt(row.get("id", "").strip(), row["caption"].strip()) for row in rows]


def _checked(prompts: list[Prompt], where: str) -> list[Prompt]:
    if not prompts:
        raise ConfigError(f"{where}: expected at least one caption, found none.")
    for number, prompt in enumerate(prompts, 1):
        if not prompt.caption:
            raise ConfigError(f"{where}: caption {number} is empty. Write one or remove it.")
        if not ID_PATTERN.fullmatch(prompt.id):
            raise ConfigError(
                f"{where}: prompt {number} has the id {prompt.id!r}, expected letters, digits, "
                "`_` and `.`, at most 60. Ids become file names."
            )
    repeated = [key for key, n in Counter(p.id.lower() for p in prompts).items() if n > 1]
    if repeated:
        raise ConfigError(
            f"{where}: the prompt id {repeated[0]!r} stands for several captions. "
            "Ids name files, so each must differ, and not in capitals alone."
        )
    return prompts
