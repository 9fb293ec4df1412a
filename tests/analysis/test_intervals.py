"""Intervals hold their stated coverage when raters differ and prompts repeat."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.ballots import Ballot, cluster_wins, win_matrix
from analysis.scores import Interval, bootstrap, fit_elo, sandwich, win_probability
from analysis.scores.intervals import inverse_information, probability_interval
from tests.analysis.simulated import draw_ballot

SCORES = np.array([-120.0, -20.0, 30.0, 110.0])


def population_scores(spread: float) -> np.ndarray:
    """What infinitely many votes of varied raters would give: the fit of average probabilities."""
    gaps = SCORES[:, None] - SCORES[None, :]
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    drawn = gaps[:, :, None] + np.sqrt(2) * spread * nodes
    wins = win_probability(drawn) @ (weights / weights.sum())
    np.fill_diagonal(wins, 0)
    return fit_elo(wins).scores


def coverage(truth: np.ndarray, make_intervals, rounds: int, **draw) -> float:
    """Share of all pairwise differences' intervals that hold the true one."""
    rng = np.random.default_rng(20)
    held = []
    for _ in range(rounds):
        ballot = draw_ballot(SCORES, rng=rng, **draw)
        fit = fit_elo(win_matrix(ballot), ballot.arms)
        intervals = make_intervals(fit, ballot)
        for i, j in ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)):
            bounds = intervals.difference(i, j)
            held.append(bounds.low <= truth[i] - truth[j] <= bounds.high)
    return float(np.mean(held))


def test_rater_clusters_cover_where_independent_votes_do_not():
    truth = population_scores(200)
    draw = {"raters": 20, "votes_each": 40, "taste": 200}
    robust = coverage(truth, lambda f, b: sandwich(f, b, "rater"), 400, **draw)
    naive = coverage(truth, lambda f, b: sandwich(f, b, "vote"), 400, **draw)
    assert 0.935 <= robust <= 0.965
    assert naive < 0.80


def test_rater_bootstrap_comes_close_on_the_same_votes():
    truth = population_scores(200)
    draw = {"raters": 20, "votes_each": 40, "taste": 200}
    covered = coverage(truth, lambda f, b: bootstrap(f, b, 300), 100, **draw)
    assert 0.89 <= covered <= 0.965


def test_two_way_clusters_cover_where_prompts_repeat():
    truth = population_scores(150)
    draw = {"raters": 30, "votes_each": 40, "prompts": 25, "prompt_effect": 150}
    both = coverage(truth, lambda f, b: sandwich(f, b), 400, **draw)
    raters = coverage(truth, lambda f, b: sandwich(f, b, "rater"), 400, **draw)
    assert 0.935 <= both <= 0.975
    assert raters < 0.88


def test_alike_raters_are_covered_too():
    covered = coverage(SCORES, lambda f, b: sandwich(f, b, "rater"), 300, raters=25, votes_each=20)
    assert 0.935 <= covered <= 0.97


def test_two_arms_by_hand():
    # Three raters, four votes each: a wins 4, 3 and 2 of them; 9 of 12 in all, P = 3/4.
    wins = np.array([1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 0], float)
    zeros = np.zeros(12, np.int64)
    ballot = Ballot("q", "person", ("a", "b"), zeros, zeros + 1, wins, np.repeat([0, 1, 2], 4))
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    # Score sums 1, 0, −1; information 12·¾·¼ and 8·¾·¼ without a rater; jackknife's factor 2/3;
    # t(2) at 97.5% = 4.30265.
    half = 4.302653 * np.sqrt(2 / 3 * 2) / (8 * 0.75 * 0.25) * 400 / np.log(10)
    bounds = sandwich(fit, ballot, "rater").difference(0, 1)
    value = 400 * np.log10(3)
    np.testing.assert_allclose([bounds.low, bounds.high], [value - half, value + half], rtol=1e-4)


@pytest.mark.parametrize("votes_each", [25, 250])  # few of a rater's votes are alike, and many
def test_the_jackknife_is_what_newtons_step_without_each_rater_gives(votes_each):
    ballot = draw_ballot(SCORES, 6, votes_each, np.random.default_rng(8), taste=100)
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    per_rater = cluster_wins(ballot, ballot.rater, 6)
    p = fit.win_probabilities()
    pulls = []
    for without in fit.wins - per_rater:
        n = without + without.T
        information = -n * p * (1 - p)
        np.fill_diagonal(information, 0)
        np.fill_diagonal(information, -information.sum(1))
        score = without.sum(1) - (n * p).sum(1)
        pulls.append(np.linalg.pinv(information) @ score * 400 / np.log(10))
    pulls = np.array(pulls)
    # Each rater had a hand in each arm, so both are mean zero: differences of arms must agree.
    expected = pulls.T @ pulls * 5 / 6
    found = sandwich(fit, ballot, "rater").covariance.covariances[0]
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1)


def test_raters_of_unequal_diligence_are_covered():
    truth, rng, held = population_scores(150), np.random.default_rng(4), []
    for _ in range(600):
        sizes = np.maximum(1, np.round(30 * rng.lognormal(-0.5, 1, 14))).astype(int)
        ballot = draw_ballot(SCORES, 14, sizes, rng, taste=150)
        fit = fit_elo(win_matrix(ballot), ballot.arms)
        bounds = sandwich(fit, ballot).difference(3, 0)
        held.append(bounds.low <= truth[3] - truth[0] <= bounds.high)
    assert 0.935 <= np.mean(held) <= 0.97


def test_one_diligent_rater_does_not_pass_for_many():
    rng = np.random.default_rng(5)
    ballot = draw_ballot(SCORES, 30, np.r_[3000, [1] * 29], rng)
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    assert "come from one rater" in sandwich(fit, ballot).score(0).reason


