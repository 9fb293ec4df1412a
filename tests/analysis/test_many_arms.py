"""A thousand arms: the same numbers by sparse ways, and tables that can be read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import analysis.scores.covariance
import analysis.scores.elo
import analysis.scores.intervals
from analysis.ballots import reachable, strong_groups, win_matrix
from analysis.report.inputs import ReportInputs
from analysis.report.write import build
from analysis.scores import compare_arms, elo_table, fit_elo, sandwich, win_table
from tests.analysis.simulated import ballot_frame, draw_ballot


@pytest.fixture(scope="module")
def many():
    truth = np.random.default_rng(0).normal(0, 100, 90)
    return truth, draw_ballot(truth, 40, 300, np.random.default_rng(1), taste=50, prompts=30)


def intervals_of(ballot):
    return sandwich(fit_elo(win_matrix(ballot), ballot.arms), ballot)


def test_sparse_solvers_give_the_same_scores_and_nearly_the_same_errors(many, monkeypatch):
    _, ballot = many
    usual = intervals_of(ballot)
    monkeypatch.setattr(analysis.scores.elo, "LARGE", 10)
    monkeypatch.setattr(analysis.scores.intervals, "LARGE", 10)
    monkeypatch.setattr(analysis.scores.covariance, "_LARGE", 10)
    sparse = intervals_of(ballot)
    np.testing.assert_allclose(sparse.fit.scores, usual.fit.scores, atol=1e-9)
    variances = [np.diagonal(each.covariance.matrix()) for each in (usual, sparse)]
    np.testing.assert_allclose(variances[1], variances[0], rtol=0.05)
    assert sparse.df == usual.df


def test_many_arms_are_compared_with_neighbours_and_a_baseline(many):
    truth, ballot = many
    intervals = intervals_of(ballot)
    found = compare_arms(intervals, baseline="arm7")
    assert len(found.table) <= 2 * len(truth)
    assert set(found.table["arm"]) | set(found.table["against"]) == set(ballot.arms)
    arm, against = (found.table[name].str[3:].astype(int) for name in ("arm", "against"))
    gaps = truth[arm] - truth[against]
    assert ((found.table["low"] <= gaps) & (gaps <= found.table["high"])).mean() > 0.97
    alone = intervals.difference(ballot.arms.index(found.table["arm"][0]),
                                 ballot.arms.index(found.table["against"][0]))  # fmt: skip
    assert found.table["low"][0] < alone.low
    best = np.argsort(np.argsort(-truth)) + 1
    ranks = found.ranks.set_index("arm").loc[list(ballot.arms)]
    assert ((ranks["best"] <= best) & (best <= ranks["worst"])).all()


def test_the_leaderboard_of_many_arms_has_the_usual_intervals(many):
    _, ballot = many
    intervals = intervals_of(ballot)
    table = elo_table(intervals.fit, intervals, anchor="arm3").set_index("arm")
    for arm in ("arm0", "arm50"):
        own = intervals.difference(ballot.arms.index(arm), 3)
        assert table.loc[arm, "low"] == pytest.approx(own.low)
        assert table.loc[arm, "high"] == pytest.approx(own.high)
    assert (table.loc["arm3", "low"], table.loc["arm3", "high"]) == (0, 0)


def test_a_report_on_90_arms_shows_what_can_be_read(many, tmp_path):
    _, ballot = many
    assert len(win_table(intervals_of(ballot).fit, intervals_of(ballot))) == 30 * 29
    names = list(ballot.arms)
    arms = pd.DataFrame({"name": names, "label": names, "strategy": "imported", "scale": np.nan})
    inputs = ReportInputs(
        title="Many", arms=arms, metrics=None, votes=ballot_frame(ballot), samples=None,
        root=tmp_path, provenance={}, command="",
    )  # fmt: skip
    (part,) = build([inputs]).parts
    heat = next(f for name, f in part.figures.items() if name.startswith("win-probability"))
    assert heat.data["arm"].nunique() == 30
    assert "60 arms with lower scores are left out" in heat.caption
    assert heat.files()  # 72 arms and more were beyond what Altair draws
    ranking = part.figures["elo-ranking"]
    assert len(ranking.data) == 60


def test_chains_of_wins_are_found_between_groups():
    rng = np.random.default_rng(3)
    for _ in range(20):
        wins = (rng.random((12, 12)) < 0.12) * 1.0
        np.fill_diagonal(wins, 0)
        by_hand = np.linalg.matrix_power((wins > 0) + np.eye(12), 12) > 0
        np.testing.assert_array_equal(reachable(wins), by_hand)
        same = by_hand & by_hand.T
        groups = strong_groups(wins)
        np.testing.assert_array_equal(groups[:, None] == groups[None, :], same)
