"""Squared maximum mean discrepancy as a full-sample U-statistic (Gretton et al. 2012, eq. 3).

    MMD² = mean_{i≠j} k(xᵢ, xⱼ) + mean_{i≠j} k(yᵢ, yⱼ) − 2 mean_{i,j} k(xᵢ, yⱼ)

Unbiased, so it can fall below zero. Kernels are computed tile by tile in the features' own
precision and summed in float64: memory stays small at any n, and the real images' own term is
computed once for all arms. A constant in k cancels, so kernels leave it out, which keeps digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Real

from .neighbours import refuse_other_dimension
from .value import (
    Clusters,
    MetricValue,
    asymmetry,
    cluster_numbers,
    heavy_tails,
    jackknife_groups,
    jackknifed,
    no_interval,
    t_interval,
)

TILE = 1024  # rows a side: 4 MiB of kernel values in single precision

Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (t, d), (u, d) -> (t, u), in their dtype


def mmd_value(
    metric: str,
    features: Real[np.ndarray, "n d"],
    reference: Real[np.ndarray, "m _"],
    kernel: Kernel,
    reference_term: float,
    clusters: Clusters = None,
    scale: float = 1.0,
) -> MetricValue:
    """Return the statistic with an interval by the grouped jackknife over prompts.

    The first-order influence of x in a U-statistic is twice its mean kernel with the others, less
    the same with the real images (Hoeffding 1948, section 5); the reference is held fixed. The
    jackknife counts the statistic's second-order variance 2σ²/n(n−1) twice (Efron and Stein 1981),
    so its error is shrunk to count it once.

    Args:
        metric: the value's name.
        features: (n, d) of generated images; undefined for n < 2.
        reference: (m, d) of real images; undefined for m < 2.
        kernel: k.
        reference_term: `mean_kernel` of the reference.
        clusters: (n,) prompt of each image; None means all differ.
        scale: a factor of the value.

    Raises:
        FeatureError: the two differ in dimension.
    """
    refuse_other_dimension(features, reference)
    n, numbers = len(features), cluster_numbers(len(features), clusters)
    group = jackknife_groups(numbers)
    among = _Among.of(features, kernel, group)
    between = _means_between(features, reference, kernel)
    value = float(among.means.mean() + reference_term - 2 * between.mean())
    influence = 2 * (among.means - between)
    influence -= influence.mean()
    left_out = among.left_out(group) - 2 * _mean_without(between, group)
    influence, se, groups = jackknifed(influence, left_out, group, numbers)
    # No less than half: the estimate of σ² is too rough to make an interval disappear.
    if n > 3 and se > 0:
        shrunk = np.sqrt(np.clip(1 - 2 * among.second_order() / (n * (n - 1)) / se**2, 0.5, 1))
        influence, se = influence * shrunk, float(se * shrunk)
    interval = t_interval(scale * value, scale * se, groups, skew=asymmetry(influence, numbers))
    method = f"jackknife over {groups} groups of prompts"
    note = no_interval(se, groups) or heavy_tails(influence, numbers)
    return MetricValue(metric, scale * value, interval, n, method, note, scale * influence)


def mean_kernel(points: Real[np.ndarray, "m d"], kernel: Kernel) -> float:
    """Return the mean of k over pairs of different rows of (m, d); NaN for m < 2."""
    if len(points) < 2:
        return float("nan")
    return float(_Among.of(points, kernel, np.zeros(len(points), np.intp)).means.mean())


@dataclass(frozen=True, eq=False)
class _Among:
    """The kernel among n images, summed up.

    Attributes:
        means: float64 (n,), each image's mean kernel with the others.
        mean_square: of the kernel over all pairs.
        within: float64 (G,), the kernel summed over ordered pairs of each group.
    """

    means: np.ndarray
    mean_square: float
    within: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, kernel: Kernel, group: np.ndarray) -> _Among:
        """Pass over the tiles; one above the diagonal serves its rows and its columns."""
        n, groups = len(points), int(group.max(initial=0)) + 1
        sums, squares, within = np.zeros(n), 0.0, np.zeros(groups)
        for rows in _slices(n):
            for columns in _slices(n):
                if columns.start < rows.start:
                    continue
                values = kernel(points[rows], points[columns])
                times = 1 if columns == rows else 2
                if columns == rows:
                    np.fill_diagonal(values, 0)
                else:
                    sums[columns] += values.sum(axis=0, dtype=np.float64)
                sums[rows] += values.sum(axis=1, dtype=np.float64)
                squares += times * np.vdot(values, values)
                same = group[rows, None] == np.arange(groups)
                shared = values @ (group[columns, None] == np.arange(groups)).astype(values.dtype)
                within += times * np.sum(shared, axis=0, where=same, dtype=np.float64)
        return cls(sums / (n - 1), float(squares / (n * (n - 1))), within)

    def left_out(self, group: np.ndarray) -> np.ndarray:
        """Return the mean kernel over pairs without each group: float64 (G,)."""
        n, sizes = len(group), np.bincount(group)
        sums = self.means * (n - 1)
        rest = sums.sum() - 2 * np.bincount(group, weights=sums) + self.within
        kept = n - sizes
        return rest / np.maximum(kept * (kept - 1), 1)

    def second_order(self) -> float:
        """Return σ², the variance of what two images' own means leave of k, from n > 3 images."""
        n, mean = len(self.means), self.means.mean()
        own = (self.means - mean) * (n - 1) / (n - 2)  # k ≈ mean + own_i + own_j, least squares
        residual = n * (n - 1) * (self.mean_square - mean**2) - 2 * (n - 2) * np.sum(own**2)
        return max(0.0, float(residual)) / (n * (n - 3))


def _mean_without(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Mean of (n,) without each group: float64 (G,)."""
    kept = len(values) - np.bincount(group)
    return (values.sum() - np.bincount(group, weights=values)) / np.maximum(kept, 1)


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
