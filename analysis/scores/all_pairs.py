"""Every two arms compared, with the chance of a false claim held over all of them together.

Of the 120 differences between 16 equal arms, six have a 95% interval without zero by chance alone.
Intervals and p-values here are simultaneous: with the stated probability *no* interval of a table
misses. They come from the smallest p-value among correlated differences (Hothorn, Bretz & Westfall
2008, doi:10.1002/bimj.200810425), which is less strict than Bonferroni since differences share
arms. Its distribution is simulated from normal differences and applied to the t of each difference,
since each variance is estimated separately. A single t for all differences would give intervals
that are too narrow with few raters (docs/explanation/statistics.md).

Of more arms than `MANY`, neighbours in rank and a baseline are compared instead of all pairs, and
quantiles are Šidák's (1967, doi:10.1080/01621459.1967.10482935), which hold for any correlations:
the cost is linear in the pairs.

Rank sets follow from the differences (Mogstad, Romano, Shaikh & Wilhelm 2024,
doi:10.1093/restud/rdad006): an arm's rank is at best one more than the number of arms that
certainly beat it. Of many arms they follow from scores whose intervals hold together (Klein, Wright
& Wieczorek 2020, doi:10.1111/rssc.12402).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit  # pyright: ignore[reportMissingTypeStubs]

from .elo import MANY, EloFit, ranks_of
from .intervals import (
    Contrasts,
    RobustCovariance,
    Sandwich,
    difference_contrast,
    inverse_information,
    no_difference,
)
from .shown import Shown

_BLOCK = 4_000_000  # simulated values held at once


@dataclass(frozen=True)
class Comparisons(Shown):
    """Pairs of arms and what they say about ranks.

    Attributes:
        table: one row per pair (of many arms: neighbours in rank, and the baseline with each),
            larger score first: arm, against, difference (Elo points), low, high (simultaneous),
            p (of no difference, for this pair alone), p_adjusted (for all pairs together),
            distinct (whether `arm` is above at the stated level), reason (why no interval is
            given).
        ranks: one row per arm, best first: arm, rank, best, worst (the rank set); ranks are counted
            among the arms of a group with finite scores, others have 0 and a reason.
        critical: what replaces t's quantile where degrees of freedom are fewest.
        level: confidence level of the whole table.
    """

    table: pd.DataFrame
    ranks: pd.DataFrame
    critical: float
    level: float

    @property
    def every_pair(self) -> bool:
        """Whether all pairs were compared."""
        return len(self.ranks) <= MANY


@dataclass(frozen=True)
class Simultaneous:
    """Contrasts with intervals that hold together.

    Attributes:
        low: (Q,) lower ends, NaN where there is none.
        high: (Q,) upper ends.
        p: (Q,) two-sided p-values, each contrast alone.
        p_adjusted: (Q,) p-values for all together.
        critical: what replaces t's quantile where degrees of freedom are fewest.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    p: NDArray[np.float64]
    p_adjusted: NDArray[np.float64]
    critical: float


def compare_arms(
    intervals: Sandwich, draws: int = 20_000, seed: int = 0, baseline: str | None = None
) -> Comparisons:
    """Compare every two arms of a fit with multiplicity control, and return the rank sets.

    With q the quantile at `level` of max |z| among correlated normal differences, and t_q the
    quantile of Student's t that has the same tail probability, the interval of a difference is

        σ_i − σ_j ± t_q(df_ij) · SE_ij

    (Hothorn, Bretz & Westfall 2008). The best rank of an arm is 1 + the number of arms that
    certainly beat it, and its worst rank is K minus the number of arms that it certainly beats
    (Mogstad, Romano, Shaikh & Wilhelm 2024).

    Args:
        intervals: `sandwich(fit, ballot)`.
        draws: of the smallest p; p_adjusted is a multiple of 1 / (draws + 1).
        seed: of the draws.
        baseline: an arm that each of more than `MANY` arms is compared with, beside its neighbours
            in rank.

    Examples:
        >>> compare_arms(intervals).ranks[["arm", "rank", "best", "worst"]].values.tolist()
        [['cfg-4', 1, 1, 3], ['cfg-2', 2, 1, 3], ['unguided', 3, 1, 3]]
    """
    fit = intervals.fit
    K = len(fit.arms)
    if K > MANY:
        return _compare_many(intervals, baseline)
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


