"""Study conduct: side bias, ties, times and agreement, by hand and against evalica's alpha."""

from __future__ import annotations

import evalica
import numpy as np
import pandas as pd
import pytest

from analysis.ballots import read_votes
from analysis.raters import study_conduct
from tests.analysis.simulated import ballot_frame, draw_ballot, votes_of


def conduct(frame: pd.DataFrame) -> pd.DataFrame:
    return study_conduct(read_votes(frame)).set_index("measure")


def test_counts_ties_sides_and_times_by_hand():
    rows = [("a", "b", "left"), ("b", "a", "left"), ("a", "b", "right"), ("a", "b", "tie")]
    table = conduct(votes_of(rows, rater=["x", "x", "y", "y"], seconds=[1.0, 2, 3, np.nan]))
    assert table.loc["votes", "value"] == 4
    assert table.loc["raters", "value"] == 2
    assert table.loc["votes_per_rater", "value"] == 2
    assert table.loc["tie_share", "value"] == 0.25
    assert table.loc["side_bias", "value"] == pytest.approx(2 / 3)  # the tie says nothing of sides
    assert table.loc["side_bias", "n"] == 3
    assert table.loc["seconds_p50", "value"] == 2
    assert table.loc["seconds_p50", "n"] == 3


def test_agreement_is_about_arms_not_sides():
    # Both raters prefer a, once on the left and once on the right.
    rows = [("a", "b", "left"), ("b", "a", "right"), ("a", "b", "right"), ("a", "b", "left")]
    table = conduct(votes_of(rows, prompt_id=["p", "p", "q", "q"]))
    assert table.loc["raw_agreement", "value"] == 0.5
    assert table.loc["raw_agreement", "n"] == 2


def test_alpha_equals_evalicas():
    rng = np.random.default_rng(0)
    units, raters = 40, 6
    answers = rng.choice(["left", "right", "tie"], (units, raters), p=[0.6, 0.3, 0.1])
    seen = rng.random((units, raters)) < 0.6
    rows = [
        ("a", "b", answers[u, r], f"p{u}", f"r{r}")
        for u in range(units)
        for r in range(raters)
        if seen[u, r]
    ]
    columns = ["arm_left", "arm_right", "answer", "prompt_id", "rater"]
    table = conduct(pd.DataFrame(rows, columns=columns).assign(question="q"))
    codes = pd.DataFrame(answers).replace({"left": "0", "right": "1", "tie": "2"}).astype(float)
    theirs = evalica.alpha(codes.where(seen).T, distance="nominal")
    assert table.loc["krippendorff_alpha", "value"] == pytest.approx(theirs.alpha, abs=1e-12)


def test_a_rater_who_repeats_a_pair_does_not_agree_with_themselves():
    rows = [("a", "b", "left"), ("a", "b", "left")]
    table = conduct(votes_of(rows, rater="x", prompt_id="p"))
    assert np.isnan(table.loc["raw_agreement", "value"])
    assert table.loc["raw_agreement", "reason"] == "no pair was answered by two raters"


def test_unanimous_answers_have_agreement_but_no_alpha():
    table = conduct(votes_of([("a", "b", "left")] * 3, prompt_id="p"))
    assert table.loc["raw_agreement", "value"] == 1
    assert np.isnan(table.loc["krippendorff_alpha", "value"])
    assert "chance" in table.loc["krippendorff_alpha", "reason"]


def test_a_study_of_ties_has_no_side_bias_and_says_why():
    table = conduct(votes_of([("a", "b", "tie")] * 2))
    assert np.isnan(table.loc["side_bias", "value"])
    assert table.loc["side_bias", "reason"] == "every vote is a tie"
    assert table.loc["seconds_p50", "reason"] == "votes carry no response times"


def test_side_bias_interval_finds_raters_who_click_left():
    rng = np.random.default_rng(0)
    frame = ballot_frame(draw_ballot(np.zeros(3), 30, 30, rng))
    clicks = rng.random(len(frame)) < 0.2
    frame.loc[clicks, "answer"] = "left"
    row = conduct(frame).loc["side_bias"]
    assert 0.5 < row["low"] < row["value"] < row["high"] < 0.75


def test_no_votes_give_an_empty_table():
    assert study_conduct(read_votes(votes_of([]), ["a", "b"])).empty


def test_a_study_without_votes_has_no_side_bias_to_tell():
    table = conduct(votes_of([("a", "b", "left")], excluded="rule"))
    assert table.loc["side_bias", "reason"] == "no votes"
