"""Distances in bounded memory, and the k-nearest-neighbour manifold built on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from glide_eval.errors import FeatureError

from .value import as_matrix

BLOCK_ENTRIES = 1 << 22  # distances in memory at a time: 32 MiB


@dataclass(frozen=True, eq=False)
class Manifold:
    """Balls around each point, out to its k-th neighbour (Kynkäänniemi et al. 2019, eq. 1).

    Attributes:
        points: float64 (n, d).
        squared_radii: float64 (n,), squared distance to the k-th nearest other point.
        k: which neighbour.
    """

    points: np.ndarray
    squared_radii: np.ndarray
    k: int

    @classmethod
    def of(cls, features: np.ndarray, k: int = 3, what: str = "features") -> Self:
        """The manifold of the rows of (n, d), n > k.

        Raises:
            FeatureError: not a finite matrix.
            ValueError: n ≤ k, where no k-th neighbour exists.
        """
        points = as_matrix(features, what)
        if not 1 <= k < len(points):
            raise ValueError(f"{len(points)} points have no neighbour number {k}.")
        radii = np.empty(len(points))
        for rows, distances in squared_distances(points, points):
            forget_self(rows, distances)
            radii[rows] = np.partition(distances, k - 1, axis=1)[:, k - 1]
        return cls(points, radii, k)

    def contains(self, queries: np.ndarray) -> np.ndarray:
        """Whether each row of float64 (m, d) lies in any ball: bool (m,)."""
        inside = np.empty(len(queries), dtype=bool)
        for rows, distances in squared_distances(queries, self.points):
            inside[rows] = (distances <= self.squared_radii).any(axis=1)
        return inside


def squared_distances(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Squared distances of a (n, d) to b (m, d), as (rows of a, (rows, m)) blocks.

    Points are centred first and distances below rounding set to zero, so that equal points are at
    distance 0 although the distances come from a matrix product.

    Raises:
        FeatureError: a and b differ in dimension.
    """
    if a.shape[1] != b.shape[1]:
        raise FeatureError(
            f"Features of {a.shape[1]} dimensions can't be compared with others of {b.shape[1]}: "
            "they come from different extractors. Build the reference with the extractor that "
            "measures the images."
        )
    centre = b.mean(axis=0)
    a, b = a - centre, b - centre
    a_norms, b_norms = np.sum(a**2, axis=1), np.sum(b**2, axis=1)
    step = max(1, BLOCK_ENTRIES // max(len(b), 1))
    for start in range(0, len(a), step):
        rows = slice(start, min(start + step, len(a)))
        norms = a_norms[rows, None] + b_norms
        distances = norms - 2 * (a[rows] @ b.T)
        distances[distances < 1e-12 * norms] = 0.0
        yield rows, distances


def forget_self(rows: slice, distances: np.ndarray) -> None:
    """Put each point of a block infinitely far from itself, in place."""
    distances[np.arange(len(distances)), np.arange(rows.start, rows.stop)] = np.inf
