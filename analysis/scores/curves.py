"""Elo against guidance scale: the best scale, the curve, and whether two curves differ.

The best scale is one of those tried, with every tried scale that may be the best. With five scales
or more the curve between them is claimed too, with the error of interpolating (`smooth`).

For tests whether two curves differ, each series (a strategy's arms, or a variant's where it was
swept in several) has a natural cubic spline in log(scale) with as many knots as its scales can
bear (two for two scales, three up to five, then four), fitted to the arms' scores by generalised
least squares with the votes' information as weights. That is one Newton step from fitting the curve
to the votes directly, and everything about a curve is then a contrast of arms' scores, whose
clustered intervals are `sandwich`'s.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64
from numpy.typing import NDArray
from scipy.special import fdtrc  # pyright: ignore[reportMissingTypeStubs]

from analysis.errors import AnalysisError

from .all_pairs import simultaneous
from .interval import Interval
from .intervals import NO_VARIATION, ROUNDING, Sandwich
from .series import with_series
from .shown import Shown
from .smooth import FEWEST, draw_curve

GRID = 61  # scales at which curves are tabled
_FINE = 5  # times as many, at which their peaks are looked for
NO_TEST = "raters or prompts are too few, or too alike, for a test"


@dataclass(frozen=True)
class ScaleCurves(Shown):
    """Curves of all series with two or more scales; `strategy` names the series.

    Attributes:
        table: strategy, scale, elo, low, high (pointwise intervals), reason; a grid of scales,
            even in log(scale), for each series. With five scales or more it is the curve of
            `peak_low` and `peak_high`, else the spline of the tests.
        best: one row per series: strategy, scale (of its arm with the highest score), low, high
            (the tried scales that may be the best lie from `low` to `high`), elo (there), elo_low,
            elo_high, peak_low, peak_high (interval of the curve's highest point between scales;
            NaN for fewer than five scales), reason (also says when the best scale is the first or
            last tried, so that the true one may lie beyond).
        tests: one row per pair of series: strategy, against, f, df1, df2, p (of equal curves on
            the scales that both cover), best_difference (Elo of its best arm minus that of the
            other's), low, high, reason.
    """

    table: pd.DataFrame
    best: pd.DataFrame
    tests: pd.DataFrame

    def smooth(self) -> pd.DataFrame:
        """Return the rows of `table` of curves that are claimed between scales."""
        claimed = self.best.loc[self.best["peak_low"].notna(), "strategy"]
        return self.table[self.table["strategy"].isin(claimed)]


@dataclass(frozen=True)
class _Curve:
    """One series: scales tried, knots, and the (m, K) map from arms' scores to coefficients."""

    strategy: str
    arms: NDArray[np.int64]
    scales: NDArray[np.float64]
    knots: NDArray[np.float64]
    coefficients: NDArray[np.float64]

    def grid(self, size: int = GRID) -> NDArray[np.float64]:
        return np.asarray(np.geomspace(self.scales.min(), self.scales.max(), size), np.float64)

    def contrasts(self, scales: NDArray[np.float64]) -> NDArray[np.float64]:
        """(S, K) weights of arms' scores that give the curve at each scale."""
        return _natural_spline(np.log(scales), self.knots) @ self.coefficients


def scale_curves(
    intervals: Sandwich,
    arms: pd.DataFrame,
    anchor: str | None = None,
    draws: int = 4000,
    seed: int = 0,
) -> ScaleCurves:
    """Fit each series' Elo against its guidance scale.

    The best scale is that of the arm with the highest score. A tried scale may be the best unless
    another one's score is certainly higher, all pairs of the series compared together (Hsu 1984,
    doi:10.1214/aos/1176346711). With five scales or more, the interval of the curve's highest
    point between scales holds the error of interpolating, if the curve's third derivative in
    log(scale) is white noise (Wahba 1978; see `smooth`).

    For tests, with B the natural cubic spline basis in x = log(scale) at the arms of a series
    (Hastie, Tibshirani & Friedman 2009, eq. 5.4) and W the information of the votes on their
    scores σ, the curve is

        elo(x) = b(x)ᵀ (BᵀWB)⁻¹ BᵀW σ,

    generalised least squares (Aitken 1936). Its intervals are those of that contrast of scores.

    A strategy's arms are one series where their scales all differ. Where one scale repeats, each
    variant is a series by itself, `classifier_free [dpm20]` of the arms `dpm20-2`, `dpm20-3`, …;
    one that still repeats a scale has no curve (see `analysis.scores.series`).

    Args:
        intervals: `sandwich(fit, ballot)`.
        arms: arm (or name), strategy, scale (> 0; NaN for arms that are no point of a curve).
        anchor: an arm whose Elo curves are measured from, usually the unguided one.
        draws: of the scores' distribution, for intervals of the best scale.
        seed: of the draws.

    Raises:
        AnalysisError: `arms` lacks a column, or a scale is not positive.

    Examples:
        >>> arms = pd.DataFrame({"arm": ["cfg-2", "cfg-4"], "strategy": "cfg", "scale": [2.0, 4.0]})
        >>> scale_curves(intervals, arms).best[["strategy", "scale"]].values.tolist()
        [['cfg', 4.0]]
    """
    curves = _curves(intervals, arms)
    K = len(intervals.fit.arms)
    zero = np.zeros(K)
    if anchor is not None:
        reason = intervals.fit.reasons[intervals.fit.arms.index(anchor)]
        if not reason:
            zero[intervals.fit.arms.index(anchor)] = 1.0
    scores = np.where(np.isfinite(intervals.fit.scores), intervals.fit.scores, 0.0)
    drawn = draw_scores(intervals, scores, draws, seed)
    smooth = [_smooth(intervals, curve, zero, scores, drawn, seed) for curve in curves]
    table = [
        row
        for curve, found in zip(curves, smooth, strict=True)
        for row in (_spline_rows if found is None else found.rows)(intervals, curve, zero, scores)
    ]
    tests = [
        _test(intervals, first, second, scores)
        for first, second in itertools.combinations(curves, 2)
    ]
    return ScaleCurves(
        pd.DataFrame(table, columns=["strategy", "scale", "elo", "low", "high", "reason"]),
        pd.DataFrame(
            [
                _best(intervals, curve, zero, scores, drawn, found)
                for curve, found in zip(curves, smooth, strict=True)
            ],
            columns=["strategy", "scale", "low", "high", "elo", "elo_low", "elo_high", "peak_low",
                     "peak_high", "reason"],
        ),
        pd.DataFrame(
            tests,
            columns=["strategy", "against", "f", "df1", "df2", "p", "best_difference", "low",
                     "high", "reason"],
        ),
    )  # fmt: skip


def _from_anchor(intervals: Sandwich, contrast: NDArray[np.float64]) -> Interval:
    """Of a point of a curve; the anchor's own point, where it is one, is zero by definition."""
    if np.abs(contrast).max(initial=0.0) < 1e-9:  # weights are of order 1: only rounding is left
        return Interval(0.0, 0.0, intervals.level)
    return intervals.contrast(contrast)


def _curves(intervals: Sandwich, arms: pd.DataFrame) -> list[_Curve]:
    arms = arms.rename(columns={"name": "arm"}) if "arm" not in arms else arms
    missing = [name for name in ("arm", "strategy", "scale") if name not in arms]
    if missing:
        raise AnalysisError(
            f"The table of arms lacks {', '.join(missing)}; found {', '.join(map(str, arms))}. "
            "Curves need arm, strategy and scale."
        )
    fit = intervals.fit
    arms = with_series(arms.rename(columns={"arm": "name"})).rename(columns={"name": "arm"})
    known = arms[arms["arm"].isin(fit.arms) & arms["scale"].notna()]
    if (known["scale"] <= 0).any():
        raise AnalysisError("Curves are drawn over log(scale): found a scale that is not positive.")
    # Scores of two groups have different zeros, so curves join arms of the largest group alone.
    group = np.bincount(fit.groups[np.isfinite(fit.scores)]) if len(fit.arms) else np.zeros(1)
    linked = np.isfinite(fit.scores) & (fit.groups == np.argmax(group if len(group) else [0]))
    curves: list[_Curve] = []
    for series, rows in known.groupby("series", sort=False):
        index = np.array([fit.arms.index(str(name)) for name in rows["arm"]])
        scale = rows["scale"].to_numpy(np.float64)[linked[index]]
        index = index[linked[index]]
        if len(np.unique(scale)) > 1:
            curves.append(_fit_curve(str(series), intervals, index, scale))
    return curves


def _fit_curve(
    strategy: str, intervals: Sandwich, index: NDArray[np.int64], scale: NDArray[np.float64]
) -> _Curve:
    fit = intervals.fit
    x = np.log(scale)
    distinct = np.unique(x)
    # From four scales on there are fewer knots than scales: the curve smooths the scores' noise.
    count = min(len(distinct), 3 if len(distinct) < 6 else 4)
    knots = np.quantile(distinct, np.linspace(0, 1, count))
    basis = _natural_spline(x, knots)
    p = fit.win_probabilities()[np.ix_(index, index)]
    everyone = fit.win_probabilities()[index]
    # Votes against arms outside the curve tell scores too: their information is on the diagonal.
    weight = np.where(np.isfinite(everyone), fit.comparisons[index] * everyone * (1 - everyone), 0)
    information = -np.where(np.isfinite(p), fit.comparisons[np.ix_(index, index)] * p * (1 - p), 0)
    np.fill_diagonal(information, 0.0)
    information += np.diag(weight.sum(axis=1))
    information += np.eye(len(index)) * 1e-6 * np.trace(information)  # arms that only met here
    coefficients = np.zeros((count, len(fit.arms)))
    coefficients[:, index] = np.linalg.solve(basis.T @ information @ basis, basis.T @ information)
    return _Curve(strategy, index, scale, knots, coefficients)


def _natural_spline(x: NDArray[np.float64], knots: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, m) natural cubic splines on m knots (Hastie, Tibshirani & Friedman 2009, eq. 5.4)."""
    if len(knots) < 3:
        return np.column_stack([np.ones_like(x), x])

    def d(k: int) -> NDArray[np.float64]:
        above = np.maximum(x - knots[k], 0) ** 3 - np.maximum(x - knots[-1], 0) ** 3
        return above / (knots[-1] - knots[k])

    last = d(len(knots) - 2)
    return np.column_stack([np.ones_like(x), x, *[d(k) - last for k in range(len(knots) - 2)]])


def draw_scores(
    intervals: Sandwich, scores: Float64[NDArray[np.float64], "arms"], draws: int, seed: int
) -> Float64[NDArray[np.float64], "draws arms"]:
    """Return (R, K) draws of the scores' sampling distribution, multivariate t.

    A draw is scores + L z √(df / χ²_df), with L Lᵀ the clustered covariance and z standard normal
    (Genz & Bretz 2009, doi:10.1007/978-3-642-01689-9).

    Args:
        intervals: of the scores.
        scores: (K,) Elo points, the centre of the draws; finite.
        draws: R.
        seed: of the draws.

    Returns:
        Elo points; (0, K) where the votes do not show how far the scores could be off.

    Examples:
        >>> draw_scores(intervals, fit.scores, draws=500, seed=0).shape
        (500, 3)
    """
    if intervals.reason:
        return np.empty((0, len(scores)))
    rng = np.random.default_rng(seed)
    values, vectors = np.linalg.eigh(intervals.covariance.matrix(np.eye(len(scores))))
    if not values.max(initial=0.0) > ROUNDING**2:
        return np.empty((0, len(scores)))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    df = max(intervals.df, 1)
    # One χ² for the whole draw: separate ones would make the scores' errors independent.
    normal = rng.standard_normal((draws, len(scores))) @ root.T
    return scores + normal / np.sqrt(rng.chisquare(df, (draws, 1)) / df)


@dataclass(frozen=True)
class _SmoothCurve:
    """A curve between scales: (R, S) draws of it from the anchor, on a fine grid."""

    grid: NDArray[np.float64]
    draws: NDArray[np.float64]

    def peak(self, level: float, best: float) -> tuple[float, float]:
        """Interval of the highest point; never without the best scale tried."""
        tail = (1 - level) / 2
        tops = self.grid[np.argmax(self.draws, axis=1)]
        low, high = np.quantile(tops, [tail, 1 - tail], method="inverted_cdf")
        return min(float(low), best), max(float(high), best)

    def rows(
        self, intervals: Sandwich, curve: _Curve, _zero: object, _scores: object
    ) -> Iterator[tuple[object, ...]]:
        """Yield the curve's mean and pointwise intervals, as `_spline_rows` does."""
        tail, every = (1 - intervals.level) / 2, self.draws[:, ::_FINE]
        low, high = np.quantile(every, [tail, 1 - tail], axis=0)
        for row in zip(self.grid[::_FINE], every.mean(axis=0), low, high, strict=True):
            yield (curve.strategy, *map(float, row), "")


def _spline_rows(
    intervals: Sandwich, curve: _Curve, zero: NDArray[np.float64], scores: NDArray[np.float64]
) -> Iterator[tuple[object, ...]]:
    for scale, contrast in zip(curve.grid(), curve.contrasts(curve.grid()) - zero, strict=True):
        bounds = _from_anchor(intervals, contrast)
        value = float(contrast @ scores)
        yield (curve.strategy, scale, value, bounds.low, bounds.high, bounds.reason)


def _smooth(
    intervals: Sandwich,
    curve: _Curve,
    zero: NDArray[np.float64],
    scores: NDArray[np.float64],
    drawn: NDArray[np.float64],
    seed: int,
) -> _SmoothCurve | None:
    """Return the curve between scales; None where too few tell how smooth it is."""
    if len(curve.arms) < FEWEST or not len(drawn):
        return None
    own = np.eye(len(scores))[curve.arms] - zero
    grid = curve.grid((GRID - 1) * _FINE + 1)
    draws = draw_curve(
        np.log(curve.scales), own @ scores, drawn @ own.T, intervals.covariance.matrix(own),
        np.log(grid), np.random.default_rng(seed),
    )  # fmt: skip
    return _SmoothCurve(grid, draws)


def _best(
    intervals: Sandwich,
    curve: _Curve,
    zero: NDArray[np.float64],
    scores: NDArray[np.float64],
    drawn: NDArray[np.float64],
    smooth: _SmoothCurve | None,
) -> tuple[object, ...]:
    own = scores[curve.arms]
    top = int(np.argmax(own))
    best = float(curve.scales[top])
    contrast = np.eye(len(scores))[curve.arms[top]] - zero
    elo = _from_anchor(intervals, contrast)
    reason = intervals.reason or ("" if len(drawn) else NO_VARIATION)
    low = high = np.nan
    if len(drawn):
        may = curve.scales[_may_be_best(intervals, curve.arms)]
        low, high = float(may.min()), float(may.max())
    if best in (curve.scales.min(), curve.scales.max()):
        which = "smallest" if best == curve.scales.min() else "largest"
        reason = reason or f"the {which} scale tried: the best one may lie beyond"
    peak = (np.nan, np.nan) if smooth is None else smooth.peak(intervals.level, best)
    value = float(contrast @ scores)
    return (curve.strategy, best, low, high, value, elo.low, elo.high, *peak, reason)


def _may_be_best(intervals: Sandwich, arms: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(m,) whether no other of these arms is certainly above each, all pairs together."""
    m = len(arms)
    i, j = np.triu_indices(m, 1)
    units = np.eye(len(intervals.fit.arms))[arms]
    contrasts = units[i] - units[j]
    found = simultaneous(intervals, contrasts, draws=5000)
    beaten = np.zeros(m, bool)
    beaten[j[found.low > 0]] = True
    beaten[i[found.high < 0]] = True
    return ~beaten


def _test(
    intervals: Sandwich, first: _Curve, second: _Curve, scores: NDArray[np.float64]
) -> tuple[object, ...]:
    names = (first.strategy, second.strategy)
    tops = [int(curve.arms[np.argmax(scores[curve.arms])]) for curve in (first, second)]
    bounds = intervals.difference(tops[0], tops[1])
    gap = float(scores[tops[0]] - scores[tops[1]])
    low = max(first.scales.min(), second.scales.min())
    high = min(first.scales.max(), second.scales.max())
    nothing = (np.nan, 0, np.nan, np.nan)
    tail = (gap, bounds.low, bounds.high)
    if not low < high:
        return (*names, *nothing, *tail, "the strategies have no range of scales in common")
    q = min(len(first.knots), len(second.knots))
    points = np.asarray(np.geomspace(low, high, q), np.float64)
    contrasts = first.contrasts(points) - second.contrasts(points)
    f, df2 = wald(intervals, contrasts, contrasts @ scores)
    if np.isnan(f):
        return (*names, *nothing, *tail, intervals.reason or NO_TEST)
    return (*names, f, q, df2, float(fdtrc(q, df2, f)), *tail, "")


def wald(
    intervals: Sandwich,
    contrasts: Float64[NDArray[np.float64], "contrasts arms"],
    values: Float64[NDArray[np.float64], "contrasts"],
) -> tuple[float, float]:
    """Return Hotelling's F of H0 "all contrasts are zero", and its second degrees of freedom.

    With θ the Q values, V their clustered covariance and ν the degrees of freedom,

        F = θᵀ V⁻¹ θ · (ν − Q + 1) / (ν Q),  with Q and ν − Q + 1 degrees of freedom

    (Hotelling 1931; for clustered errors: Pustejovsky & Tipton 2018,
    doi:10.1080/07350015.2016.1247004).

    Args:
        intervals: of the scores.
        contrasts: (Q, K) linearly independent weights of scores.
        values: (Q,) their estimates.

    Returns:
        F with (Q, second) degrees of freedom; NaN twice where clusters are too few or too alike.

    Examples:
        >>> contrast = np.array([[1.0, 0, -1]])  # unguided less cfg-4
        >>> f, df2 = wald(intervals, contrast, contrast @ fit.scores)
        >>> round(f, 2), round(df2, 2)
        (2.5, 5.0)
    """
    if intervals.reason:
        return np.nan, np.nan
    q = len(contrasts)
    df = min(intervals.covariance.df(c) for c in contrasts)
    left = df - q + 1
    if left < 1:
        return np.nan, np.nan
    covariance = intervals.covariance.matrix(contrasts)
    spread = np.linalg.eigvalsh(covariance)
    # A covariance of lower rank than Q would make F anything at all: no test then.
    if not spread[0] > max(ROUNDING**2, 1e-10 * spread[-1]):
        return np.nan, np.nan
    statistic = float(values @ np.linalg.solve(covariance, values))
    return statistic * left / (df * q), left
