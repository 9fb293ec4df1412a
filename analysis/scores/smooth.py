"""The curve between tried scales, with the error of interpolating: a smoothing spline as Bayes'.

Scores are known at the tried scales only. What lies between them follows from an assumption of
smoothness. Here the curve's third derivative in log(scale) is white noise of a size that the scores
tell: a twice integrated Wiener process more than a parabola (Wahba 1978,
doi:10.1111/j.2517-6161.1978.tb01050.x). A parabola is thus the simplest curve.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import (  # pyright: ignore[reportMissingTypeStubs]
    null_space,  # pyright: ignore[reportUnknownVariableType]
)

ORDER = 3  # of the derivative that is white noise
FEWEST = ORDER + 2  # scales that tell how rough a curve is
_SIZES = np.geomspace(1e-3, 12, 60)  # of the roughness, relative to what errorless scores show


def draw_curve(
    x: NDArray[np.float64],
    scores: NDArray[np.float64],
    drawn: NDArray[np.float64],
    covariance: NDArray[np.float64],
    grid: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return (R, S) draws of a curve given its noisy values at a few places.

    With C the m − 3 contrasts of values that vanish on parabolas and τ²P their covariance under the
    process, the likelihood of τ is that of Cy ~ N(0, τ²P + CVCᵀ) (restricted likelihood), and its
    prior is 1/τ. Each draw takes a τ, the values at the m places given τ, and what the process adds
    between them.

    Args:
        x: (m,) places, log(scale).
        scores: (m,) values.
        drawn: (R, m) draws of the values' sampling distribution.
        covariance: (m, m) of the values.
        grid: (S,) places at which the curve is wanted, within those of `x`.
        rng: of the draws.
    """
    weights, rest, contrasts, roughness = _process(x - x.min(), grid - x.min())
    noise = contrasts @ covariance @ contrasts.T
    shown = contrasts @ scores
    usual = np.sqrt(max(shown @ np.linalg.solve(roughness, shown), 1e-18) / len(shown))
    sizes = usual * _SIZES
    logs = np.array([_log_density(shown, size**2 * roughness + noise) for size in sizes])
    chances = np.exp(logs - logs.max())
    # The prior 1/τ is even in log τ, and so are the sizes.
    chosen = rng.choice(len(sizes), len(drawn), p=chances / chances.sum())
    rough = rng.standard_normal((len(drawn), len(shown))) @ _root(roughness).T
    values = drawn.copy()
    for k in np.unique(chosen):
        rows, total = chosen == k, sizes[k] ** 2 * roughness + noise
        gain = np.linalg.solve(total, contrasts @ covariance)
        values[rows] -= (values[rows] @ contrasts.T - sizes[k] * rough[rows]) @ gain
    between = rng.standard_normal((len(drawn), len(grid))) @ _root(rest).T
    return values @ weights.T + sizes[chosen, None] * between


def _process(x: NDArray[np.float64], grid: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Weights of values that give the curve, covariance of the rest, C, and C's covariance."""
    own, mixed, far = _kernel(x, x), _kernel(x, grid), _kernel(grid, grid)
    trend, trend_far = (np.vander(at, ORDER, increasing=True) for at in (x, grid))
    m = len(x)
    system = np.block([[own, trend], [trend.T, np.zeros((ORDER, ORDER))]])
    # Universal kriging. The place 0 makes `own` singular, not the system.
    solved = np.asarray(np.linalg.solve(system, np.vstack([mixed, trend_far.T])), np.float64)
    weights = solved[:m].T
    cross = weights @ mixed
    rest = far - cross - cross.T + weights @ own @ weights.T
    contrasts = np.asarray(null_space(trend.T), np.float64).T
    return weights, rest, contrasts, contrasts @ own @ contrasts.T


def _kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariance of a twice integrated Wiener process: ∫₀^min ((a − u)(b − u))² / 4 du."""
    low, gap = np.minimum(a[:, None], b), np.abs(a[:, None] - b)
    return low**3 * (low**2 / 20 + low * gap / 8 + gap**2 / 12)


def _log_density(values: NDArray[np.float64], covariance: NDArray[np.float64]) -> float:
    """Of a normal distribution around zero, but for a constant."""
    return float(
        -np.linalg.slogdet(covariance)[1] / 2 - values @ np.linalg.solve(covariance, values) / 2
    )


def _root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    return vectors * np.sqrt(np.maximum(values, 0.0))
