"""Squared maximum mean discrepancy as a full-sample U-statistic (Gretton et al. 2012, eq. 3).

    MMD² = mean_{i≠j} k(xᵢ, xⱼ) + mean_{i≠j} k(yᵢ, yⱼ) − 2 mean_{i,j} k(xᵢ, yⱼ)

Unbiased, so it can fall below zero. Kernels are summed tile by tile in float64: memory stays small
at any n, and the real images' own term is computed once for all arms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from .neighbours import refuse_other_dimension

TILE = 1024  # rows a side: 8 MiB of kernel values

Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]  # float64 (t, d), (u, d) -> (t, u)


def squared_mmd(
    features: np.ndarray, reference: np.ndarray, kernel: Kernel, reference_term: float
) -> tuple[float, np.ndarray]:
    """The statistic and each generated image's influence on it.

    The first-order influence of x in a U-statistic is twice its mean kernel with the others, less
    the same with the real images (Hoeffding 1948); the reference is held fixed.

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
    among, between = _means_among(features, kernel), _means_between(features, reference, kernel)
    influence = 2 * (among - between)
    value = float(among.mean() + reference_term - 2 * between.mean())
    return value, influence - influence.mean()


def mean_kernel(points: np.ndarray, kernel: Kernel) -> float:
    """Mean of k over pairs of different rows of (m, d); NaN for m < 2."""
    if len(points) < 2:
        return float("nan")
    return float(_means_among(points, kernel).mean())


def _means_among(points: np.ndarray, kernel: Kernel) -> np.ndarray:
    """Each row's mean kernel with the other rows: (n,). A tile above the diagonal serves twice."""
    sums = np.zeros(len(points))
    for rows in _slices(len(points)):
        left = points[rows].astype(np.float64)
        for columns in _slices(len(points)):
            if columns.start > rows.start:
                values = kernel(left, points[columns].astype(np.float64))
                sums[rows] += values.sum(axis=1)
                sums[columns] += values.sum(axis=0)
        values = kernel(left, left)
        np.fill_diagonal(values, 0)
        sums[rows] += values.sum(axis=1)
    return sums / (len(points) - 1)


def _means_between(a: np.ndarray, b: np.ndarray, kernel: Kernel) -> np.ndarray:
    """Mean kernel of each row of (n, d) with the rows of (m, d): (n,)."""
    sums = np.zeros(len(a))
    for columns in _slices(len(b)):
        right = b[columns].astype(np.float64)
        for rows in _slices(len(a)):
            sums[rows] += kernel(a[rows].astype(np.float64), right).sum(axis=1)
    return sums / len(b)


def _slices(n: int) -> Iterator[slice]:
    for start in range(0, n, TILE):
        yield slice(start, min(start + TILE, n))
