"""Nearest neighbours and balls in bounded memory, exact at the price of single precision.

Distances of whole tiles come from one float32 matrix product, which only sorts out the pairs that
can matter. A distance that single precision can't decide is computed again in float64 from the
difference of the two points, so equal points are at distance zero and no verdict hangs on
rounding. Nothing of size (n, m) is ever held.
"""

# NumPy leaves some dtypes open.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int, Real
from scipy.spatial.distance import cdist

from glide_eval.errors import FeatureError

from .value import as_matrix, check_features

TILE = 2048  # points a side of a tile: 16 MiB of distances
_SPARE = 3  # candidates beyond those asked for, whose exact distances settle near ties


@dataclass(frozen=True, eq=False)
class Manifold:
    """Balls around each point, out to its k-th neighbour (Kynkäänniemi et al. 2019, eq. 1).

    Attributes:
        points: float (n, d), as they were given.
        nearest: float64 (n, depth), squared distances to the nearest other points, ascending.
        neighbours: int (n, depth), which points those are.
        k: which neighbour sets `squared_radii`.
    """

    points: Real[np.ndarray, "n d"]
    nearest: Float64[np.ndarray, "n depth"]
    neighbours: Int[np.ndarray, "n depth"]
    k: int

    @classmethod
    def of(
        cls,
        features: Real[np.ndarray, ...],
        k: int = 3,
        what: str = "features",
        depth: int | None = None,
    ) -> Manifold:
        """Return the manifold of the rows of (n, d), n > k.

        Args:
            features: the points.
            k: which neighbour sets the radius.
            what: the points' name in errors.
            depth: neighbours to keep, at most n − 1; at least k, and 5 where there are as many.

        Raises:
            FeatureError: not a finite matrix.
            ValueError: n ≤ k, where no k-th neighbour exists.
        """
        points = check_features(features, what)
        if not 1 <= k < len(points):
            raise ValueError(f"{len(points)} points have no neighbour number {k}.")
        depth = min(max(k, depth or 5), len(points) - 1)
        return cls(points, *_nearest(points, depth), k)

    @property
    def squared_radii(self) -> Float64[np.ndarray, " n"]:
        """Squared distance of each point to its k-th neighbour: float64 (n,)."""
        return self.nearest[:, self.k - 1]

    def radii_at(self, k: int) -> Float64[np.ndarray, " n"]:
        """Squared distance to another neighbour, k ≤ depth: float64 (n,)."""
        return self.nearest[:, k - 1]


class Pairs(NamedTuple):
    """Some pairs of a row of A and a row of B.

    Attributes:
        a: int (p,), rows of A.
        b: int (p,), rows of B.
        squared: (p,) squared distances; float64 and exact near any radius that was asked about.
    """

    a: Int[np.ndarray, " pairs"]
    b: Int[np.ndarray, " pairs"]
    squared: Float64[np.ndarray, " pairs"]


def pairs_within(
    a: Real[np.ndarray, "n _"],
    b: Real[np.ndarray, "m _"],
    a_radii: Float64[np.ndarray, "n r"],
    b_radii: Float64[np.ndarray, "m s"],
) -> Iterator[Pairs]:
    """Yield the pairs that lie in a ball around either of the two, tile by tile.

    Comparing `squared` with any of the given radii is as right as in float64.

    Args:
        a: float (n, d).
        b: float (m, d).
        a_radii: float64 (n, r), squared radii around each row of A, of which the largest counts;
            negative for a ball that holds nothing.
        b_radii: float64 (m, s), the same for B.

    Raises:
        FeatureError: a and b differ in dimension.
    """
    refuse_other_dimension(a, b)
    centre = b.mean(axis=0, dtype=np.float64)
    a_reach, b_reach = a_radii.max(axis=1), b_radii.max(axis=1)
    b_tiles = list(_slices(len(b)))
    # Centred, since single precision loses the distance of two points far from the origin.
    for rows in _slices(len(a)):
        left = _Tile.of(a, rows, centre)
        for columns in b_tiles:
            right = _Tile.of(b, columns, centre)
            squared, error = left.distances(right)
            near = squared <= (a_reach[rows, None] + error).astype(np.float32)
            near |= squared <= (b_reach[columns] + error).astype(np.float32)
            i, j = np.nonzero(near)
            found = squared[i, j].astype(np.float64)
            i, j = i + rows.start, j + columns.start
            edges = np.hstack([a_radii[i], b_radii[j]])
            doubtful = np.flatnonzero((np.abs(edges - found[:, None]) <= error).any(axis=1))
            found[doubtful] = _exact(a, b, i[doubtful], j[doubtful])
            yield Pairs(i, j, found)


