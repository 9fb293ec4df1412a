"""Crowd-BT finds who guesses and leaves honest studies alone."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.ballots import Ballot, win_matrix
from analysis.errors import AnalysisError
from analysis.scores import crowd_bt, fit_elo
from tests.analysis.simulated import draw_ballot

SCORES = np.array([-250.0, -50, 50, 250])


def spoiled(seed: int) -> Ballot:
    """Thirty raters; the first six guess, the next two answer the opposite."""
    rng = np.random.default_rng(seed)
    ballot = draw_ballot(SCORES, 30, 60, rng)
    won = np.where(ballot.rater < 6, rng.integers(0, 2, ballot.votes), ballot.left_wins)
    won = np.where((ballot.rater >= 6) & (ballot.rater < 8), 1 - won, won)
    return Ballot("q", "person", ballot.arms, ballot.left, ballot.right, won, ballot.rater)


def test_guessers_and_contrarians_are_found_and_scores_recovered():
    fit = crowd_bt(spoiled(0))
    assert (fit.quality[8:] > 0.8).all()
    assert fit.quality[:6].max() < fit.quality[8:].min()
    assert fit.quality[6:8].max() < 0.4
    elo, plain = fit.table["elo"].to_numpy(), fit.table["plain_elo"].to_numpy()
    assert np.abs(elo - SCORES).max() < 45
    assert np.abs(plain - SCORES).max() > 90


def test_faithful_raters_change_little():
    ballot = draw_ballot(SCORES, 30, 60, np.random.default_rng(1))
    fit = crowd_bt(ballot)
    assert fit.table["change"].abs().max() < 40
    expected = fit_elo(win_matrix(ballot), ballot.arms, prior=1.0).scores
    np.testing.assert_allclose(fit.table["plain_elo"], expected)


def test_ties_alone_leave_arms_equal():
    zeros = np.zeros(6, np.int64)
    ballot = Ballot("q", "person", ("a", "b"), zeros, zeros + 1, np.full(6, 0.5), np.arange(6))
    np.testing.assert_allclose(crowd_bt(ballot).table["elo"], 0, atol=1e-6)


def test_no_votes_are_refused():
    empty = Ballot("q", "person", ("a", "b"), *[np.zeros(0, np.int64)] * 2, np.zeros(0),
                   np.zeros(0, np.int64))  # fmt: skip
    with pytest.raises(AnalysisError, match="needs votes"):
        crowd_bt(empty)
