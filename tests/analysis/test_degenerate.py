"""Every estimator gives a plain answer or a clear error on votes that hold little or nothing."""

from __future__ import annotations

import contextlib

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis import (
    AnalysisError,
    Ballot,
    agreement,
    ballots,
    bootstrap,
    compare_arms,
    crowd_bt,
    elo_table,
    fit_elo,
    fit_outcomes,
    gold_accuracy,
    pair_gains,
    rater_screens,
    read_votes,
    repeat_consistency,
    sandwich,
    scale_curves,
    sensitivity,
    stop,
    study_conduct,
    win_matrix,
    win_table,
)
from tests.analysis.simulated import votes_of

ARMS = ["a", "b", "c"]
CYCLE = [("a", "b"), ("b", "c"), ("c", "a")]


def votes(kind: str) -> pd.DataFrame:
    """A study that lacks something."""
    rows = [(left, right, "left") for left, right in CYCLE * 8]
    several = {
        "rater": [f"r{i % 6}" for i in range(24)],
        "prompt_id": [f"p{i % 5}" for i in range(24)],
    }
    change = {
        "empty": lambda: votes_of([]),
        "one vote": lambda: votes_of(rows[:1]),
        "one rater": lambda: votes_of(rows, **{**several, "rater": "r"}),
        "one prompt": lambda: votes_of(rows, **{**several, "prompt_id": "p"}),
        "one arm pair": lambda: votes_of([("a", "b", "left"), ("a", "b", "right")] * 12, **several),
        "all ties": lambda: votes_of([(*pair, "tie") for pair in CYCLE * 8], **several),
        "all both bad": lambda: votes_of([(*pair, "both_bad") for pair in CYCLE * 8], **several),
        "one arm won everything": lambda: votes_of(
            [("a", "b", "left"), ("a", "c", "left"), ("b", "c", "left"), ("b", "c", "right")] * 6,
            **several,
        ),
        "two islands": lambda: votes_of([("a", "b", "left"), ("b", "a", "left")] * 12, **several),
        "every vote excluded": lambda: votes_of(rows, **several, excluded="rule"),
        "a rater a vote": lambda: votes_of(rows, prompt_id="p"),
    }  # fmt: skip
    return read_votes(change[kind](), ARMS)


KINDS = [
    "empty", "one vote", "one rater", "one prompt", "one arm pair", "all ties", "all both bad",
    "one arm won everything", "two islands", "every vote excluded", "a rater a vote",
]  # fmt: skip


def ballot_of(kind: str) -> Ballot:
    """Its ballot; one without votes where there are none."""
    none = np.zeros(0, np.int64)
    found = ballots(votes(kind))
    return found[0] if found else Ballot("q", "person", tuple(ARMS), none, none, np.zeros(0), none)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_and_intervals_are_numbers_or_have_a_reason(kind):
    ballot = ballot_of(kind)
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    assert all(np.isfinite(s) or r for s, r in zip(fit.scores, fit.reasons, strict=True))
    for intervals in (sandwich(fit, ballot), sandwich(fit, ballot, "rater"),
                      sandwich(fit, ballot, "vote"), bootstrap(fit, ballot, 50)):  # fmt: skip
        for i in range(3):
            for bounds in (intervals.score(i), intervals.difference(i, (i + 1) % 3)):
                assert (bounds.low < bounds.high) or bounds.reason
        table = elo_table(fit, intervals)
        assert len(table) == 3
        assert len(win_table(fit, intervals)) == 6


@pytest.mark.parametrize("kind", KINDS)
def test_a_weak_prior_gives_every_arm_a_number(kind):
    ballot = ballot_of(kind)
    fit = fit_elo(win_matrix(ballot), ballot.arms, prior=1)
    assert np.isfinite(fit.scores).all()
    assert np.isfinite(pair_gains(win_matrix(ballot), ballot.arms)["gain"]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_comparisons_curves_and_stopping_have_plain_answers(kind):
    ballot = ballot_of(kind)
    intervals = sandwich(fit_elo(win_matrix(ballot), ballot.arms), ballot)
    found = compare_arms(intervals, draws=100)
    assert len(found.table) == 3
    assert (found.table["low"].notna() | (found.table["reason"] != "")).all()
    assert not stop(ballot).stop
    arms = pd.DataFrame({"arm": ARMS, "strategy": "s", "scale": [1.0, 2, 4]})
    curves = scale_curves(intervals, arms, anchor="a", draws=50)
    assert (curves.table["low"].notna() | (curves.table["reason"] != "")).all()


@pytest.mark.parametrize("kind", KINDS)
def test_models_beyond_elo_fit_or_say_why_not(kind):
    ballot = ballot_of(kind)
    for fit in (lambda: fit_outcomes(ballot), lambda: fit_outcomes(ballot, "half", side=False),
                lambda: crowd_bt(ballot)):  # fmt: skip
        with contextlib.suppress(AnalysisError):  # a clear error is as good as a table
            assert len(fit().table) >= 3


@pytest.mark.parametrize("kind", KINDS)
def test_conduct_is_measured_or_has_a_reason(kind):
    frame = votes(kind)
    for measure in (*agreement(frame, 50), repeat_consistency(frame), gold_accuracy(frame)):
        assert np.isfinite(measure.value) or measure.reason
    table = study_conduct(frame)
    assert (table["value"].notna() | (table["reason"] != "")).all()
    assert len(rater_screens(frame)) == frame.loc[analysis.counted(frame), "rater"].nunique()
    assert sensitivity(frame, "photorealism").table["rule"].iloc[0] == "the study's own"