def _compare_many(intervals: Sandwich, baseline: str | None) -> Comparisons:
    """Neighbours in rank and the baseline with each, at a cost linear in the arms."""
    fit = intervals.fit
    order = _order(fit)
    scored = order[np.isfinite(fit.scores[order])]
    pairs = [(int(i), int(j)) for i, j in itertools.pairwise(scored)]
    if baseline is not None:
        place = fit.arms.index(baseline)
        beside = {*pairs}
        pairs += [
            pair for arm in map(int, scored) if arm != place
            for pair in [(arm, place) if fit.scores[arm] >= fit.scores[place] else (place, arm)]
            if pair not in beside
        ]  # fmt: skip
    i, j = np.array(pairs, np.int64).reshape(-1, 2).T
    reasons = [intervals.reason or no_difference(fit, a, b) for a, b in pairs]
    known = np.array([not reason for reason in reasons], bool)
    contrasts = intervals.units(i[known]) - intervals.units(j[known])
    found = _sidak(intervals, contrasts)
    values = np.full((len(pairs), 4), np.nan)
    values[known] = np.column_stack([found.low, found.high, found.p, found.p_adjusted])
    arms = np.array(fit.arms, object)
    gaps = np.where(fit.groups[i] == fit.groups[j], fit.scores[i] - fit.scores[j], np.nan)
    table = pd.DataFrame({"arm": arms[i], "against": arms[j], "difference": gaps})
    table[["low", "high", "p", "p_adjusted"]] = values
    table["distinct"], table["reason"] = values[:, 0] > 0, reasons
    ranks = _ranks(fit, *_beaten(intervals, scored))
    return Comparisons(table, ranks, found.critical, intervals.level)


