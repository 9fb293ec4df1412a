"""Intervals of shares: of independent votes, and of votes that belong to raters.

Both are Wilson's score interval, so their ends never leave 0 to 1.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit  # pyright: ignore[reportMissingTypeStubs]

from .covariance import Column, Linearised
from .interval import Interval
from .intervals import CONCENTRATED, ONE_RATER


def wilson(successes: float, n: float, level: float = 0.95) -> Interval:
    """Return Wilson's score interval of a share of independent trials.

    With p = successes / n and z the normal quantile, the ends are

        (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n)

    (Wilson 1927, doi:10.1080/01621459.1927.10502953).

    Args:
        successes: between 0 and n, which may be an effective number and so a fraction.
        n: trials, ≥ 0; an undefined interval where 0.
        level: confidence level, between 0 and 1.

    Examples:
        >>> wilson(8, 10)
        Interval(low=0.49..., high=0.94..., level=0.95, reason='')
    """
    if not n > 0:
        return Interval.undefined("no votes", level)
    z, share = float(ndtri((1 + level) / 2)), successes / n
    middle = share + z**2 / (2 * n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)
    # Rounding may move an end beyond the share, which is itself an end where it is 0 or 1.
    return Interval(float(max(0.0, min(low, share))), float(min(1.0, max(high, share))), level)


def clustered_share(
    values: Float64[NDArray[np.float64], "votes"],
    clusters: Int64[NDArray[np.int64], "votes"],
    level: float = 0.95,
) -> Interval:
    """Return the interval of a share whose votes belong to clusters, usually raters.

    Wilson's interval at the effective sample size

        n* = p(1 − p) / v · (z / t)²,  at most N,

    with v the variance of the share by the cluster jackknife (as `sandwich` takes it) and t the
    quantile at G* − 1 degrees of freedom, G* the effective number of clusters (Korn & Graubard
    1998, Survey Methodology 24, 193–201; Dean & Pagano 2015, doi:10.1093/jssam/smv024). Where all
    values are equal, v can't be estimated: n* is then G*, as if each cluster had one say.

    Args:
        values: (N,) of 0 and 1.
        clusters: (N,) int64 codes ≥ 0.
        level: confidence level, between 0 and 1.

    Examples:
        >>> bounds = clustered_share(np.array([1.0, 1, 1, 0]), np.array([0, 0, 1, 1]))
        >>> 0 <= bounds.low <= 0.75 <= bounds.high <= 1
        True
    """
    if not len(values):
        return Interval.undefined("no votes", level)
    used, codes = np.unique(clusters, return_inverse=True)
    if len(used) < 2:
        return Interval.undefined(ONE_RATER, level)
    N, share = len(values), float(values.mean())
    # A mean is a linear model with one parameter, so its clustered error is the fits' own.
    at = Linearised(
        (Column(np.zeros(N, np.int64)),), (values - share)[None], np.ones((1, 1, N)),
        np.array([[1 / N]]),
    )  # fmt: skip
    covariance, spread = at.covariance(codes.astype(np.int64), len(used))
    effective = spread.effective_clusters(np.ones(1))
    if effective < 1.5:
        return Interval.undefined(CONCENTRATED, level)
    of_one, variance = share * (1 - share), float(covariance[0, 0])
    if not of_one > 0:
        return wilson(share * effective, effective, level)
    widened = float(ndtri((1 + level) / 2) / stdtrit(effective - 1, (1 + level) / 2)) ** 2
    # A variance below that of independent votes is chance; n* ≤ N claims nothing of it.
    n = min(of_one * widened / variance, N) if variance > 0 else N
    return wilson(share * n, n, level)
