"""Ties and sides fitted: by hand, against a general optimiser, and on biased raters."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from analysis.ballots import Ballot, ballots, read_votes, win_matrix
from analysis.errors import AnalysisError
from analysis.scores import ELO_PER_NAT, fit_elo, fit_outcomes, sandwich
from tests.analysis.simulated import draw_ballot, votes_of

SCORES = np.array([-120.0, -20.0, 30.0, 110.0])


def ballot_of(rows, **columns) -> Ballot:
    (ballot,) = ballots(read_votes(votes_of(rows, **columns)))
    return ballot


def test_davidson_with_two_arms_by_hand():
    # a beats b 4 times, loses 2, ties 2: odds of winning 2, ν = (2/8) / √(4/8 · 2/8) = 1/√2.
    rows = [("a", "b", "left")] * 4 + [("a", "b", "right")] * 2 + [("a", "b", "tie")] * 2
    fit = fit_outcomes(ballot_of(rows), side=False)
    assert fit.scores[0] - fit.scores[1] == pytest.approx(400 * np.log10(2))
    nu = 1 / np.sqrt(2)
    assert fit.tie_share == pytest.approx(nu / (2 + nu))
    assert list(fit.table["parameter"]) == ["a", "b", "tie share"]


def test_side_term_with_two_arms_by_hand():
    # On the left a wins 4 of 5, b wins 3 of 5: log-odds log 4 and log 3/2 are ±difference + side.
    rows = [("a", "b", "left")] * 4 + [("a", "b", "right")]
    rows += [("b", "a", "left")] * 3 + [("b", "a", "right")] * 2
    fit = fit_outcomes(ballot_of(rows))
    assert fit.scores[0] - fit.scores[1] == pytest.approx(200 * np.log10(4 / 1.5))
    assert fit.side == pytest.approx(200 * np.log10(4 * 1.5))
    assert list(fit.table["parameter"]) == ["a", "b", "left side"]  # no ties, no ν


def tied_ballot(seed: int, **draw) -> Ballot:
    rng = np.random.default_rng(seed)
    ballot = draw_ballot(SCORES, rng=rng, **draw)
    won = np.where(rng.random(ballot.votes) < 0.25, 0.5, ballot.left_wins)
    return Ballot("q", "person", ballot.arms, ballot.left, ballot.right, won, ballot.rater)


def test_half_ties_without_a_side_are_the_papers_objective_and_its_intervals():
    ballot = tied_ballot(0, raters=20, votes_each=40, taste=100)
    fit = fit_outcomes(ballot, ties="half", side=False)
    plain = fit_elo(win_matrix(ballot), ballot.arms)
    np.testing.assert_allclose(fit.scores, plain.scores, atol=1e-6)
    ours, theirs = fit.difference(0, 3), sandwich(plain, ballot).difference(0, 3)
    np.testing.assert_allclose([ours.low, ours.high], [theirs.low, theirs.high], atol=1e-4)


def test_the_fit_is_the_maximum_a_general_optimiser_finds():
    ballot = tied_ballot(1, raters=20, votes_each=30)
    fit = fit_outcomes(ballot)

    def loss(x):
        sigma, side, log_nu = np.r_[0, x[:3]], x[3], x[4]
        eta = sigma[ballot.left] - sigma[ballot.right] + side
        logs = np.array([eta / 2, -eta / 2, np.full_like(eta, log_nu)])
        outcome = np.select([ballot.left_wins == 1, ballot.left_wins == 0], [0, 1], 2)
        return (np.logaddexp.reduce(logs) - logs[outcome, np.arange(len(eta))]).sum()

    best = minimize(loss, np.zeros(5), method="BFGS", options={"gtol": 1e-7}).x
    np.testing.assert_allclose(np.diff(fit.scores, prepend=fit.scores[0])[1:].cumsum(),
                               best[:3] * ELO_PER_NAT, atol=1e-3)  # fmt: skip
    assert fit.side == pytest.approx(best[3] * ELO_PER_NAT, abs=1e-3)
    assert fit.log_ties == pytest.approx(best[4], abs=1e-5)


def biased(seed: int, side: float) -> Ballot:
    """Raters who favour the left by `side` Elo points, arm 0 shown there four times in five."""
    rng = np.random.default_rng(seed)
    N, K = 1200, 4
    left = rng.integers(0, K, N)
    right = (left + rng.integers(1, K, N)) % K
    turn = (right == 0) & (rng.random(N) < 0.6) | (left == 0) & (rng.random(N) < 0.1)
    left, right = np.where(turn, right, left), np.where(turn, left, right)
    p = 1 / (1 + 10 ** (-(SCORES[left] - SCORES[right] + side) / 400))
    won = (rng.random(N) < p).astype(float)
    return Ballot("q", "person", tuple("abcd"), left, right, won, np.repeat(np.arange(40), 30))


def test_unbalanced_sides_bias_the_plain_fit_and_not_the_one_with_a_side_term():
    plain, sided, held = [], [], []
    for seed in range(250):
        ballot = biased(seed, 120)
        fit = fit_outcomes(ballot)
        plain.append(fit_elo(win_matrix(ballot)).scores)
        sided.append(fit.scores)
        for value, bounds in [(SCORES[0] - SCORES[3], fit.difference(0, 3)),
                              (120, fit.side_interval())]:  # fmt: skip
            held.append(bounds.low <= value <= bounds.high)
    assert np.abs(np.mean(sided, axis=0) - SCORES).max() < 5
    assert np.abs(np.mean(plain, axis=0) - SCORES).max() > 25
    assert 0.92 <= np.mean(held) <= 0.975


def test_sides_that_never_changed_are_refused():
    rows = [("a", "b", "left"), ("a", "b", "right"), ("a", "b", "left")]
    with pytest.raises(AnalysisError, match="side can't be told from the arms"):
        fit_outcomes(ballot_of(rows))
    always = [("a", "b", "left"), ("b", "a", "left")] * 5
    with pytest.raises(AnalysisError, match="one side won every vote"):
        fit_outcomes(ballot_of(always))


def test_only_ties_have_no_davidson_fit_but_half_wins_are_equal():
    ballot = ballot_of([("a", "b", "tie"), ("b", "a", "tie")])
    with pytest.raises(AnalysisError, match="Every vote is a tie"):
        fit_outcomes(ballot)
    np.testing.assert_allclose(fit_outcomes(ballot, ties="half").scores, 0, atol=1e-9)


def test_arms_outside_the_largest_group_have_a_reason_instead_of_a_score():
    rows = [("a", "b", "left"), ("a", "b", "right"), ("b", "a", "left"), ("b", "a", "right")]
    rows += [("c", "a", "left")]
    fit = fit_outcomes(ballot_of(rows))
    assert np.isnan(fit.scores[2])
    assert "won its only comparison" in fit.score(2).reason
    assert "won its only comparison" in fit.difference(0, 2).reason


def test_nothing_linked_is_refused():
    with pytest.raises(AnalysisError, match="No two arms are linked"):
        fit_outcomes(ballot_of([("a", "b", "left")]))
