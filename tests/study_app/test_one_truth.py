"""The owner's page, the status and the report say the same of the same votes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis.ballots import read_votes
from analysis.raters import study_conduct
from glide_eval.cli import main
from study_app.making import create_from_design
from study_app.owner import status_text, votes_frame, write_votes
from study_app.rating import Study
from study_app.rules import ExcludeTable, GoldTable, QuestionTable, RatersTable, StudyDesign
from study_app.rules.design import RepeatsTable
from study_app.views.owner_live import conduct_tables

# 12 raters, of whom 3 are excluded: 720 votes, 450 of which count
CASE = Path(__file__).parents[1] / "analysis" / "data" / "three_excluded.csv"


def share(value: float) -> str:
    return f"{value:.0%}"


def test_the_owners_page_leaves_out_excluded_raters():
    votes = pd.read_csv(CASE, keep_default_na=False)
    sides, _, _, attention = conduct_tables(study_conduct(read_votes(votes)))
    assert sides.rows[0][1] == "48%", "216 of 450; of all twelve raters it would be 59%"
    assert sides.rows[0][3] == "450"
    assert [(row[0], row[1], row[3]) for row in attention.rows] == [
        ("Photorealism: repeated pairs answered alike", "53%", "90"),
        ("Photorealism: gold pairs answered rightly", "91%", "90"),
    ]


@pytest.fixture
def careless_study(run, sqlite_url):
    """Six raters with gold and repeated pairs, two of whom choose left whatever they see."""
    design = StudyDesign(
        questions=[QuestionTable(key="photorealism")],
        raters=RatersTable(pairs=12),
        gold=GoldTable(per_rater=2),
        repeats=RepeatsTable(per_rater=3),
        exclude=ExcludeTable(one_side_above=0.9),
    )
    create_from_design(design, sqlite_url, run=run, password="x")
    study = Study.open(sqlite_url)
    for number in range(6):
        token, done = study.join(), 0
        while (turn := study.turn(token)).current is not None:
            answer = "left" if number < 2 else ("right", "left", "tie", "right")[done % 4]
            study.vote(token, turn.current.assignment, answer, 1.0 + number / 10)
            done += 1
    yield study
    study.close()


def test_page_status_and_report_print_the_same_numbers(careless_study, run):
    write_votes(careless_study, run.votes_path)
    run.metrics_path.unlink()  # fewer figures to draw
    with pytest.raises(SystemExit) as stopped:
        main(["report", str(run.root)])
    assert not stopped.value.code
    report = pd.read_csv(run.root / "report" / "tables" / "conduct.csv").set_index("measure")
    told = status_text(careless_study)
    sides, times, _, attention = conduct_tables(
        study_conduct(read_votes(votes_frame(careless_study)))
    )
    assert report.loc["raters", "value"] == 4, "two of six are excluded"

    ((_, left, interval, votes),) = sides.rows
    row = report.loc["side_bias"]
    assert (left, votes) == (share(row["value"]), f"{row['n']:.0f}")
    assert interval == f"{share(row['low'])} to {share(row['high'])}"
    assert f"({share(row['value'])}; {interval})" in told

    shown = {name.split(": ")[1]: rest for name, *rest in attention.rows}
    for measure, name in (("gold_accuracy", "gold pairs answered rightly"),
                          ("repeat_consistency", "repeated pairs answered alike")):  # fmt: skip
        row = report.loc[measure]
        interval = f"{share(row['low'])} to {share(row['high'])}"
        assert shown[name] == [share(row["value"]), interval, f"{row['n']:.0f}"]
        assert f"({share(row['value'])}; {interval})" in told
    ((_, *seconds),) = times.rows
    expected = report.loc[["seconds_p10", "seconds_p50", "seconds_p90"], "value"]
    assert seconds == [f"{value:.1f}" for value in expected]