def _beaten(
    intervals: Sandwich, scored: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(K,) how many arms are certainly above each, and how many below: intervals that are apart."""
    fit = intervals.fit
    above, below = np.zeros(len(fit.arms), np.int64), np.zeros(len(fit.arms), np.int64)
    found = _sidak(intervals, intervals.units(scored))
    for group in np.unique(fit.groups[scored]):
        own = fit.groups[scored] == group
        low, high = np.sort(found.low[own]), np.sort(found.high[own])
        members = scored[own]
        above[members] = len(low) - np.searchsorted(low, found.high[own], side="right")
        below[members] = np.searchsorted(high, found.low[own], side="left")
        if np.isnan(low).any():
            above[members] = below[members] = 0
    return above, below


def _sidak(intervals: Sandwich, contrasts: Contrasts) -> Simultaneous:
    """Return intervals that hold together whatever the correlations of their contrasts are."""
    Q = contrasts.shape[0]
    if intervals.reason or not Q:
        nothing = np.full(Q, np.nan)
        return Simultaneous(nothing, nothing, nothing, nothing, np.nan)
    values = contrasts @ np.where(np.isfinite(intervals.fit.scores), intervals.fit.scores, 0.0)
    errors = np.sqrt(intervals.covariance.variances(contrasts))
    df = np.maximum(intervals.covariance.dfs(contrasts), 0.5)
    p = 2 * stdtr(df, -np.abs(values) / np.maximum(errors, 1e-300))
    quantiles = stdtrit(df, (1 + intervals.level ** (1 / Q)) / 2)
    together = -np.expm1(Q * np.log1p(-np.minimum(p, 1 - 1e-16)))
    half = errors * quantiles
    return Simultaneous(values - half, values + half, p, together, float(quantiles.max()))


def simultaneous(
    intervals: Sandwich,
    contrasts: Float64[NDArray[np.float64], "contrasts arms"],
    draws: int = 20_000,
    seed: int = 0,
) -> Simultaneous:
    """Return intervals of several contrasts of scores that hold together.

    Each is value ± t_q(df) · SE as in `compare_arms`, with q the quantile of the largest |z| among
    these contrasts. All are undefined (NaN) where the fit has no intervals.

    Args:
        intervals: `sandwich(fit, ballot)`.
        contrasts: (Q, K) weights, zero for arms without a finite score; for example `np.eye(K)`
            for the scores of a leaderboard.
        draws: of the smallest p.
        seed: of the draws.

    Examples:
        >>> together, alone = simultaneous(intervals, np.eye(3)), intervals.score(0)
        >>> bool(together.low[0] < alone.low and alone.high < together.high[0])
        True
    """
    if intervals.reason:
        nothing = np.full(len(contrasts), np.nan)
        return Simultaneous(nothing, nothing, nothing, nothing, np.nan)
    scores = np.where(np.isfinite(intervals.fit.scores), intervals.fit.scores, 0.0)
    alone = inverse_information(intervals.fit)
    values, level = contrasts @ scores, intervals.level
    return hold_together(values, intervals.covariance, contrasts, alone, level, draws, seed)


def hold_together(
    values: Float64[NDArray[np.float64], "contrasts"],
    covariance: RobustCovariance,
    contrasts: Contrasts,
    alone: Float64[NDArray[np.float64], "parameters parameters"],
    level: float,
    draws: int = 20_000,
    seed: int = 0,
) -> Simultaneous:
    """Return intervals of several contrasts of any parameters that hold together.

    Each is value ± t_q(df) · SE as in `compare_arms`.

    Args:
        values: (Q,) estimates of the contrasts.
        covariance: of the parameters.
        contrasts: (Q, P) weights.
        alone: (P, P) covariance of the parameters were votes independent, up to a factor.
        level: confidence level.
        draws: of the smallest p.
        seed: of the draws.
    """
    Q = contrasts.shape[0]
    if covariance.reason or not Q:
        nothing = np.full(Q, np.nan)
        return Simultaneous(nothing, nothing, nothing, nothing, np.nan)
    errors = np.sqrt(covariance.variances(contrasts))
    # Below half a degree of freedom `RobustCovariance.interval` gives no interval either.
    df = np.maximum(covariance.dfs(contrasts), 0.5)
    # A zero error makes the t infinite and p zero, rather than NaN.
    p = 2 * stdtr(df, -np.abs(values) / np.maximum(errors, 1e-300))
    largest = np.sort(_largest_normal(_correlating(covariance, alone), contrasts, draws, seed))
    quantiles = stdtrit(df, ndtr(np.quantile(largest, level)))
    larger = np.asarray(np.searchsorted(largest, -ndtri(p / 2), side="left"), np.int64)
    beyond = draws - larger
    return Simultaneous(
        values - errors * quantiles,
        values + errors * quantiles,
        p,
        # Plus one: a simulated p-value of zero would claim more than the draws can show.
        np.maximum((beyond + 1) / (draws + 1), p),
        float(quantiles.max()),
    )


def _correlating(covariance: RobustCovariance, alone: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P, P) covariance of parameters to take correlations from.

    What few raters show of it has few dimensions and would claim that differences go together, so
    it is mixed with that of independent votes, as if of P raters more.
    """
    P = len(alone)
    shown = covariance.matrix()
    df = min(c.effective_clusters(np.ones(P)) for c in covariance.concentrations) - 1
    scale = np.trace(shown) / max(np.trace(alone), 1e-300)
    return (df * shown + P * scale * alone) / (df + P)


def _largest_normal(
    covariance: NDArray[np.float64], contrasts: Contrasts, draws: int, seed: int
) -> NDArray[np.float64]:
    """(draws,) largest |z| among standardised contrasts of scores of that covariance."""
    rng = np.random.default_rng(seed)
    # Not Cholesky's root: the covariance is singular, since scores have mean zero.
    values, vectors = np.linalg.eigh(covariance)
    spread = contrasts @ (vectors * np.sqrt(np.maximum(values, 0.0)))
    spread /= np.maximum(np.linalg.norm(spread, axis=1, keepdims=True), 1e-300)
    largest = np.empty(draws)
    block = max(1, _BLOCK // contrasts.shape[0])
    for start in range(0, draws, block):
        size = min(block, draws - start)
        normal = rng.standard_normal((size, len(covariance))) @ spread.T
        largest[start : start + size] = np.abs(normal).max(axis=1)
    return largest


def _rank_sets(
    intervals: Sandwich, pairs: list[tuple[int, int]], values: NDArray[np.float64]
) -> pd.DataFrame:
    fit = intervals.fit
    above, below = np.zeros(len(fit.arms), np.int64), np.zeros(len(fit.arms), np.int64)
    for (i, j), (low, *_) in zip(pairs, values, strict=True):
        if low > 0:
            above[j] += 1
            below[i] += 1
    return _ranks(fit, above, below)


def _order(fit: EloFit) -> NDArray[np.int64]:
    """(K,) arms with finite scores by group, best first; then the others."""
    finite = np.isfinite(fit.scores)
    return np.lexsort([-np.where(finite, fit.scores, -np.inf), np.where(finite, fit.groups, 0),
                       ~finite])  # fmt: skip


def _ranks(fit: EloFit, above: NDArray[np.int64], below: NDArray[np.int64]) -> pd.DataFrame:
    finite = np.isfinite(fit.scores)
    ranks, sizes = np.zeros(len(fit.arms), np.int64), np.zeros(len(fit.arms), np.int64)
    for group in np.unique(fit.groups[finite]):
        own = np.flatnonzero(finite & (fit.groups == group))
        ranks[own], sizes[own] = ranks_of(fit.scores[own]), len(own)
    rows: list[tuple[Any, ...]] = []
    for i in map(int, _order(fit)):
        rank = best = worst = 0
        if finite[i]:
            rank, best, worst = int(ranks[i]), int(above[i]) + 1, int(sizes[i] - below[i])
        rows.append((fit.arms[i], rank, best, worst, fit.reasons[i]))
    return pd.DataFrame(rows, columns=["arm", "rank", "best", "worst", "reason"])