def squared_distances(
    a: Real[np.ndarray, "n _"], b: Real[np.ndarray, "m _"]
) -> Iterator[tuple[slice, Float64[np.ndarray, "rows m"]]]:
    """Yield squared distances of a (n, d) to b (m, d), as (rows of a, float64 (rows, m)) blocks.

    Raises:
        FeatureError: a and b differ in dimension.
    """
    refuse_other_dimension(a, b)
    centre = b.mean(axis=0, dtype=np.float64)
    b = as_matrix(b, "features") - centre
    norms = np.sum(b**2, axis=1)
    for rows in _slices(len(a)):
        block = a[rows] - centre
        scale = np.sum(block**2, axis=1)[:, None] + norms
        distances = scale - 2 * (block @ b.T)
        distances[distances < 1e-12 * scale] = 0.0  # rounding: the points are equal
        yield rows, distances


def refuse_other_dimension(a: Real[np.ndarray, "n _"], b: Real[np.ndarray, "m _"]) -> None:
    """Raise FeatureError unless (n, d) and (m, d) have the same d."""
    if a.shape[1] != b.shape[1]:
        raise FeatureError(
            f"Features of {a.shape[1]} dimensions can't be compared with others of {b.shape[1]}: "
            "they come from different extractors. Build the reference with the extractor that "
            "measures the images."
        )


@dataclass(frozen=True, eq=False)
class _Tile:
    """Centred rows in single precision.

    Attributes:
        points: float32 (t, d).
        norms: float32 (t,), their squared lengths.
    """

    points: np.ndarray
    norms: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, rows: slice, centre: np.ndarray) -> _Tile:
        centred = points[rows] - centre
        return cls(centred.astype(np.float32), np.sum(centred**2, axis=1).astype(np.float32))

    def distances(self, other: _Tile) -> tuple[np.ndarray, float]:
        """Squared distances, float32 (t, u), and a bound on their error."""
        squared = self.points @ other.points.T
        squared *= -2
        squared += self.norms[:, None]
        squared += other.norms
        largest = float(self.norms.max() + other.norms.max())
        return squared, float(_rounding(np.float32, self.points.shape[1], largest))


def _rounding(precision: type[np.floating], d: int, lengths: Any) -> Any:
    """Bound the error of squared distances from a product of d terms.

    It grows as √d in practice (Higham and Mary 2019, eq. 2.2), here with a factor to spare.

    Args:
        precision: the product's type.
        d: terms.
        lengths: the sum of the two points' squared lengths; one or many.
    """
    return 8 * np.finfo(precision).eps * np.sqrt(d) * lengths


