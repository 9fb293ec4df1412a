"""`glide-eval plan` from the command line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from glide_eval.cli import cli, main
from tests.analysis.simulated import ballot_frame, draw_ballot

QUICK = ["plan", "--difference", "150", "--studies", "10"]


def run(*arguments: str) -> str:
    result = CliRunner().invoke(cli, [*QUICK, *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_plan_is_a_curve_and_a_sentence():
    output = run("--arms", "3", "--prompts", "40", "--power", "0.9")
    assert "votes  raters   power" in output
    assert output.count("█\n") >= 4  # a bar a number of votes
    words = " ".join(output.split())
    assert "To find a difference of 150 Elo points between two of 3 arms in 90% of studies" in words
    assert "raters of 30 votes, with 40 prompts" in words


def test_a_pilot_and_options_say_how_much_votes_vary(tmp_path):
    ballot = draw_ballot(np.zeros(2), 20, 20, np.random.default_rng(0))
    pilot = tmp_path / "pilot.csv"
    ballot_frame(ballot).to_csv(pilot, index=False)
    output = run("--pilot", str(pilot), "--ties", "0.25", "--prompts", "0")
    assert "Pilot: 400 votes on photorealism by 20 raters (people)." in output
    assert "only roughly" not in output
    words = " ".join(output.split())
    assert "25% of votes are ties" in words
    assert "a new prompt with each vote" in words


def test_a_small_pilot_comes_with_a_warning(tmp_path):
    pilot = tmp_path / "pilot.csv"
    ballot_frame(draw_ballot(np.zeros(2), 5, 20, np.random.default_rng(0))).to_csv(pilot)
    words = " ".join(run("--pilot", str(pilot)).split())
    assert "So few raters show only roughly how much raters differ" in words


@pytest.mark.parametrize("form", ["csv", "svg", "png", "pdf"])
def test_the_curve_is_written_where_asked(tmp_path, form):
    out = tmp_path / "new" / f"plan.{form}"
    assert f"Curve: {out}" in run("--out", str(out))
    start = {"csv": b"votes,raters,power", "svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF"}[form]
    assert out.read_bytes().startswith(start)
    if form == "csv":
        assert pd.read_csv(out)["fitted"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--difference", "-3"], "difference: expected between 0 and 2000"),
        (["--out", "plan.xlsx"], "expected a name ending in .csv"),
        (["--pilot", "nowhere.csv"], "nowhere.csv: no such file"),
        (["--out", "plan.csv/plan.csv"], "the folder plan.csv can't be made"),
    ],
)
def test_plans_that_make_no_sense_are_one_paragraph(
    arguments, words, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.csv").touch()
    with pytest.raises(SystemExit) as stopped:
        main(["plan", "--studies", "10", *arguments])
    assert stopped.value.code in (1, 2)
    assert words in " ".join(capsys.readouterr().err.split())
