"""Vendi score (Friedman and Dieng 2023, arXiv 2210.02410): how many different images there are.

The exponential of the entropy of the eigenvalues of K/n, K the cosine similarities of the images'
features: 1 if all are alike, n if all are orthogonal. It sees no reference, so it speaks of variety
alone, not of quality, and it grows with n.
"""

# SciPy has no type stubs.
# pyright: reportMissingTypeStubs=false
from __future__ import annotations

import numpy as np
from jaxtyping import Real
from scipy.special import xlogy

from .record import Metric
from .value import (
    Clusters,
    Interval,
    MetricValue,
    as_matrix,
    clustered_se,
    no_interval,
    t_interval,
    undefined,
)


def vendi(features: Real[np.ndarray, "n d"], clusters: Clusters = None) -> MetricValue:
    """Return the Vendi score of n images, exp(H) (Friedman and Dieng 2023).

    The entropy is H = −tr ρ log ρ of ρ = mean xxᵀ over unit features x, so the influence of an
    image on it is −xᵀ(log ρ)x − H, and the interval is made on the log scale. It does not cover
    the downward bias of few images.

    Args:
        features: (n, d) of generated images; undefined without images, or where an image's
            features are all zero, which have no direction.
        clusters: (n,) prompt of each image; None means all differ.

    Raises:
        FeatureError: not finite, or not a matrix.

    Examples:
        >>> round(vendi(np.eye(5)).value, 3), round(vendi(np.ones((5, 5))).value, 3)
        (5.0, 1.0)
    """
    matrix = as_matrix(features, "features for the Vendi score")
    n, d = matrix.shape
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    if n == 0:
        return undefined("vendi", 0, "needs at least one image")
    if not lengths.all():
        first = int(np.argmin(lengths))
        return undefined("vendi", n, f"the features of image {first} (from 0) are all zero")
    unit = matrix / lengths
    if n <= d:
        eigenvalues, vectors = np.linalg.eigh(unit @ unit.T / n)
        eigenvalues = np.maximum(eigenvalues, 0)  # rounding
        surprise = -n * (vectors**2 @ xlogy(eigenvalues, eigenvalues))  # −xᵀ(log ρ)x
    else:
        eigenvalues, vectors = np.linalg.eigh(unit.T @ unit / n)
        known = eigenvalues > 1e-14 * eigenvalues[-1]  # the rest is the null space of all x
        surprise = -((unit @ vectors[:, known]) ** 2 @ np.log(eigenvalues[known]))
    entropy = float(surprise.mean())
    value = float(np.exp(entropy))
    se, groups = clustered_se(surprise, clusters)
    log_interval = t_interval(entropy, se, groups, (0.0, np.inf))
    interval = Interval(
        float(np.exp(log_interval.low)), float(np.exp(log_interval.high)), log_interval.level
    )
    note = no_interval(se, groups)
    if not note and value > n / 20:
        note = f"still grows with n, here {n}; compare values of equal n"
    influence = value * (surprise - entropy)
    return MetricValue(
        "vendi", value, interval, n, "influence function, log scale", note, influence
    )


METRICS = (
    Metric(
        "vendi", "Vendi score", "higher", 2, needs="pool", place=110,
        value=lambda arm, _: vendi(arm.features.pool, arm.prompts),
    ),
)  # fmt: skip
