"""Metrics against people: do the metrics rank arms as raters do?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from analysis.scores import Interval


def join_metrics(metrics: pd.DataFrame, elo: pd.DataFrame) -> pd.DataFrame:
    """Each arm's metric values beside its Elo.

    Args:
        metrics: arm, metric, value, ci_low, ci_high, extractor.
        elo: question, rater_kind, arm, elo, low, high; rows without a finite Elo are left out.

    Returns:
        question, rater_kind, arm, metric, extractor, value, ci_low, ci_high, elo, low, high.
    """
    scored = elo[np.isfinite(elo["elo"])][["question", "rater_kind", "arm", "elo", "low", "high"]]
    measured = metrics[np.isfinite(metrics["value"])]
    kept = measured[["arm", "metric", "extractor", "value", "ci_low", "ci_high"]]
    return scored.merge(kept, on="arm", how="inner")


def metric_correlations(joined: pd.DataFrame) -> pd.DataFrame:
    """Correlation of each metric with Elo across arms.

    The sign is as measured: a good FID correlates negatively. Elo scores have errors of their own,
    which the interval leaves out, so it says how far these arms speak for a metric, no more.

    Args:
        joined: what `join_metrics` returned.

    Returns:
        question, rater_kind, metric, extractor, n (arms), spearman, low, high, pearson, reason.
    """
    keys = ["question", "rater_kind", "metric", "extractor"]
    rows = []
    for labels, arms in joined.groupby(keys, sort=False, observed=True, dropna=False):
        value, elo = arms["value"].to_numpy(np.float64), arms["elo"].to_numpy(np.float64)
        spearman, low, high, reason = rank_correlation(value, elo)
        pearson, _ = _correlation(value, elo)
        rows.append((*labels, len(arms), spearman, low, high, pearson, reason))
    columns = [*keys, "n", "spearman", "low", "high", "pearson", "reason"]
    return pd.DataFrame(rows, columns=columns)


def rank_correlation(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[float, float, float, str]:
    """Spearman's ρ of two lists, its 95% interval's ends, and why something is missing."""
    rho, reason = _correlation(_ranks(x), _ranks(y))
    bounds = spearman_interval(rho, len(x))
    return rho, bounds.low, bounds.high, reason or bounds.reason


def spearman_interval(rho: float, n: int, level: float = 0.95) -> Interval:
    """Fisher's z with the standard error √((1 + ρ²/2) / (n − 3)) of Bonett & Wright 2000.

    Undefined for fewer than five arms, and for a perfect order, where z is infinite.
    """
    if not np.isfinite(rho):
        return Interval.undefined("no correlation", level)
    if n < 5:
        return Interval.undefined(f"only {n} arms: an interval needs five", level)
    if abs(rho) > 1 - 1e-12:
        return Interval.undefined("ranks agree perfectly: the interval's formula has no end", level)
    half = ndtri((1 + level) / 2) * np.sqrt((1 + rho**2 / 2) / (n - 3))
    low, high = np.tanh(np.arctanh(rho) + np.array([-half, half]))
    return Interval(float(low), float(high), level)


def _correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, str]:
    if len(x) < 3:
        return np.nan, f"only {len(x)} arms have both"
    x, y = x - x.mean(), y - y.mean()
    scale = np.sqrt((x @ x) * (y @ y))
    if scale == 0:
        return np.nan, "all arms have the same value"
    return float(np.clip(x @ y / scale, -1, 1)), ""


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(pd.Series(values).rank(), np.float64)
