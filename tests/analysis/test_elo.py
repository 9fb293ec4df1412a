"""Elo scores: by hand, against the paper's tables and other libraries, and where none exist."""

from __future__ import annotations

import choix
import evalica
import numpy as np
import pytest

from analysis.ballots import ballots, read_votes, win_matrix
from analysis.errors import AnalysisError
from analysis.scores import ELO_PER_NAT, fit_elo, win_probability
from analysis.scores.elo import fit_batch
from tests.analysis.simulated import ballot_frame, draw_ballot, votes_of


def fit_rows(rows, arms=None):
    (ballot,) = ballots(read_votes(votes_of(rows), arms))
    return fit_elo(win_matrix(ballot), ballot.arms)


def test_three_wins_to_one_are_400_log10_3_apart_and_the_winner_is_first():
    fit = fit_rows([("a", "b", "left")] * 2 + [("b", "a", "right")] + [("a", "b", "right")])
    apart = 400 * np.log10(3)
    np.testing.assert_allclose(fit.scores, [apart / 2, -apart / 2], atol=1e-9)
    np.testing.assert_allclose(fit.win_probabilities(), [[0.5, 0.75], [0.25, 0.5]])


def test_a_tie_is_half_a_win_for_each():
    fit = fit_rows([("a", "b", "left"), ("a", "b", "tie")])
    np.testing.assert_array_equal(fit.wins, [[0, 1.5], [0.5, 0]])
    np.testing.assert_allclose(fit.scores[0] - fit.scores[1], 400 * np.log10(3))


def test_only_ties_leave_everybody_equal():
    fit = fit_rows([("a", "b", "tie"), ("b", "c", "tie")])
    np.testing.assert_allclose(fit.scores, 0, atol=1e-9)


