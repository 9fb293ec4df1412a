"""Kernel Inception Distance (Bińkowski et al. 2018, arXiv 1801.01401): MMD² under a cubic kernel.

k(x, y) = (xᵀy/d + 1)³ on the extractor's pool features. The peers average the unbiased estimate
over random subsets, 100 of 1,000 images; ours is the estimate on all images at once, which has the
same expectation, less variance, and needs no seed.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Real

from .mmd import mean_kernel, squared_mmd
from .record import Metric
from .value import (
    Clusters,
    MetricValue,
    check_features,
    clustered_se,
    no_interval,
    t_interval,
    undefined,
)


def kid(
    features: Real[np.ndarray, "n d"],
    reference: Real[np.ndarray, "m _"],
    clusters: Clusters = None,
    reference_term: float | None = None,
) -> MetricValue:
    """KID of generated features against real ones, with a standard error by influence.

    Args:
        features: (n, d) of generated images; undefined for n < 2.
        reference: (m, d) of the real images; undefined for m < 2.
        clusters: (n,) prompt of each image; None means all differ.
        reference_term: `kid_reference_term` of the reference, if it was computed already.

    Raises:
        FeatureError: not finite, or of another dimension than the reference.
    """
    points = check_features(features, "features for KID")
    reference = check_features(reference, "features of the reference")
    n, m = len(points), len(reference)
    if n < 2 or m < 2:
        return undefined("kid", n, f"needs 2 images on each side, has {n} generated and {m} real")
    if reference_term is None:
        reference_term = kid_reference_term(reference)
    value, influence = squared_mmd(points, reference, cubic_less_one, reference_term)
    se, groups = clustered_se(influence, clusters)
    method, note = "U-statistic variance, clustered by prompt", no_interval(se, groups)
    return MetricValue("kid", value, t_interval(value, se, groups), n, method, note, influence)


def kid_reference_term(reference: Real[np.ndarray, "m d"]) -> float:
    """What KID needs of the real images alone, the mean kernel of their pairs."""
    return mean_kernel(check_features(reference, "features of the reference"), cubic_less_one)


def cubic_less_one(
    a: Real[np.ndarray, "t d"], b: Real[np.ndarray, "u d"]
) -> Real[np.ndarray, "t u"]:
    """(aᵢᵀbⱼ/d + 1)³ − 1 of (t, d) and (u, d): (t, u)."""
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
