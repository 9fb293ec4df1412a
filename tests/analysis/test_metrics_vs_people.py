"""Metrics beside people: correlation, agreement with votes, and the paper's disagreement tested."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from analysis.ballots import read_votes, win_matrix
from analysis.errors import AnalysisError
from analysis.metrics import finding, rank_agreement, vote_agreement
from analysis.scores import fit_elo, sandwich
from tests.analysis.simulated import ballot_frame, draw_ballot, votes_of

SCORES = np.array([-150.0, -50, 0, 60, 140])


def intervals_of(seed: int = 0, scores: np.ndarray = SCORES, votes_each: int = 50):
    ballot = draw_ballot(scores, 40, votes_each, np.random.default_rng(seed))
    return sandwich(fit_elo(win_matrix(ballot), ballot.arms), ballot)


def metric(values, half: float | list = 0.5, name: str = "clip_score") -> pd.DataFrame:
    values = np.asarray(values, float)
    return pd.DataFrame(
        {
            "arm": [f"arm{i}" for i in range(len(values))],
            "metric": name,
            "value": values,
            "ci_low": values - half,
            "ci_high": values + half,
            "extractor": "e",
        }
    )


def test_rank_correlation_is_spearmans_and_a_low_fid_agrees_with_people():
    intervals = intervals_of()
    values = [20.0, 21, 25, 24, 30]
    (row,) = rank_agreement(intervals, metric(values)).itertuples()
    assert row.spearman == pytest.approx(spearmanr(values, intervals.fit.scores).statistic)
    assert row.low <= row.spearman <= row.high
    (fid,) = rank_agreement(intervals, metric([-v for v in values], name="fid")).itertuples()
    assert fid.spearman == row.spearman


def test_uncertain_values_widen_the_correlations_interval():
    intervals = intervals_of()
    sure = rank_agreement(intervals, metric([1.0, 2, 3, 4, 5], 0.1)).iloc[0]
    unsure = rank_agreement(intervals, metric([1.0, 2, 3, 4, 5], 4.0)).iloc[0]
    assert sure["low"] >= 0.9
    assert unsure["low"] < 0.6


def test_two_arms_have_no_rank_correlation():
    table = rank_agreement(intervals_of(), metric([1.0, 2]))
    assert table["reason"].tolist() == ["only 2 arms have both"]
    assert np.isnan(table["spearman"].iloc[0])


def test_agreement_with_votes_by_hand():
    # The metric says b > a. Decided votes: b wins 3 of 4; the tie says nothing.
    rows = [("a", "b", "right")] * 2 + [("b", "a", "left"), ("a", "b", "left"), ("a", "b", "tie")]
    votes = read_votes(votes_of(rows, prompt_id=["p", "q", "p", "q", "p"], replica=0))
    values = pd.DataFrame({"arm": ["a", "b"], "metric": "clip_score", "value": [1.0, 2.0],
                           "extractor": "e"})  # fmt: skip
    samples = pd.DataFrame(
        [("a", "p", 0, 1.0), ("b", "p", 0, 2.0), ("a", "q", 0, 2.0), ("b", "q", 0, 1.0)],
        columns=["arm", "prompt_id", "replica", "value"],
    ).assign(metric="clip_score")
    by_arm, by_sample = vote_agreement(votes, values, samples).itertuples()
    assert (by_arm.by, by_arm.accuracy, by_arm.n) == ("arm", 0.75, 4)
    # On q the samples' own values say a: right for one vote of two there, and for both on p.
    assert (by_sample.by, by_sample.accuracy, by_sample.n) == ("sample", 0.75, 4)
    assert by_arm.low < 0.75 < by_arm.high


def test_a_metric_equal_everywhere_predicts_nothing():
    votes = read_votes(ballot_frame(draw_ballot(SCORES, 5, 20, np.random.default_rng(0))))
    (row,) = vote_agreement(votes, metric([1.0] * 5)).itertuples()
    assert row.n == 0
    assert np.isnan(row.accuracy)


def test_the_papers_finding_holds_only_where_both_halves_do():
    intervals = intervals_of()
    opposite = finding(intervals, metric([9.0, 1, 1, 1, 5]), "clip_score", "arm0", "arm4")
    assert opposite.holds
    assert opposite.metric_difference == 4
    assert opposite.elo_difference < 0
    agreeing = finding(intervals, metric([5.0, 1, 1, 1, 9]), "clip_score", "arm0", "arm4")
    assert not agreeing.holds
    unsure = finding(intervals, metric([5.2, 1, 1, 1, 5]), "clip_score", "arm0", "arm4")
    assert not unsure.holds
    assert unsure.p == pytest.approx(0.289, abs=0.002)  # z = 0.2 / (0.5/1.96 · √2)
    lower = finding(intervals, metric([1.0, 1, 1, 1, 5], name="fid"), "fid", "arm0", "arm4")
    assert lower.metric_difference == 4


def test_false_findings_are_as_rare_as_stated():
    rng, found = np.random.default_rng(0), 0
    for seed in range(300):
        values = np.r_[5.0, 4.0] + rng.normal(0, 0.5 / 1.96, 2)
        intervals = intervals_of(seed, np.zeros(2), 10)  # people don't care; the metric does
        found += finding(intervals, metric(values), "clip_score", "arm0", "arm1").holds
    assert found / 300 <= 0.085


def test_a_finding_needs_known_arms_and_says_when_it_can_not_be_tested():
    intervals = intervals_of()
    with pytest.raises(AnalysisError, match="clip_score of arm arm9: expected an arm"):
        finding(intervals, metric([1.0] * 5), "clip_score", "arm0", "arm9")
    exact = finding(intervals, metric([1.0, 2, 3, 4, 5], np.nan), "clip_score", "arm4", "arm0")
    assert np.isnan(exact.p)
    assert "carry no intervals" in exact.reason
