"""Which pair to ask next, by brute force; stopping that survives constant looking."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from analysis.ballots import Ballot, win_matrix
from analysis.errors import AnalysisError
from analysis.planning import always_valid, pair_gains, stop
from analysis.scores import ELO_PER_NAT, fit_elo, win_probability, with_prior
from tests.analysis.simulated import draw_ballot


def mean_variance(counts: np.ndarray, p: np.ndarray) -> float:
    """Mean model variance of all differences, from the pseudo-inverse, Elo points²."""
    laplacian = -(counts + counts.T) * p * (1 - p)
    np.fill_diagonal(laplacian, 0)
    np.fill_diagonal(laplacian, -laplacian.sum(1))
    inverse = np.linalg.pinv(laplacian, hermitian=True) * ELO_PER_NAT**2
    pairs = itertools.combinations(range(len(counts)), 2)
    return float(np.mean([inverse[i, i] + inverse[j, j] - 2 * inverse[i, j] for i, j in pairs]))


def test_gains_are_what_one_more_vote_takes_from_the_mean_variance():
    wins = np.random.default_rng(1).integers(1, 30, (5, 5)).astype(float)
    np.fill_diagonal(wins, 0)
    names = list("abcde")
    table = pair_gains(wins, names)
    prior = with_prior(wins, 1.0)
    p = fit_elo(prior).win_probabilities()
    before = mean_variance(prior, p)
    for row in table.itertuples():
        i, j = names.index(row.arm), names.index(row.against)
        more = prior.copy()
        more[i, j] += 1  # at the fitted probabilities, information counts comparisons
        assert row.gain == pytest.approx(before - mean_variance(more, p), rel=1e-6)
        assert row.votes == wins[i, j] + wins[j, i]
        assert row.probability == pytest.approx(p[i, j])
    assert table["gain"].is_monotonic_decreasing


def test_two_arms_by_hand():
    # 8 of 16 and one tied vote of prior: information 17/4, with one more vote 18/4.
    wins = np.array([[0.0, 8], [8, 0]])
    (row,) = pair_gains(wins, ["a", "b"]).itertuples()
    assert row.se == pytest.approx(np.sqrt(4 / 17) * ELO_PER_NAT)
    assert row.gain == pytest.approx((4 / 17 - 4 / 18) * ELO_PER_NAT**2)


def test_before_any_vote_all_pairs_are_worth_the_same_in_their_order():
    table = pair_gains(pd.DataFrame(np.zeros((4, 4)), index=list("abcd"), columns=list("abcd")))
    assert list(zip(table["arm"], table["against"], strict=True)) == list(
        itertools.combinations("abcd", 2)
    )
    assert np.ptp(table["gain"]) < 1e-6 * table["gain"].max()


def test_the_arm_with_fewest_votes_is_asked_about_next_and_a_settled_one_last():
    wins = np.full((4, 4), 20.0)
    wins[3, :] = wins[:, 3] = 1.0
    np.fill_diagonal(wins, 0)
    table = pair_gains(wins, list("abcd"))
    assert (table["against"].iloc[:3] == "d").all()
    unequal = np.array([[0, 50.0, 99], [50, 0, 99], [1, 1, 0]])
    assert pair_gains(unequal, list("abc"))["gain"].notna().all()


def test_gains_need_counts_and_a_prior():
    with pytest.raises(AnalysisError, match="positive number of votes"):
        pair_gains(np.zeros((3, 3)), prior=0)
    with pytest.raises(AnalysisError, match="square matrix"):
        pair_gains(np.zeros((3, 2)))
    assert pair_gains(np.zeros((1, 1))).empty
    assert pair_gains(np.zeros((0, 0))).empty


def test_asking_where_gains_are_largest_narrows_faster_than_asking_at_random():
    scores = np.array([-500.0, -480, -20, 20, 480, 500])

    def after(adaptive: bool, seed: int) -> float:
        rng = np.random.default_rng(seed)
        wins = np.zeros((6, 6))
        for _ in range(40):
            table = pair_gains(wins)
            picked = table.iloc[:5] if adaptive else table.sample(5, random_state=rng)
            for a, b in zip(picked["arm"].astype(int), picked["against"].astype(int), strict=True):
                a_wins = rng.random() < win_probability(scores[a] - scores[b])
                wins[(a, b) if a_wins else (b, a)] += 1
        p = win_probability(scores[:, None] - scores[None, :])
        return mean_variance(wins, p)

    seeds = range(4)
    assert np.mean([after(True, s) for s in seeds]) < 0.85 * np.mean(
        [after(False, s) for s in seeds]
    )


def test_always_valid_by_hand():
    # s = τ: half² = s² · 2 · log(2 / 0.05²).
    assert always_valid(50, 0.95, 50) == pytest.approx(50 * np.sqrt(2 * np.log(2 / 0.0025)))


def test_no_look_among_thousands_misses_the_truth_more_often_than_stated():
    # A mean of N(0, 1) values looked at after each of 4,000; the usual interval for comparison.
    rng = np.random.default_rng(3)
    n = np.arange(1, 4001)
    means = np.cumsum(rng.standard_normal((1000, 4000)), axis=1) / n
    half = np.array([always_valid(1 / np.sqrt(k), 0.95, 0.1) for k in n])
    missed = (np.abs(means) > half).any(axis=1).mean()
    usual = (np.abs(means) > 1.96 / np.sqrt(n)).any(axis=1).mean()
    assert 0.01 < missed <= 0.05
    assert usual > 0.5


def first(ballot: Ballot, votes: int) -> Ballot:
    """The first votes of a study in which raters come one after the other."""
    return Ballot(
        ballot.question, ballot.rater_kind, ballot.arms, ballot.left[:votes], ballot.right[:votes],
        ballot.left_wins[:votes], ballot.rater[:votes],
    )  # fmt: skip


def ever_misses(seed: int) -> bool:
    """Whether equal arms, voted on by raters of differing taste, are ever told apart."""
    rng = np.random.default_rng(seed)
    ballot = draw_ballot(np.zeros(3), 60, 10, rng, taste=150)
    looks = (stop(first(ballot, n), min_raters=10) for n in range(100, 601, 25))
    return any(look.table["settled"].isin(["above", "below"]).any() for look in looks)


@pytest.mark.slow
def test_looking_again_and_again_finds_no_difference_between_equal_arms():
    assert np.mean([ever_misses(seed) for seed in range(100)]) <= 0.05


def test_clear_differences_stop_a_study_and_close_arms_are_called_close():
    rng = np.random.default_rng(0)
    ballot = draw_ballot(np.array([-300.0, 0, 300]), 40, 40, rng)
    decision = stop(ballot)
    assert decision.stop
    assert set(decision.table["settled"]) == {"below"}
    assert "3 told apart" in decision.reason
    equal = draw_ballot(np.zeros(2), 100, 100, rng)
    assert stop(equal, precision=40).table["settled"].tolist() == ["close"]


def test_open_questions_keep_a_study_going_and_say_so():
    rng = np.random.default_rng(1)
    ballot = draw_ballot(np.array([0.0, 10, 20]), 12, 10, rng)
    decision = stop(ballot)
    assert not decision.stop
    assert decision.reason == "3 of 3 differences are still open."
    few = stop(first(ballot, 50))
    assert not few.stop
    assert few.reason == "5 raters so far; at least 10 are needed to decide."
    assert win_matrix(ballot).sum() == 120


def test_no_votes_and_an_unbeaten_arm_never_stop_a_study():
    empty = Ballot("q", "person", ("a", "b"), *[np.zeros(0, np.int64)] * 2, np.zeros(0),
                   np.zeros(0, np.int64))  # fmt: skip
    assert not stop(empty).stop
    zeros = np.zeros(50, np.int64)
    unbeaten = Ballot("q", "person", ("a", "b"), zeros, zeros + 1, np.ones(50), np.arange(50))
    decision = stop(unbeaten)
    assert not decision.stop
    assert decision.table["difference"].iloc[0] == np.inf