@pytest.mark.parametrize(
    "published",
    [
        [-88.6, -73.2, 82.7],  # Table 1, photorealism: unguided, CLIP 2.0, classifier-free 3.0
        [-106.2, 29.3, 110.9],  # Table 1, caption similarity
        [-131.8, 28.2, -23.9, 133.0],  # Table 4, photorealism: 300M s = 1, 4; 3.5B s = 1, 3
    ],
)
def test_votes_as_the_papers_scores_predict_give_the_papers_scores_back(published):
    published = np.array(published)
    wins = 1000 * win_probability(published[:, None] - published[None, :])
    np.fill_diagonal(wins, 0)
    np.testing.assert_allclose(fit_elo(wins).scores, published - published.mean(), atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_evalica_and_choix_on_random_votes(seed):
    rng = np.random.default_rng(seed)
    ballot = draw_ballot(rng.normal(0, 150, 7), raters=30, votes_each=20, rng=rng)
    ours = fit_elo(win_matrix(ballot), ballot.arms).scores

    winners = [evalica.Winner.X if w else evalica.Winner.Y for w in ballot.left_wins]
    theirs = evalica.bradley_terry(
        ballot.left.tolist(), ballot.right.tolist(), winners, tolerance=1e-13, limit=100_000
    ).scores.sort_index()
    logs = np.log(theirs.to_numpy())
    np.testing.assert_allclose(ours, (logs - logs.mean()) * ELO_PER_NAT, atol=1e-4)

    pairs = np.where(ballot.left_wins == 1, [ballot.left, ballot.right],
                     [ballot.right, ballot.left]).T  # fmt: skip
    params = choix.opt_pairwise(7, pairs, alpha=0, method="Newton-CG", tol=1e-10)
    np.testing.assert_allclose(ours, (params - params.mean()) * ELO_PER_NAT, atol=1e-4)


def test_the_gradient_of_the_papers_loss_is_zero_at_the_fit():
    wins = np.random.default_rng(3).integers(1, 30, (6, 6)).astype(float)
    np.fill_diagonal(wins, 0)
    sigma = fit_elo(wins).scores

    def loss(s):
        return -(wins * np.log(1 / (1 + 10 ** ((s[None, :] - s[:, None]) / 400)))).sum()

    slopes = [(loss(sigma + e) - loss(sigma - e)) / 2 for e in np.eye(6)]
    np.testing.assert_allclose(slopes, 0, atol=1e-6)
    assert abs(sigma.mean()) < 1e-9


def test_very_lopsided_votes_still_settle():
    wins = np.array([[0, 1e6, 1], [1, 0, 1e6], [1, 1, 0]], float)
    fit = fit_elo(wins)
    expected = fit.comparisons * fit.win_probabilities()
    np.testing.assert_allclose(wins.sum(1), expected.sum(1), rtol=1e-9)


def test_many_fits_at_once_equal_one_by_one():
    wins = np.random.default_rng(0).integers(1, 9, (20, 5, 5)).astype(float)
    wins[:, range(5), range(5)] = 0
    wins[7, 2] = 0  # arm 2 never wins in round 7
    scores = fit_batch(wins)
    assert np.isnan(scores[7]).all()
    for i in set(range(20)) - {7}:
        np.testing.assert_allclose(scores[i], fit_elo(wins[i]).scores, atol=1e-7)


def test_arms_that_only_won_or_only_lost_have_no_number():
    fit = fit_rows(
        [("a", "b", "left"), ("a", "b", "right"), ("top", "a", "left"), ("top", "b", "left"),
         ("b", "flop", "left")],
        ["a", "b", "top", "flop"],
    )  # fmt: skip
    np.testing.assert_allclose(fit.scores, [0, 0, np.inf, -np.inf], atol=1e-9)
    assert "won all of its 2 comparisons" in fit.reasons[2]
    assert "lost its only comparison" in fit.reasons[3]
    assert fit.reasons[:2] == ("", "")
    gaps = fit.differences()
    assert gaps[2, 0] == np.inf
    assert gaps[0, 2] == -np.inf
    assert gaps[2, 3] == np.inf  # never met, but top > b > flop
    assert fit.win_probabilities()[2, 0] == 1


def test_an_unbeaten_arm_does_not_move_the_others_differences():
    rows = [("a", "b", "left")] * 3 + [("a", "b", "right")]
    alone = fit_rows(rows)
    beside = fit_rows([*rows, *[("top", "b", "left")] * 5])
    np.testing.assert_allclose(beside.scores[:2], alone.scores, atol=1e-9)


def test_a_strict_order_has_no_numbers_at_all():
    fit = fit_rows([("a", "b", "left"), ("b", "c", "left")])
    assert fit.scores[0] == np.inf
    assert np.isnan(fit.scores[1])
    assert fit.scores[2] == -np.inf
    assert "always lost to those above" in fit.reasons[1]
    assert fit.differences()[0, 2] == np.inf


def test_disconnected_arms_are_scored_apart_and_never_compared():
    fit = fit_rows(
        [("a", "b", "left")] * 3 + [("a", "b", "right")] + [("c", "d", "left"), ("c", "d", "right")]
    )
    np.testing.assert_allclose(fit.scores[:2].sum(), 0, atol=1e-9)
    np.testing.assert_allclose(fit.scores[2:], 0, atol=1e-9)
    assert np.isnan(fit.differences()[0, 2])
    assert np.isnan(fit.win_probabilities()[3, 1])
    assert fit.notes == (
        "No chain of wins links a, b with c, d: scored apart, their scores can't be compared.",
    )


def test_a_group_that_never_lost_to_another_is_scored_apart():
    pairs = [("a", "b"), ("b", "a"), ("c", "d"), ("d", "c"), ("a", "c")]
    fit = fit_rows([(left, right, "left") for left, right in pairs])
    assert np.isfinite(fit.scores).all()
    assert fit.differences()[0, 3] == np.inf
    assert "a, b never lost, directly or through others, to c, d" in fit.notes[0]


def test_an_arm_without_votes_has_no_score():
    fit = fit_rows([("a", "b", "left"), ("a", "b", "right")], ["a", "b", "new"])
    assert np.isnan(fit.scores[2])
    assert fit.reasons[2] == "no votes"


def test_no_votes_at_all_leave_every_arm_without_a_score():
    fit = fit_elo(np.zeros((3, 3)))
    assert np.isnan(fit.scores).all()
    assert set(fit.reasons) == {"no votes"}


def test_swapping_sides_of_every_vote_changes_nothing():
    rng = np.random.default_rng(1)
    frame = ballot_frame(draw_ballot(np.array([0, 50, 100.0]), 10, 20, rng))
    mirrored = frame.assign(
        arm_left=frame["arm_right"],
        arm_right=frame["arm_left"],
        answer=frame["answer"].map({"left": "right", "right": "left", "tie": "tie"}),
    )
    fits = [
        fit_elo(win_matrix(ballots(read_votes(votes))[0])).scores for votes in (frame, mirrored)
    ]
    np.testing.assert_array_equal(*fits)


@pytest.mark.parametrize(
    "wins", [np.ones((2, 2)), [[0, -1], [1, 0]], [[0, np.nan], [1, 0]], np.zeros((2, 3))]
)
def test_counts_that_are_no_counts_are_refused(wins):
    with pytest.raises(AnalysisError, match="Expected"):
        fit_elo(np.asarray(wins))
