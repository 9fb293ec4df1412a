"""Squared maximum mean discrepancy as a full-sample U-statistic (Gretton et al. 2012, eq. 3).

    MMD² = mean_{i≠j} k(xᵢ, xⱼ) + mean_{i≠j} k(yᵢ, yⱼ) − 2 mean_{i,j} k(xᵢ, yⱼ)

Unbiased, so it can fall below zero. Kernels are computed tile by tile in the features' own
precision and summed in float64: memory stays small at any n, and the real images' own term is
computed once for all arms. A constant in k cancels, so kernels leave it out, which keeps digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float64, Real

from .neighbours import refuse_other_dimension

TILE = 1024  # rows a side: 4 MiB of kernel values in single precision

Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (t, d), (u, d) -> (t, u), in their dtype


def squared_mmd(
    features: Real[np.ndarray, "n d"],
    reference: Real[np.ndarray, "m _"],
    kernel: Kernel,
    reference_term: float,
) -> tuple[float, Float64[np.ndarray, " n"]]:
    """Return the statistic and each generated image's influence on it.

    The first-order influence of x in a U-statistic is twice its mean kernel with the others, less
    the same with the real images (Hoeffding 1948, section 5); the reference is held fixed. Their
    spread counts the statistic's second-order variance 2σ²/n(n−1) twice, so they are shrunk to
    count it once.

    Args:
        features: (n, d) of generated images, n ≥ 2.
        reference: (m, d) of real images.
        kernel: k.
        reference_term: `mean_kernel` of the reference.

    Returns:
        MMD² and float64 (n,), centred.

    Raises:
        FeatureError: the two differ in dimension.
    """
    refuse_other_dimension(features, reference)
    among, mean_square = _means_among(features, kernel)
    between = _means_between(features, reference, kernel)
    value = float(among.mean() + reference_term - 2 * between.mean())
    influence = 2 * (among - between)
    influence -= influence.mean()
    n, variance = len(influence), float(np.var(influence))
    # No less than half: the estimate of σ² is too rough to make an interval disappear.
    if n > 3 and variance > 0:
        twice = 2 * _second_order(among, mean_square) / (n - 1)
        influence *= np.sqrt(np.clip(1 - twice / variance, 0.5, 1))
    return value, influence


def mean_kernel(points: Real[np.ndarray, "m d"], kernel: Kernel) -> float:
    """Return the mean of k over pairs of different rows of (m, d); NaN for m < 2."""
    if len(points) < 2:
        return float("nan")
    return float(_means_among(points, kernel)[0].mean())


def _second_order(means: np.ndarray, mean_square: float) -> float:
    """σ², variance of what the two images' own means leave of k, from n > 3 images.

    Args:
        means: (n,) each image's mean kernel with the others.
        mean_square: of the kernel over all pairs.
    """
    n, mean = len(means), means.mean()
    own = (means - mean) * (n - 1) / (n - 2)  # k ≈ mean + own_i + own_j, by least squares
    residual = n * (n - 1) * (mean_square - mean**2) - 2 * (n - 2) * np.sum(own**2)
    return max(0.0, float(residual)) / (n * (n - 3))


def _means_among(points: np.ndarray, kernel: Kernel) -> tuple[np.ndarray, float]:
    """Return each row's mean kernel with the other rows (n,), and the mean square over all pairs.

    A tile above the diagonal serves its rows and its columns.
    """
    n = len(points)
    sums, squares = np.zeros(n), 0.0
    for rows in _slices(n):
        for columns in _slices(n):
            if columns.start < rows.start:
                continue
            values = kernel(points[rows], points[columns])
            if columns == rows:
                np.fill_diagonal(values, 0)
            else:
                sums[columns] += values.sum(axis=0, dtype=np.float64)
                squares += np.vdot(values, values)
            sums[rows] += values.sum(axis=1, dtype=np.float64)
            squares += np.vdot(values, values)
    return sums / (n - 1), float(squares / (n * (n - 1)))


def _means_between(a: np.ndarray, b: np.ndarray, kernel: Kernel) -> np.ndarray:
    """Mean kernel of each row of (n, d) with the rows of (m, d): (n,)."""
    sums = np.zeros(len(a))
    for rows in _slices(len(a)):
        for columns in _slices(len(b)):
            sums[rows] += kernel(a[rows], b[columns]).sum(axis=1, dtype=np.float64)
    return sums / len(b)


def _slices(n: int) -> Iterator[slice]:
    for start in range(0, n, TILE):
        yield slice(start, min(start + TILE, n))