def test_prompts_seen_once_make_two_way_equal_to_rater_clusters():
    ballot = draw_ballot(SCORES, 15, 20, np.random.default_rng(0), taste=100, prompts=300)
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    two_way, raters = sandwich(fit, ballot), sandwich(fit, ballot, "rater")
    contrast = np.array([1.0, -1, 0, 0])
    # Leaving one vote out moves slightly further than its score alone says.
    assert two_way.covariance.variance(contrast) == pytest.approx(
        raters.covariance.variance(contrast), rel=0.03
    )


def test_bootstrap_repeats_with_its_seed_and_moves_with_another():
    ballot = draw_ballot(SCORES, 15, 20, np.random.default_rng(0))
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    first = bootstrap(fit, ballot, 200, seed=5).draws
    np.testing.assert_array_equal(first, bootstrap(fit, ballot, 200, seed=5).draws)
    assert (first != bootstrap(fit, ballot, 200, seed=6).draws).any()


def test_bootstrap_of_one_vote_raters_has_the_binomial_spread():
    wins = np.r_[np.ones(60), np.zeros(40)]
    zeros = np.zeros(100, np.int64)
    ballot = Ballot("q", "person", ("a", "b"), zeros, zeros + 1, wins, np.arange(100))
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    draws = bootstrap(fit, ballot, 4000).draws
    spread = np.std(win_probability(draws[:, 0] - draws[:, 1]))
    assert spread == pytest.approx(np.sqrt(0.6 * 0.4 / 100), rel=0.05)


def test_cluster_wins_add_up_to_all_wins():
    ballot = draw_ballot(SCORES, 9, 30, np.random.default_rng(2))
    per_rater = cluster_wins(ballot, ballot.rater, 9)
    np.testing.assert_array_equal(per_rater.sum(axis=0), win_matrix(ballot))
    assert (per_rater.sum(axis=(1, 2)) == 30).all()


def test_one_rater_gives_no_interval_and_says_why():
    ballot = draw_ballot(SCORES, 1, 200, np.random.default_rng(0))
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    for intervals in (sandwich(fit, ballot), bootstrap(fit, ballot)):
        bounds = intervals.score(0)
        assert np.isnan([bounds.low, bounds.high]).all()
        assert "one rater" in bounds.reason


def test_raters_in_perfect_agreement_give_no_zero_width_interval():
    wins = np.tile([1.0, 1, 1, 0], 5)
    zeros = np.zeros(20, np.int64)
    ballot = Ballot("q", "person", ("a", "b"), zeros, zeros + 1, wins, np.repeat(np.arange(5), 4))
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    bounds = sandwich(fit, ballot).difference(0, 1)
    assert np.isnan(bounds.low)
    assert "no variation" in bounds.reason


def test_an_unbeaten_arm_has_no_interval_but_the_others_do():
    rng = np.random.default_rng(4)
    ballot = draw_ballot(SCORES, 12, 40, rng)
    has_top = (ballot.left == 3) | (ballot.right == 3)
    wins = np.where(has_top, (ballot.left == 3).astype(float), ballot.left_wins)
    ballot = Ballot("q", "person", ballot.arms, ballot.left, ballot.right, wins, ballot.rater)
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    for intervals in (sandwich(fit, ballot), bootstrap(fit, ballot, 200)):
        assert "won all" in intervals.difference(3, 0).reason
        assert "won all" in intervals.score(3).reason
        assert intervals.difference(1, 0).reason == ""
        assert intervals.difference(1, 0).low < intervals.difference(1, 0).high


def test_resamples_that_often_lose_their_bound_give_no_interval():
    # b beats a once: 37% of resamples of raters hold no such vote.
    zeros = np.zeros(30, np.int64)
    wins = np.r_[np.ones(29), 0]
    ballot = Ballot("q", "person", ("a", "b"), zeros, zeros + 1, wins, np.arange(30))
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    assert "without a bound" in bootstrap(fit, ballot).difference(0, 1).reason


def test_an_arm_against_itself_differs_by_nothing():
    ballot = draw_ballot(SCORES, 5, 40, np.random.default_rng(0))
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    assert sandwich(fit, ballot).difference(2, 2) == Interval(0.0, 0.0)


def test_probability_intervals_follow_the_difference():
    bounds = probability_interval(Interval(0.0, 400.0, 0.9))
    assert bounds == Interval(0.5, pytest.approx(10 / 11), 0.9)


@pytest.mark.parametrize("arms", [2, 10, 60])
def test_the_inverse_information_is_exact_within_groups_and_flat_between(arms):
    rng = np.random.default_rng(arms)
    wins = np.zeros((arms + 3, arms + 3))
    wins[:arms, :arms] = rng.integers(1, 30, (arms, arms))
    wins[arms, arms + 1] = wins[arms + 1, arms] = 5  # a group of its own; the last arm has no votes
    np.fill_diagonal(wins, 0)
    fit = fit_elo(wins)
    inverse = inverse_information(fit)
    p = win_probability(np.nan_to_num(fit.differences()))
    laplacian = -fit.comparisons * p * (1 - p)
    np.fill_diagonal(laplacian, -laplacian.sum(axis=1))
    expected = np.eye(arms + 3)
    for start, end in ((0, arms), (arms, arms + 2)):
        expected[start:end, start:end] -= 1 / (end - start)
    expected[-1, -1] = 0
    np.testing.assert_allclose(laplacian @ inverse, expected, atol=1e-12)
    np.testing.assert_allclose(inverse.sum(axis=0), 0, atol=1e-12)
