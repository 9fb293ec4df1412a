from __future__ import annotations

import csv

import pytest

from glide_eval.cli import demo
from glide_eval.run_store import RunFolder

from .sweeps import glide_eval, write_sweep


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """The demo on the fake source, with what comes after the sweep replaced by notes."""
    made: list[str] = []

    def simulate(run, raters, votes, seed):
        made.append(f"simulate {raters} {votes} {seed}")
        with run.votes_path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["answer", "rater_kind"])
            rows.writerows([["left", "simulated"]] * votes)

    monkeypatch.setattr(demo, "CONFIG", write_sweep(tmp_path))
    monkeypatch.setattr(demo, "_measure", lambda run: made.append("measure"))
    monkeypatch.setattr(demo, "_create_and_simulate", simulate)
    monkeypatch.setattr(demo, "_report", lambda run: made.append("report"))
    monkeypatch.chdir(tmp_path)
    return made


def test_the_demo_takes_its_steps_in_order_and_says_where_the_result_is(calls, capsys):
    status, output, error = glide_eval(capsys, "demo", "--votes", "50", "--raters", "5")
    assert (status, error) == (0, "")
    assert calls == ["measure", "simulate 5 50 0", "report"]
    assert len(RunFolder.open("runs/demo").samples()) == 18
    for part in ("[1/4] Sweep", "[2/4] Metrics", "[3/4] Study", "[4/4] Report", "SIMULATED"):
        assert part in output
    assert "runs/demo/report/index.html" in output
    assert "glide-eval study serve runs/demo" in output


def test_the_demo_run_again_makes_no_image_and_no_vote_twice(calls, capsys):
    glide_eval(capsys, "demo", "--votes", "50")
    calls.clear()
    status, output, _ = glide_eval(capsys, "demo", "--votes", "50")
    assert status == 0
    assert calls == ["measure", "report"]
    assert "all are there" in output
    assert "holds 50 simulated votes already" in output


def test_peoples_votes_do_not_count_as_simulated(tmp_path):
    run = RunFolder(tmp_path)
    assert demo.count_votes(run) == 0
    run.votes_path.write_text("answer,rater_kind\nleft,person\ntie,simulated\n")
    assert demo.count_votes(run) == 1
