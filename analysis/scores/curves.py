"""Elo against guidance scale as a smooth curve: its best scale, and whether two curves differ.

Each series (a strategy's arms, or a variant's where it was swept in several) has a natural cubic
spline in log(scale) with as many knots as its scales can bear (two for two scales, three up to
five, then four), fitted to the arms' scores by generalised least squares with the votes'
information as weights. That is one Newton step from fitting the curve to the votes directly, and
everything about a curve is then a contrast of arms' scores, whose clustered intervals are
`sandwich`'s.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64
from numpy.typing import NDArray
from scipy.special import fdtrc  # pyright: ignore[reportMissingTypeStubs]

from analysis.errors import AnalysisError

from .interval import Interval
from .intervals import NO_VARIATION, ROUNDING, Sandwich
from .series import with_series

GRID = 61  # scales at which curves are tabled
NO_TEST = "raters or prompts are too few, or too alike, for a test"


@dataclass(frozen=True)
class ScaleCurves:
    """Curves of all series with two or more scales; `strategy` names the series.

    Attributes:
        table: strategy, scale, elo, low, high (pointwise intervals), reason; a grid of scales,
            even in log(scale), for each series.
        best: one row per series: strategy, scale (where its curve is highest), low, high (interval
            of that scale), elo (there), elo_low, elo_high, reason (also says when the best scale
            is the first or last tried, so that the true one may lie beyond).
        tests: one row per pair of series: strategy, against, f, df1, df2, p (of equal curves on
            the scales that both cover), best_difference (Elo at its own best scale minus the
            other's at its), low, high, reason.
    """

    table: pd.DataFrame
    best: pd.DataFrame
    tests: pd.DataFrame


@dataclass(frozen=True)
class _Curve:
    """One series: scales tried, knots, and the (m, K) map from arms' scores to coefficients."""

    strategy: str
    scales: NDArray[np.float64]
    knots: NDArray[np.float64]
    coefficients: NDArray[np.float64]

    def grid(self) -> NDArray[np.float64]:
        return np.asarray(np.geomspace(self.scales.min(), self.scales.max(), GRID), np.float64)

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

    With B the natural cubic spline basis in x = log(scale) at the arms of a series (Hastie,
    Tibshirani & Friedman 2009, eq. 5.4) and W the information of the votes on their scores σ, the
    curve is

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
    table = [
        (curve.strategy, scale, float(contrast @ scores), bounds.low, bounds.high, bounds.reason)
        for curve in curves
        for scale, contrast in zip(curve.grid(), curve.contrasts(curve.grid()) - zero, strict=True)
        for bounds in [_from_anchor(intervals, contrast)]
    ]
    tests = [
        _test(intervals, first, second, scores, drawn)
        for first, second in itertools.combinations(curves, 2)
    ]
    return ScaleCurves(
        pd.DataFrame(table, columns=["strategy", "scale", "elo", "low", "high", "reason"]),
        pd.DataFrame(
            [_best(intervals, curve, zero, scores, drawn) for curve in curves],
            columns=["strategy", "scale", "low", "high", "elo", "elo_low", "elo_high", "reason"],
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
    return _Curve(strategy, scale, knots, coefficients)


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


def _best(
    intervals: Sandwich,
    curve: _Curve,
    zero: NDArray[np.float64],
    scores: NDArray[np.float64],
    drawn: NDArray[np.float64],
) -> tuple[object, ...]:
    grid = curve.grid()
    contrasts = curve.contrasts(grid)
    top = int(np.argmax(contrasts @ scores))
    elo = intervals.contrast(contrasts[top] - zero)
    reason = intervals.reason or ("" if len(drawn) else NO_VARIATION)
    low = high = np.nan
    if len(drawn):
        tail = (1 - intervals.level) / 2
        tops = grid[np.argmax(drawn @ contrasts.T, axis=1)]
        # `inverted_cdf` returns a scale of the grid, where interpolation would invent others.
        low, high = np.quantile(tops, [tail, 1 - tail], method="inverted_cdf")
    if top in (0, GRID - 1):
        which = "smallest" if top == 0 else "largest"
        reason = reason or f"the {which} scale tried: the best one may lie beyond"
    value = float((contrasts[top] - zero) @ scores)
    return (curve.strategy, grid[top], low, high, value, elo.low, elo.high, reason)


def _test(
    intervals: Sandwich,
    first: _Curve,
    second: _Curve,
    scores: NDArray[np.float64],
    drawn: NDArray[np.float64],
) -> tuple[object, ...]:
    names = (first.strategy, second.strategy)
    peaks = [_peaks(curve, drawn) for curve in (first, second)]
    tops = [float(_peaks(curve, scores[None])[0]) for curve in (first, second)]
    gap = tops[0] - tops[1]
    bounds = Interval.undefined(intervals.reason)
    if len(drawn):
        tail = (1 - intervals.level) / 2
        low, high = np.quantile(peaks[0] - peaks[1], [tail, 1 - tail])
        bounds = Interval(float(low), float(high), intervals.level)
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


def _peaks(curve: _Curve, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R,) the highest value of the curve for each of (R, K) scores."""
    if not len(scores):
        return np.empty(0)
    return (scores @ curve.contrasts(curve.grid()).T).max(axis=1)


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