def _nearest(points: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances to the nearest other points and which they are: (n, depth) each.

    Single precision picks candidates. Rows whose candidates it can't be sure of, as among nearly
    equal points, are picked again in double precision, and the last of them from differences.
    """
    n, kept = len(points), min(depth + _SPARE, len(points) - 1)
    centre = points.mean(axis=0, dtype=np.float64)
    norms = np.concatenate([_Tile.of(points, rows, centre).norms for rows in _slices(n)])
    furthest, which = _picked_by_tiles(points, centre, kept)
    exact = _exact_to(points, np.arange(n), which)

    def doubtful(rows: np.ndarray, furthest: np.ndarray, precision: type[np.floating]) -> Any:
        """The rows that may have left out a nearer point; none is nearer than zero."""
        least = furthest - _rounding(precision, points.shape[1], norms[rows] + norms.max())
        radius = np.partition(exact[rows], depth - 1, axis=1)[:, depth - 1]
        return rows[(least < radius) & (radius > 0) & (kept < n - 1)]

    rows = doubtful(np.arange(n), furthest, np.float32)
    furthest, which[rows] = _picked(points, rows, kept, partial(_product, centre))
    exact[rows] = _exact_to(points, rows, which[rows])
    rows = doubtful(rows, furthest, np.float64)
    _, which[rows] = _picked(points, rows, kept, _from_differences)
    exact[rows] = _exact_to(points, rows, which[rows])
    order = np.argsort(exact, axis=1, kind="stable")[:, :depth]
    return np.take_along_axis(exact, order, axis=1), np.take_along_axis(which, order, axis=1)


def _picked_by_tiles(
    points: np.ndarray, centre: np.ndarray, kept: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pick the nearest other points in float32; each tile above the diagonal serves both its sides.

    Returns:
        The largest squared distance picked, float32 (n,), and which were picked, int (n, kept).
    """
    n = len(points)
    best = np.full((n, kept), np.inf, dtype=np.float32)
    which = np.zeros((n, kept), dtype=np.intp)
    for rows in _slices(n):
        left = _Tile.of(points, rows, centre)
        for columns in _slices(n):
            if columns.start < rows.start:
                continue
            squared, _ = left.distances(_Tile.of(points, columns, centre))
            if columns == rows:
                np.fill_diagonal(squared, np.inf)
            else:
                _keep_best(best, which, columns, squared.T, rows.start)
            _keep_best(best, which, rows, squared, columns.start)
    return best.max(axis=1), which


def _picked(
    points: np.ndarray,
    rows: np.ndarray,
    kept: int,
    distances: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Pick the other points nearest to some rows in float64; returns as `_picked_by_tiles`."""
    best, which = np.full((len(rows), kept), np.inf), np.zeros((len(rows), kept), dtype=np.intp)
    for part in _slices(len(rows)):
        for columns in _slices(len(points)):
            squared = distances(points[rows[part]], points[columns])
            squared[rows[part, None] == np.arange(columns.start, columns.stop)] = np.inf
            _keep_best(best, which, part, squared, columns.start)
    return best.max(axis=1), which


def _product(centre: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared distances of (r, d) and (c, d) by one product in float64: (r, c)."""
    a, b = a - centre, b - centre
    return np.sum(a**2, axis=1)[:, None] + np.sum(b**2, axis=1) - 2 * (a @ b.T)


def _from_differences(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared distances of (r, d) and (c, d), each from its difference: float64 (r, c)."""
    return cdist(a.astype(np.float64), b.astype(np.float64), "sqeuclidean")


def _exact_to(points: np.ndarray, rows: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Squared distances of rows to the points `which`, from differences: float64 (r, kept)."""
    exact = np.empty(which.shape)
    for part in _slices(len(rows), TILE // 16):
        found = points[which[part]].astype(np.float64) - points[rows[part], None]
        exact[part] = np.sum(found**2, axis=2)
    return exact


def _keep_best(
    best: np.ndarray, which: np.ndarray, rows: slice, squared: np.ndarray, start: int
) -> None:
    """Merge a tile's distances into the rows' smallest ones so far, in place."""
    kept = best.shape[1]
    places = np.broadcast_to(np.arange(start, start + squared.shape[1]), squared.shape)
    if squared.shape[1] > kept:
        nearest = np.argpartition(squared, kept - 1, axis=1)[:, :kept]
        squared, places = np.take_along_axis(squared, nearest, axis=1), nearest + start
    squared = np.hstack([best[rows], squared])
    places = np.hstack([which[rows], places])
    nearest = np.argpartition(squared, kept - 1, axis=1)[:, :kept]
    best[rows] = np.take_along_axis(squared, nearest, axis=1)
    which[rows] = np.take_along_axis(places, nearest, axis=1)


def _exact(a: np.ndarray, b: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Squared distances of the pairs a[i], b[j], in float64 and from differences: (p,)."""
    if len(i) > TILE**2 // 64:  # nearly all are doubtful, as among many equal images
        rows, i = np.unique(i, return_inverse=True)
        columns, j = np.unique(j, return_inverse=True)
        return _from_differences(a[rows], b[columns])[i, j]
    found = np.empty(len(i))
    for part in _slices(len(i)):
        difference = a[i[part]].astype(np.float64) - b[j[part]]
        found[part] = np.sum(difference**2, axis=1)
    return found


def _slices(n: int, step: int | None = None) -> Iterator[slice]:
    for start in range(0, n, step or TILE):
        yield slice(start, min(start + (step or TILE), n))
