"""Kernel Inception Distance (Bińkowski et al. 2018, arXiv 1801.01401): MMD² under a cubic kernel.

k(x, y) = (xᵀy/d + 1)³ on the extractor's pool features. The peers average the unbiased estimate
over random subsets, 100 of 1,000 images; ours is the estimate on all images at once, which has the
same expectation, less variance, and needs no seed.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Real

from .mmd import mean_kernel, mmd_value
from .record import Metric
from .value import (
    Clusters,
    MetricValue,
    check_features,
    undefined,
)


def kid(
    features: Real[np.ndarray, "n d"],
    reference: Real[np.ndarray, "m _"],
    clusters: Clusters = None,
    reference_term: float | None = None,
) -> MetricValue:
    """Return KID of generated features against real ones, with a standard error by influence.

    KID = MMD² under k(x, y) = (xᵀy / d + 1)³ (`mmd.mmd_value`).

    Args:
        features: (n, d) of generated images; undefined for n < 2.
        reference: (m, d) of the real images; undefined for m < 2.
        clusters: (n,) prompt of each image; None means all differ.
        reference_term: `kid_reference_term` of the reference, if it was computed already.

    Raises:
        FeatureError: not finite, or of another dimension than the reference.

    Examples:
        >>> generated, real = np.random.default_rng(0).normal(size=(2, 200, 8))
        >>> found = kid(generated, real)  # two draws of one distribution
        >>> found.interval.low < 0 < found.interval.high
        True
    """
    points = check_features(features, "features for KID")
    reference = check_features(reference, "features of the reference")
    n, m = len(points), len(reference)
    if n < 2 or m < 2:
        return undefined("kid", n, f"needs 2 images on each side, has {n} generated and {m} real")
    if reference_term is None:
        reference_term = kid_reference_term(reference)
    return mmd_value("kid", points, reference, cubic_less_one, reference_term, clusters)


def kid_reference_term(reference: Real[np.ndarray, "m d"]) -> float:
    """Return what KID needs of the real images alone, the mean kernel of their pairs.

    Args:
        reference: (m, d) features of real images.

    Returns:
        The mean of k − 1 over pairs of different images; NaN for m < 2.

    Examples:
        >>> kid_reference_term(np.eye(2))  # orthogonal images
        0.0
    """
    return mean_kernel(check_features(reference, "features of the reference"), cubic_less_one)


def cubic_less_one(
    a: Real[np.ndarray, "t d"], b: Real[np.ndarray, "u d"]
) -> Real[np.ndarray, "t u"]:
    """(aᵢᵀbⱼ/d + 1)³ − 1 of (t, d) and (u, d): (t, u)."""
    # ((u + 3) u + 3) u = (u + 1)³ − 1, in place: the tile is the largest array in memory.
    u = a @ b.T
    u /= a.shape[1]
    values = u + 3
    values *= u
    values += 3
    values *= u
    return values


METRICS = (
    Metric(
        "kid", "KID", "lower", 4, needs="pool", place=40, needs_reference=True, least_real=2,
        drawn=True,
        value=lambda arm, _: kid(
            arm.features.pool, arm.real_pool, arm.prompts, arm.real.kid_term
        ),
    ),
)  # fmt: skip
