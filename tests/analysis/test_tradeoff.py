"""Correlations of metrics with Elo, by hand and against SciPy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.metrics import join_metrics, metric_correlations
from analysis.metrics.against_elo import spearman_interval


def tables(values, elo) -> tuple[pd.DataFrame, pd.DataFrame]:
    arms = [f"arm{i}" for i in range(len(values))]
    metrics = pd.DataFrame({"arm": arms, "metric": "fid", "value": values, "extractor": "tabletop"})
    metrics = metrics.assign(ci_low=np.nan, ci_high=np.nan, n=100, note="")
    scores = pd.DataFrame({"arm": arms, "elo": elo, "low": np.nan, "high": np.nan})
    return metrics, scores.assign(question="photorealism", rater_kind="person")


def correlate(values, elo) -> pd.Series:
    return metric_correlations(join_metrics(*tables(values, elo))).iloc[0]


def test_correlations_equal_scipys():
    rng = np.random.default_rng(0)
    values, elo = rng.normal(size=9), rng.normal(size=9)
    row = correlate(values, elo)
    assert row["spearman"] == pytest.approx(stats.spearmanr(values, elo).statistic)
    assert row["pearson"] == pytest.approx(stats.pearsonr(values, elo).statistic)
    assert row["n"] == 9
    assert row["low"] < row["spearman"] < row["high"]


def test_a_good_fid_correlates_negatively():
    row = correlate([5.0, 10, 20], [100.0, 0, -100])
    assert row["spearman"] == -1
    assert row["pearson"] == pytest.approx(-0.98198, abs=1e-5)


def test_few_arms_and_perfect_orders_have_no_interval_and_say_why():
    assert "only 3 arms" in correlate([5.0, 10, 20], [100.0, 0, -100])["reason"]
    assert "perfectly" in correlate(range(6), range(6))["reason"]


def test_arms_without_a_finite_elo_or_value_are_left_out():
    row = correlate([1.0, 2, 3, np.nan, 5], [1.0, np.inf, 3, 4, 5])
    assert row["n"] == 3


def test_constant_metrics_have_no_correlation():
    row = correlate([1.0] * 6, range(6))
    assert np.isnan(row["spearman"])
    assert row["reason"] == "all arms have the same value"


def test_intervals_cover_on_normal_pairs():
    rng = np.random.default_rng(1)
    rho = 0.6
    truth = 6 / np.pi * np.arcsin(rho / 2)  # Spearman's rho of a bivariate normal
    held = 0
    for _ in range(1000):
        x, noise = rng.normal(size=(2, 20))
        found = stats.spearmanr(x, rho * x + np.sqrt(1 - rho**2) * noise).statistic
        bounds = spearman_interval(found, 20)
        held += bounds.low <= truth <= bounds.high
    assert 0.93 <= held / 1000 <= 0.97


def test_extractors_are_never_mixed():
    metrics, scores = tables([1.0, 2, 3, 4, 5, 6], range(6))
    metrics.loc[3:, "extractor"] = "inception"
    assert list(metric_correlations(join_metrics(metrics, scores))["n"]) == [3, 3]
