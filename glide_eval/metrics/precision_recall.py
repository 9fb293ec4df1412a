"""Improved precision and recall (Kynkäänniemi et al. 2019, arXiv 1904.06991).

Precision is the share of generated images inside the manifold of the real ones; recall the share of
real images inside the manifold of the generated ones. A manifold is the union of balls around its
points out to their k-th neighbour, k = 3 as in the paper.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from .neighbours import Manifold, forget_self, squared_distances
from .value import MetricValue, as_matrix, clustered_se, no_interval, share_interval, undefined

JACKKNIFE_GROUPS = 20


def precision(
    features: np.ndarray, reference: Manifold, clusters: Sequence[Hashable] | None = None
) -> MetricValue:
    """Share of generated images that look like real ones.

    The reference given, each image is in or out by itself: Wilson's interval, clustered by prompt.

    Args:
        features: (n, d) of generated images.
        reference: manifold of the real images' features.
        clusters: (n,) prompt of each image; None means all differ.

    Raises:
        FeatureError: not finite, or of another dimension than the reference.
    """
    matrix = as_matrix(features, "features for precision")
    n = len(matrix)
    if n == 0:
        return undefined("precision", n, "needs at least one image")
    inside = reference.contains(matrix).astype(np.float64)
    se, groups = clustered_se(inside, clusters)
    value = float(inside.mean())
    interval = share_interval(value, se, groups)
    note = no_interval(1.0, groups)  # Wilson's interval bears a zero error
    return MetricValue("precision", value, interval, n, "Wilson score, clustered by prompt", note)


def recall(
    features: np.ndarray,
    reference: np.ndarray,
    clusters: Sequence[Hashable] | None = None,
    k: int = 3,
) -> MetricValue:
    """Share of real images that the generated ones surround.

    Leaving out an image moves its neighbours' radii too, so the standard error is a jackknife over
    at most 20 groups of prompts; Wilson's interval is taken at its effective size.

    Args:
        features: (n, d) of generated images; undefined for n ≤ k.
        reference: (m, d) of the real images.
        clusters: (n,) prompt of each image; None means all differ.
        k: neighbour that sets a ball's radius.

    Raises:
        FeatureError: not finite, or of another dimension than the reference.
    """
    reference = as_matrix(reference, "features of the reference")
    matrix = as_matrix(features, "features for recall")
    n = len(matrix)
    if n <= k:
        return undefined("recall", n, f"needs more than k = {k} images, has {n}")
    groups = _groups(n, clusters)
    shares = _recall_without_each(matrix, reference, groups, k)
    value, left_out = float(shares[0]), shares[1:]
    count = len(left_out)
    se = float("nan")
    if count >= 2:
        se = float(np.sqrt((count - 1) / count * np.sum((left_out - left_out.mean()) ** 2)))
    note = ""
    if count < 2:
        note = f"no interval: too few prompts to leave some out of {n} images at k = {k}"
    elif 2 * n < len(reference):
        note = f"depends on n, here {n} against {len(reference)} real; compare values of equal n"
    method = f"jackknife over {count} groups of prompts, Wilson score"
    return MetricValue("recall", value, share_interval(value, se, count), n, method, note)


def _recall_without_each(
    points: np.ndarray, reference: np.ndarray, groups: np.ndarray, k: int
) -> np.ndarray:
    """Recall with all points, then without each group: float64 (1 + groups,)."""
    count = int(groups.max()) + 1
    counts_left = len(points) - np.bincount(groups)
    count = count if counts_left.min() > k else 0
    radii = np.empty((1 + count, len(points)))
    for rows, distances in squared_distances(points, points):
        forget_self(rows, distances)
        nearest = np.argpartition(distances, k - 1, axis=1)[:, :k]
        radii[:, rows] = np.take_along_axis(distances, nearest, axis=1).max(axis=1)
        for g in range(count):
            moved = np.flatnonzero((groups[nearest] == g).any(axis=1))
            others = distances[moved][:, groups != g]
            radii[1 + g, rows.start + moved] = np.partition(others, k - 1, axis=1)[:, k - 1]
            radii[1 + g, groups == g] = -1.0  # a ball that holds nothing
    covered = np.zeros(1 + count)
    for _, distances in squared_distances(reference, points):
        for g in range(1 + count):
            covered[g] += np.count_nonzero((distances <= radii[g]).any(axis=1))
    return covered / len(reference)


def _groups(n: int, clusters: Sequence[Hashable] | None) -> np.ndarray:
    """A jackknife group for each image, images of one prompt together: int (n,)."""
    if clusters is None:
        return np.arange(n) % min(n, JACKKNIFE_GROUPS)
    if len(clusters) != n:
        raise ValueError(f"{n} images but {len(clusters)} cluster labels.")
    order = {label: i for i, label in enumerate(dict.fromkeys(clusters))}
    return np.array([order[c] % min(len(order), JACKKNIFE_GROUPS) for c in clusters])
