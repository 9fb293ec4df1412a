"""Metrics against people: do the metrics rank arms as raters do?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64
from numpy.typing import NDArray
from scipy.special import ndtri  # pyright: ignore[reportMissingTypeStubs]

from analysis.scores import Interval


def join_metrics(metrics: pd.DataFrame, elo: pd.DataFrame) -> pd.DataFrame:
    """Return each arm's metric values beside its Elo.

    Args:
        metrics: arm, metric, value, ci_low, ci_high, extractor.
        elo: question, rater_kind, arm, elo, low, high; rows without a finite Elo are left out.

    Returns:
        question, rater_kind, arm, metric, extractor, value, ci_low, ci_high, elo, low, high.

    Examples:
        >>> elo = pd.DataFrame({"question": "q", "rater_kind": "person", "arm": ["a"],
        ...                     "elo": [12.0], "low": [-5.0], "high": [29.0]})
        >>> metrics = pd.DataFrame({"arm": ["a"], "metric": "fid", "extractor": "x", "value": [9.5],
        ...                         "ci_low": [9.0], "ci_high": [10.0]})
        >>> join_metrics(metrics, elo)[["arm", "metric", "value", "elo"]].values.tolist()
        [['a', 'fid', 9.5, 12.0]]
    """
    scored = elo[np.isfinite(elo["elo"])][["question", "rater_kind", "arm", "elo", "low", "high"]]
    measured = metrics[np.isfinite(metrics["value"])]
    kept = measured[["arm", "metric", "extractor", "value", "ci_low", "ci_high"]]
    return scored.merge(kept, on="arm", how="inner")


def metric_correlations(joined: pd.DataFrame) -> pd.DataFrame:
    """Return the correlation of each metric with Elo across arms.

    Both are computed: Spearman's ρ with the interval of Bonett & Wright 2000, and Pearson's r.
    The sign is as measured: a good FID correlates negatively. Elo scores have errors of their own,
    which the interval leaves out, so it says how far these arms speak for a metric, no more.

    Args:
        joined: what `join_metrics` returned.

    Returns:
        question, rater_kind, metric, extractor, n (arms), spearman, low, high, pearson, reason.

    Examples:
        >>> joined = pd.DataFrame({"question": "q", "rater_kind": "person", "metric": "fid",
        ...                        "extractor": "x", "value": [9.0, 8, 7], "elo": [-50.0, 0, 50]})
        >>> metric_correlations(joined).loc[0, ["n", "spearman", "pearson"]].tolist()
        [3.0, -1.0, -1.0]
    """
    keys = ["question", "rater_kind", "metric", "extractor"]
    rows: list[tuple[Any, ...]] = []
    for labels, arms in joined.groupby(keys, sort=False, observed=True, dropna=False):
        value, elo = arms["value"].to_numpy(np.float64), arms["elo"].to_numpy(np.float64)
        spearman, low, high, reason = rank_correlation(value, elo)
        pearson, _ = _correlation(value, elo)
        rows.append((*labels, len(arms), spearman, low, high, pearson, reason))
    columns = [*keys, "n", "spearman", "low", "high", "pearson", "reason"]
    return pd.DataFrame(rows, columns=columns)


def rank_correlation(
    x: Float64[NDArray[np.float64], "arms"], y: Float64[NDArray[np.float64], "arms"]
) -> tuple[float, float, float, str]:
    """Return Spearman's ρ of two lists, its 95% interval's ends, and why something is missing.

    ρ is Pearson's r of the ranks; equal values share their mean rank.

    Args:
        x: (n,) values.
        y: (n,) values of the same arms.

    Returns:
        ρ, low, high and a reason, empty where nothing is missing. ρ is NaN for fewer than three
        arms, and where all values of a list are equal.

    Examples:
        >>> x, y = np.arange(6.0), np.array([0.0, 1, 2, 4, 3, 5])
        >>> rho, low, high, reason = rank_correlation(x, y)
        >>> round(rho, 2), round(low, 2), round(high, 2)
        (0.94, 0.38, 1.0)
    """
    rho, reason = _correlation(_ranks(x), _ranks(y))
    bounds = spearman_interval(rho, len(x))
    return rho, bounds.low, bounds.high, reason or bounds.reason


def spearman_interval(rho: float, n: int, level: float = 0.95) -> Interval:
    """Return the interval of ρ by Fisher's z.

    The ends are tanh(artanh ρ ± z √((1 + ρ²/2) / (n − 3))), with the standard error of Bonett &
    Wright 2000 (doi:10.1007/BF02294183). The interval is undefined for fewer than five arms, and
    for a perfect order, where artanh is infinite.
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
    # Not np.corrcoef, which warns and divides by zero where all values are equal.
    scale = np.sqrt((x @ x) * (y @ y))
    if scale == 0:
        return np.nan, "all arms have the same value"
    return float(np.clip(x @ y / scale, -1, 1)), ""


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(pd.Series(values).rank(), np.float64)
