"""The documentation is true: commands exist, links resolve, the Python shown runs."""

from __future__ import annotations

import re
import shlex
import textwrap
from pathlib import Path

import click
import pandas as pd
import pytest

from glide_eval.cli import COMMANDS, cli

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "generator/weights/README.md",
    *sorted(ROOT.glob("docs/**/*.md")),
]


def command_named(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command these words call, and the words left over."""
    group: click.Command = cli
    context = click.Context(cli)
    while isinstance(group, click.Group) and words and not words[0].startswith("-"):
        found = group.get_command(context, words[0])
        assert found is not None, f"no such command: {' '.join(words)}"
        group, words = found, words[1:]
    return group, words


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_commands_shown_exist_with_the_options_shown(page):
    shown = re.findall(r"^\s*(?:\$ )?glide-eval (.+?)(?:\s{2,}#.*)?$|`glide-eval ([^`]+)`",
                       page.read_text("utf-8"), re.MULTILINE)  # fmt: skip
    for block, inline in shown:
        text = (block or inline).split(" #")[0].rstrip("\\").strip()
        if "|" in text or "…" in text.split()[0] or "<" in text:
            continue
        command, rest = command_named(
            shlex.split(text.replace("…", "X").replace("[", "").replace("]", ""))
        )
        known = {option for p in command.params for option in p.opts}
        for word in rest:
            if word.startswith("--"):
                assert word.split("=")[0] in known | {"--help"}, f"{page.name}: {text}"


def test_every_command_has_help_and_stands_in_the_readme():
    readme = (ROOT / "README.md").read_text("utf-8")
    for name in COMMANDS:
        command, _ = command_named([name])
        assert command.help
        assert name in readme
        for sub in getattr(command, "commands", {}).values():
            assert sub.help


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_to_files_resolve(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_python_in_the_readme_runs(tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    votes = tmp_path / "runs/demo/votes.csv"
    votes.parent.mkdir(parents=True)
    rows = [
        {
            "study": "s", "question": "photorealism", "prompt_id": f"p{i % 5}", "replica": 0,
            "arm_left": "unguided", "arm_right": "cfg-3", "answer": "right" if i % 3 else "left",
            "rater": f"r{i % 4}", "rater_kind": "person", "seconds": 2.0,
            "created_at": "2026-01-01T00:00:00+00:00", "assignment": f"a{i}",
        }
        for i in range(40)
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(votes, index=False)
    monkeypatch.chdir(tmp_path)
    exec(compile(textwrap.dedent(code), "README.md", "exec"), {})
    assert "cfg-3" in capsys.readouterr().out
