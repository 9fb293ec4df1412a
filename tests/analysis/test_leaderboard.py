"""Tables of a fit: order, anchor, win probabilities."""

from __future__ import annotations

import numpy as np

from analysis import ballots, elo_table, fit_elo, read_votes, sandwich, win_matrix, win_table
from tests.analysis.simulated import ballot_frame, draw_ballot, votes_of


def fitted(frame, arms=None):
    (ballot,) = ballots(read_votes(frame, arms))
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    return fit, sandwich(fit, ballot)


def test_the_best_arm_comes_first_and_counts_are_its_own():
    rng = np.random.default_rng(0)
    frame = ballot_frame(draw_ballot(np.array([-100.0, 0, 100]), 20, 30, rng))
    table = elo_table(*fitted(frame))
    assert list(table["arm"]) == ["arm2", "arm1", "arm0"]
    assert list(table["rank"]) == [1, 2, 3]
    assert table["votes"].sum() == 2 * 600
    assert ((table["low"] < table["elo"]) & (table["elo"] < table["high"])).all()


def test_measured_from_an_anchor_the_anchor_is_zero_without_width():
    rng = np.random.default_rng(0)
    frame = ballot_frame(draw_ballot(np.array([-100.0, 0, 100]), 20, 30, rng))
    plain = elo_table(*fitted(frame)).set_index("arm")
    table = elo_table(*fitted(frame), anchor="arm0").set_index("arm")
    assert tuple(table.loc["arm0", ["elo", "low", "high"]]) == (0, 0, 0)
    np.testing.assert_allclose(
        table.loc["arm2", "elo"], plain.loc["arm2", "elo"] - plain.loc["arm0", "elo"]
    )


def test_arms_without_a_number_come_last_with_their_reason():
    rows = [("a", "b", "left"), ("a", "b", "right"), ("top", "a", "left")]
    table = elo_table(*fitted(votes_of(rows), ["a", "b", "new", "top"]))
    assert list(table["arm"][2:]) == ["top", "new"]
    assert list(table["rank"][2:]) == [0, 0]
    assert table["reason"].iloc[2].startswith("won its only comparison")
    assert table["reason"].iloc[3] == "no votes"


def test_groups_that_votes_do_not_link_have_ranks_of_their_own():
    rows = [("a", "b", "left"), ("c", "d", "left")] * 3 + [("b", "a", "left"), ("d", "c", "left")]
    table = elo_table(*fitted(votes_of(rows)))
    assert table["arm"].tolist() == ["a", "b", "c", "d"]
    assert table["rank"].tolist() == [1, 2, 1, 2]
    assert table["group"].tolist() == [0, 0, 1, 1]


def test_win_table_gives_fit_and_observation_for_each_ordered_pair():
    rows = [("a", "b", "left")] * 3 + [("b", "a", "left"), ("b", "c", "tie")]
    table = win_table(*fitted(votes_of(rows))).set_index(["arm", "against"])
    assert len(table) == 6
    assert table.loc[("a", "b"), "observed"] == 0.75
    assert table.loc[("a", "b"), "n"] == 4
    np.testing.assert_allclose(table.loc[("a", "b"), "probability"], 0.75)
    np.testing.assert_allclose(table.loc[("a", "c"), "probability"], 0.75)  # b and c drew
    assert np.isnan(table.loc[("a", "c"), "observed"])
    np.testing.assert_allclose(
        table.loc[("a", "b"), "probability"] + table.loc[("b", "a"), "probability"], 1
    )
