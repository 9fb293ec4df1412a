"""Claims about many arms at once: false ones are as rare as stated, true ones are found."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.ballots import Ballot, ballots, read_votes, win_matrix
from analysis.scores import compare_arms, fit_elo, sandwich, simultaneous
from tests.analysis.simulated import draw_ballot, votes_of


def intervals_of(ballot: Ballot, **options):
    return sandwich(fit_elo(win_matrix(ballot), ballot.arms), ballot, **options)


def test_two_arms_need_no_correction():
    ballot = draw_ballot(np.array([40.0, -40]), 25, 20, np.random.default_rng(0))
    intervals = intervals_of(ballot)
    found = compare_arms(intervals, draws=200_000)
    row, alone = found.table.iloc[0], intervals.difference(0, 1)
    assert (row["arm"], row["against"]) == ("arm0", "arm1")
    np.testing.assert_allclose([row["low"], row["high"]], [alone.low, alone.high], atol=1)
    assert found.critical == pytest.approx(2.064, abs=0.02)  # t(24) at 97.5%
    assert row["p_adjusted"] == pytest.approx(row["p"], abs=0.002)


def test_the_common_quantile_is_tukeys_for_arms_alike():
    # Many one-vote raters, balanced arms: Tukey's studentised range / √2 at 95% for 6 groups.
    K, each = 6, 400
    left, right = np.triu_indices(K, 1)
    left, right = np.tile(left, each), np.tile(right, each)
    won = (np.random.default_rng(2).random(len(left)) < 0.5).astype(float)
    ballot = Ballot("q", "person", tuple("abcdef"), left, right, won, np.arange(len(left)))
    critical = compare_arms(intervals_of(ballot), draws=100_000).critical
    assert critical == pytest.approx(4.030 / np.sqrt(2), abs=0.03)


def test_equal_arms_are_told_apart_in_one_study_of_twenty_and_better_ones_are_found():
    rng, wrong, naive = np.random.default_rng(5), 0, 0
    for _ in range(160):
        ballot = draw_ballot(np.zeros(6), 25, 30, rng, taste=80)
        table = compare_arms(intervals_of(ballot), draws=2000).table
        wrong += table["distinct"].any()
        naive += (table["p"] < 0.05).any()
    assert wrong / 160 <= 0.08
    assert naive / 160 > 0.2
    clear = draw_ballot(np.array([300.0, 0, 0]), 25, 40, rng)
    ranks = compare_arms(intervals_of(clear)).ranks
    assert ranks.iloc[0][["arm", "rank", "best", "worst"]].tolist() == ["arm0", 1, 1, 1]
    assert set(map(tuple, ranks.iloc[1:][["best", "worst"]].to_numpy())) == {(2, 3)}


def test_all_scores_intervals_hold_together():
    truth, rng, held = np.array([-60.0, -10, 20, 50]), np.random.default_rng(6), 0
    for _ in range(300):
        intervals = intervals_of(draw_ballot(truth, 30, 20, rng))
        found = simultaneous(intervals, np.eye(4), draws=2000)
        held += ((found.low <= truth) & (truth <= found.high)).all()
    assert 0.925 <= held / 300 <= 0.985


def test_few_raters_and_many_arms_are_enough_for_intervals_that_hold_together():
    # One t for all contrasts, and correlations as five raters show them, would hold 73% of times.
    truth, rng, held = np.linspace(-120.0, 120, 10), np.random.default_rng(1), 0
    for _ in range(200):
        found = compare_arms(intervals_of(draw_ballot(truth, 5, 200, rng, taste=100)), draws=1000)
        arm, against = (found.table[name].str[3:].astype(int) for name in ("arm", "against"))
        gaps = truth[arm] - truth[against]
        held += ((found.table["low"] <= gaps) & (gaps <= found.table["high"])).all()
    assert 0.89 <= held / 200 <= 0.99


def test_arms_without_a_bound_are_in_the_table_with_their_reason():
    rows = [("a", "b", "left"), ("b", "a", "left")] * 6 + [("top", "a", "left")]
    (ballot,) = ballots(read_votes(votes_of(rows)))
    found = compare_arms(intervals_of(ballot))
    top = found.table[(found.table["arm"] == "top") & (found.table["against"] == "a")].iloc[0]
    assert top["difference"] == np.inf
    assert np.isnan(top["p"])
    assert not top["distinct"]
    assert "won its only comparison" in top["reason"]
    assert found.ranks.set_index("arm").loc["top", "rank"] == 0


def test_one_rater_gives_reasons_and_no_claims():
    ballot = draw_ballot(np.zeros(3), 1, 60, np.random.default_rng(0))
    found = compare_arms(intervals_of(ballot))
    assert found.table["p"].isna().all()
    assert not found.table["distinct"].any()
    assert found.table["reason"].str.contains("one rater").all()
    assert (found.ranks["worst"] == 3).all()


def test_ranks_are_counted_within_groups_that_votes_link():
    rows = [("a", "b", "left"), ("c", "d", "left")] * 3 + [("b", "a", "left"), ("d", "c", "left")]
    (ballot,) = ballots(read_votes(votes_of(rows)))
    ranks = compare_arms(intervals_of(ballot)).ranks.set_index("arm")
    assert ranks["rank"].to_dict() == {"a": 1, "b": 2, "c": 1, "d": 2}
    assert (ranks["best"] == 1).all()
    assert (ranks["worst"] == 2).all()
