"""Every two arms compared, with the chance of a false claim held over all of them together.

Of 16 arms' 120 differences six leave zero out of their 95% intervals by luck alone. Intervals and
p-values here are simultaneous: with the stated probability *no* interval of a table misses. Their
common quantile is that of the largest |t| among correlated differences (Hothorn, Bretz & Westfall
2008, doi:10.1002/bimj.200810425), by simulation from the scores' own covariance, which is less
strict than Bonferroni since differences share arms.

Rank sets follow from the differences (Mogstad, Romano, Shaikh & Wilhelm 2024,
doi:10.1093/restud/rdad006): an arm's rank is at best one more than the number of arms that
certainly beat it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from .intervals import Sandwich, difference_contrast

_BLOCK = 4_000_000  # of simulated t values held at once


@dataclass(frozen=True)
class Comparisons:
    """All pairs of arms and what they say about ranks.

    Attributes:
        table: a row a pair, larger score first: arm, against, difference (Elo points), low, high
            (simultaneous), p (of no difference, for this pair alone), p_adjusted (for all pairs
            together), distinct (whether `arm` is above at the stated level), reason (why there
            is no interval).
        ranks: a row an arm, best first: arm, rank, best, worst (the rank set); ranks are counted
            among arms with a finite score, others have 0 and a reason.
        critical: the common quantile that replaces t's (about 1.96 for a single comparison).
        level: confidence level of the whole table.
    """

    table: pd.DataFrame
    ranks: pd.DataFrame
    critical: float
    level: float


@dataclass(frozen=True)
class Simultaneous:
    """Contrasts with intervals that hold together.

    Attributes:
        low: (Q,) lower ends, NaN where there is none.
        high: (Q,) upper ends.
        p: (Q,) two-sided p-values, each contrast alone.
        p_adjusted: (Q,) p-values for all together.
        critical: the common quantile.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    p: NDArray[np.float64]
    p_adjusted: NDArray[np.float64]
    critical: float


def compare_arms(intervals: Sandwich, draws: int = 20_000, seed: int = 0) -> Comparisons:
    """All differences between arms of a fit, with multiplicity control, and rank sets.

    Args:
        intervals: `sandwich(fit, ballot)`.
        draws: of the largest |t|; p_adjusted is a multiple of 1 / (draws + 1).
        seed: of the draws.
    """
    fit = intervals.fit
    K = len(fit.arms)
    gaps = fit.differences()
    pairs = [
        (i, j) if not gaps[j, i] > 0 else (j, i) for i, j in itertools.combinations(range(K), 2)
    ]
    reasons = [intervals.difference(i, j).reason for i, j in pairs]
    known = [k for k, reason in enumerate(reasons) if not reason]
    contrasts = np.array([difference_contrast(K, *pairs[k]) for k in known]).reshape(-1, K)
    found = simultaneous(intervals, contrasts, draws, seed)
    values = np.full((len(pairs), 4), np.nan)
    values[known] = np.column_stack([found.low, found.high, found.p, found.p_adjusted])
    table = pd.DataFrame(
        [(fit.arms[i], fit.arms[j], gaps[i, j]) for i, j in pairs],
        columns=["arm", "against", "difference"],
    )
    table[["low", "high", "p", "p_adjusted"]] = values
    table["distinct"] = values[:, 0] > 0
    table["reason"] = reasons
    return Comparisons(table, _rank_sets(intervals, pairs, values), found.critical, intervals.level)


def simultaneous(
    intervals: Sandwich, contrasts: NDArray[np.float64], draws: int = 20_000, seed: int = 0
) -> Simultaneous:
    """Intervals of several contrasts of scores that hold together.

    Args:
        intervals: `sandwich(fit, ballot)`.
        contrasts: (Q, K) weights, zero for arms without a finite score; for example `np.eye(K)`
            for the scores of a leaderboard.
        draws: of the largest |t|.
        seed: of the draws.
    """
    Q = len(contrasts)
    nothing = np.full(Q, np.nan)
    if intervals.reason or not Q:
        return Simultaneous(nothing, nothing, nothing, nothing, np.nan)
    scores = np.where(np.isfinite(intervals.fit.scores), intervals.fit.scores, 0.0)
    values = contrasts @ scores
    errors = np.sqrt([intervals.covariance.variance(c) for c in contrasts])
    df = np.maximum([intervals.covariance.df(c) for c in contrasts], 1.0)
    t = np.abs(values) / np.maximum(errors, 1e-300)
    largest = _largest_t(intervals, contrasts, float(df.min()), draws, seed)
    critical = float(np.quantile(largest, intervals.level))
    beyond = draws - np.searchsorted(np.sort(largest), t, side="left")
    # Contrasts with more votes behind them have more degrees of freedom than the scarcest one.
    end = (1 + intervals.level) / 2
    widths = errors * critical * stdtrit(df, end) / stdtrit(df.min(), end)
    return Simultaneous(
        values - widths,
        values + widths,
        2 * stdtr(df, -t),
        (beyond + 1) / (draws + 1),
        critical,
    )


def _largest_t(
    intervals: Sandwich, contrasts: NDArray[np.float64], df: float, draws: int, seed: int
) -> NDArray[np.float64]:
    """(draws,) largest |t| of contrasts drawn from the scores' multivariate t distribution."""
    rng = np.random.default_rng(seed)
    K = contrasts.shape[1]
    values, vectors = np.linalg.eigh(intervals.covariance.matrix(np.eye(K)))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    spread = contrasts @ root
    spread /= np.maximum(np.linalg.norm(spread, axis=1, keepdims=True), 1e-300)
    largest = np.empty(draws)
    block = max(1, _BLOCK // len(contrasts))
    for start in range(0, draws, block):
        size = min(block, draws - start)
        normal = np.abs(rng.standard_normal((size, K)) @ spread.T).max(axis=1)
        largest[start : start + size] = normal / np.sqrt(rng.chisquare(df, size) / df)
    return largest


def _rank_sets(
    intervals: Sandwich, pairs: list[tuple[int, int]], values: NDArray[np.float64]
) -> pd.DataFrame:
    fit = intervals.fit
    finite = np.isfinite(fit.scores)
    above, below = np.zeros(len(fit.arms), int), np.zeros(len(fit.arms), int)
    for (i, j), (low, *_) in zip(pairs, values, strict=True):
        if low > 0:
            above[j] += 1
            below[i] += 1
    rows = []
    for i in np.argsort(-np.where(finite, fit.scores, -np.inf), kind="stable"):
        rank = int((fit.scores[finite] > fit.scores[i]).sum()) + 1 if finite[i] else 0
        best, worst = (above[i] + 1, finite.sum() - below[i]) if finite[i] else (0, 0)
        rows.append((fit.arms[i], rank, int(best), int(worst), fit.reasons[i]))
    return pd.DataFrame(rows, columns=["arm", "rank", "best", "worst", "reason"])
