"""Intervals of shares stay between 0 and 1 and hold their level where raters differ."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from analysis.scores import clustered_share, wilson

LEVELS = st.sampled_from([0.5, 0.9, 0.95, 0.99])
# Raters as (votes, votes that say yes).
RATERS = st.lists(
    st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
    min_size=2, max_size=12,
)  # fmt: skip


def of_raters(raters: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Votes of 0 and 1, and who gave them."""
    values = np.concatenate([np.arange(n) < yes for n, yes in raters]).astype(float)
    return values, np.repeat(np.arange(len(raters)), [n for n, _ in raters])


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), LEVELS)
def test_wilson_equals_scipys(case, level):
    successes, n = case
    theirs = binomtest(successes, n).proportion_ci(level, method="wilson")
    ours = wilson(successes, n, level)
    assert (ours.low, ours.high) == (
        pytest.approx(theirs.low, abs=1e-12), pytest.approx(theirs.high, abs=1e-12),
    )  # fmt: skip
    assert 0 <= ours.low <= successes / n <= ours.high <= 1


def test_wilson_of_nothing_says_so():
    bounds = wilson(0, 0)
    assert np.isnan(bounds.low)
    assert bounds.reason == "no votes"


@given(RATERS, LEVELS)
def test_a_clustered_share_lies_in_its_interval_and_that_within_0_and_1(raters, level):
    values, who = of_raters(raters)
    bounds = clustered_share(values, who, level)
    if bounds.reason:
        assert "nearly all its votes come from one rater" in bounds.reason
        assert np.isnan([bounds.low, bounds.high]).all()
    else:
        assert 0 <= bounds.low <= values.mean() <= bounds.high <= 1
        assert bounds.low < bounds.high


@given(RATERS)
def test_the_share_of_the_other_answer_has_the_mirrored_interval(raters):
    values, who = of_raters(raters)
    yes, no = clustered_share(values, who), clustered_share(1 - values, who)
    np.testing.assert_allclose([no.low, no.high], [1 - yes.high, 1 - yes.low], atol=1e-9)


@given(RATERS)
def test_four_times_the_raters_give_a_narrower_interval(raters):
    few, many = (clustered_share(*of_raters(raters * times)) for times in (1, 4))
    if not few.reason:
        assert many.high - many.low < few.high - few.low


@given(RATERS)
def test_clusters_never_claim_more_than_independent_votes(raters):
    values, who = of_raters(raters)
    bounds, independent = clustered_share(values, who), wilson(values.sum(), len(values))
    if not bounds.reason:
        assert bounds.low <= independent.low + 1e-9
        assert bounds.high >= independent.high - 1e-9


def test_a_clustered_share_by_hand():
    # Four raters of two votes with 2, 2, 1 and 1 of them: p = 3/4, each leaving moves the mean by
    # 1/12, so v = 3/4 · 4/144 = 1/48. With t(3) = 3.1824: n* = 3/16 · 48 · (1.95996/3.1824)².
    values, who = of_raters([(2, 2), (2, 2), (2, 1), (2, 1)])
    n = 9 * (1.959963985 / 3.182446305) ** 2
    expected = wilson(0.75 * n, n)
    bounds = clustered_share(values, who)
    np.testing.assert_allclose([bounds.low, bounds.high], [expected.low, expected.high], rtol=1e-4)


def test_raters_who_all_say_yes_count_one_vote_each():
    assert clustered_share(*of_raters([(20, 20)] * 5)) == wilson(5, 5)


def test_one_rater_shows_nothing_of_raters():
    assert "one rater" in clustered_share(np.array([1.0, 0, 1]), np.array([4, 4, 4])).reason


@pytest.mark.parametrize(
    ("share", "alike", "raters", "votes"),
    [(0.5, 0.0, 30, 30), (0.5, 0.1, 8, 30), (0.9, 0.1, 10, 10), (0.95, 0.05, 12, 10),
     (0.98, 0.05, 40, 5)],
)  # fmt: skip
def test_clustered_shares_hold_the_truth_as_often_as_stated(share, alike, raters, votes):
    """`alike` is the correlation of two votes of one rater. A t interval holds 89% in the last."""
    rng = np.random.default_rng(0)
    who, held = np.repeat(np.arange(raters), votes), []
    spread = (1 - alike) / alike if alike else np.inf
    for _ in range(600):
        own = np.full(raters, share)
        if alike:
            own = rng.beta(share * spread, (1 - share) * spread, raters)
        bounds = clustered_share((rng.random(len(who)) < own[who]).astype(float), who)
        held.append(bounds.low <= share <= bounds.high)
    assert 0.92 <= np.mean(held) <= 0.985
