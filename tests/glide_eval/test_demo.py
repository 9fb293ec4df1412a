from __future__ import annotations

import pytest

from glide_eval.cli import COMMANDS, demo
from glide_eval.errors import StorageError
from glide_eval.files import RunFolder
from tests.glide_eval.sweeps import glide_eval, write_sweep


@pytest.fixture
def typed(tmp_path, monkeypatch):
    """The demo on the fake source; commands after the sweep are written down, not run."""
    commands: list[str] = []
    run_command = demo._run_command

    def run_or_note(arguments):
        commands.append(" ".join(arguments))
        if arguments[0] == "sweep":
            run_command(arguments)
        elif arguments[:2] == ["study", "create"]:
            RunFolder(tmp_path / arguments[2]).study_path.touch()

    monkeypatch.setattr(demo, "CONFIG", write_sweep(tmp_path))
    monkeypatch.setattr(demo, "_run_command", run_or_note)
    monkeypatch.chdir(tmp_path)
    return commands


def test_the_demo_runs_the_whole_experiment_and_says_where_the_result_is(typed, capsys):
    status, output, error = glide_eval(capsys, "demo", "--votes", "50", "--raters", "5")
    assert (status, error) == (0, "")
    assert typed[1:] == [
        "metrics runs/demo",
        "study create runs/demo --pairs=500",
        "study simulate runs/demo --raters=5 --votes=50 --seed=0",
        "study export runs/demo",
        "report runs/demo",
    ]
    assert {command.split()[0] for command in typed} <= COMMANDS.keys()
    assert len(RunFolder.open("runs/demo").samples()) == 18
    for part in ("[1/4] Sweep", "[2/4] Metrics", "[3/4] Study", "[4/4] Report", "SIMULATED"):
        assert part in output
    assert "$ glide-eval metrics runs/demo\n" in output
    assert "runs/demo/report/index.html" in output
    assert "glide-eval study serve runs/demo" in output


def test_the_demo_run_again_makes_no_image_and_no_study_twice(typed, capsys):
    glide_eval(capsys, "demo")
    typed.clear()
    status, output, _ = glide_eval(capsys, "demo")
    assert status == 0
    assert "all are there" in output
    assert "study create runs/demo --pairs=500" not in typed


def test_the_demo_stops_at_the_first_command_that_fails(typed, capsys, monkeypatch):
    def fail(arguments):
        typed.append(arguments[0])
        raise StorageError("The disk is full.")

    monkeypatch.setattr(demo, "_run_command", fail)
    status, _, error = glide_eval(capsys, "demo")
    assert (status, error) == (1, "glide-eval: The disk is full.\n")
    assert typed == ["sweep"]
