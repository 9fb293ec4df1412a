"""The tutorials work: a reader who types what they say sees what they show."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from glide_eval.cli import main

from .tutorials import Block, blocks, prints

TUTORIALS = sorted((Path(__file__).parents[2] / "docs/tutorials").glob("*.md"))
SERVES = ("study", "serve")  # until Ctrl-C; tests/study_app serves studies


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
@pytest.mark.slow
def test_the_commands_of_a_tutorial_print_what_the_page_shows(page, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    serving, printed = False, ""
    for block in blocks(page):
        if block.kind == "file":
            Path(block.name).write_text(block.text, "utf-8")
        elif block.kind == "commands":
            serving, printed = run(block, capfd)
        elif not serving:
            assert prints(block.text, printed), f"{block.text}\nis shown, printed was\n{printed}"


def run(block: Block, capfd: pytest.CaptureFixture[str]) -> tuple[bool, str]:
    """Run a block's commands; whether one of them serves a study, and what the others printed."""
    commands = [shlex.split(line, comments=True) for line in block.text.splitlines()]
    serving = False
    capfd.readouterr()
    for program, *arguments in commands:
        assert program == "glide-eval"
        if tuple(arguments[:2]) == SERVES:
            serving = True
            continue
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0, (arguments, capfd.readouterr().err)
    return serving, capfd.readouterr().out


def test_output_may_differ_from_a_page_in_numbers_alone():
    shown = "18 images of 3 arms.\n…\nUnguided  154 [39, 268]\nof 2,000 scenes (3a78c2d177d4)."
    same = "8 images of 3 arms.\nnotes\nUnguided   9.5 [-3, 20]\nof 500 scenes (0123456789ab)."
    assert prints(shown, same)
    assert not prints(shown, same.replace("Unguided", "Guided"))
    assert not prints(shown, same.replace("[-3, 20]", "undefined"))
