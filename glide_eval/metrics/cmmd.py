"""CMMD (Jayasumana et al. 2024, arXiv 2401.09603): MMD² of CLIP embeddings, times 1,000.

k(x, y) = exp(−‖x − y‖²/2σ²), σ = 10, on unit image embeddings. The authors' code takes the biased
estimate, each image paired with itself too, which adds about 5/n + 5/m: nothing at 30,000 images,
as much as typical differences at 100. Ours is the unbiased one, so it can fall below zero.

The authors use CLIP ViT-L/14 at 336 pixels; with another CLIP values are on another scale.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Real

from .mmd import mean_kernel, mmd_value
from .record import Metric
from .value import (
    Clusters,
    MetricValue,
    as_unit_rows,
    undefined,
)

SIGMA = 10.0
SCALE = 1000.0


def cmmd(
    images: Real[np.ndarray, "n e"],
    reference: Real[np.ndarray, "m _"],
    clusters: Clusters = None,
    reference_term: float | None = None,
) -> MetricValue:
    """Return CMMD of generated images against real ones, with a standard error by influence.

    CMMD = 1000 · MMD² under k(x, y) = exp(−‖x − y‖² / 2σ²), σ = 10 (`mmd.mmd_value`).

    Args:
        images: (n, e) unit embeddings of generated images; undefined for n < 2.
        reference: (m, e) of the real images; undefined for m < 2.
        clusters: (n,) prompt of each image; None means all differ.
        reference_term: `cmmd_reference_term` of the reference, if it was computed already.

    Raises:
        FeatureError: not finite, not of unit length, or of another dimension than the reference.

    Examples:
        >>> generated, real = np.eye(4)[[0, 0, 1, 1]], np.eye(4)[[2, 2, 3, 3]]
        >>> round(cmmd(generated, real).value, 2)
        6.63
    """
    points = as_unit_rows(images, "image embeddings for CMMD")
    n, m = len(points), len(reference)
    if n < 2 or m < 2:
        return undefined("cmmd", n, f"needs 2 images on each side, has {n} generated and {m} real")
    if reference_term is None:
        reference_term = cmmd_reference_term(reference)
    return mmd_value("cmmd", points, reference, gaussian_less_one, reference_term, clusters, SCALE)


def cmmd_reference_term(reference: Real[np.ndarray, "m e"]) -> float:
    """Return what CMMD needs of the real images alone, the mean kernel of their pairs.

    Args:
        reference: (m, e) unit embeddings of real images.

    Returns:
        The mean of k − 1 over pairs of different images; NaN for m < 2.

    Examples:
        >>> round(cmmd_reference_term(np.eye(3)), 4)
        -0.01
    """
    return mean_kernel(
        as_unit_rows(reference, "image embeddings of the reference"), gaussian_less_one
    )


def gaussian_less_one(
    a: Real[np.ndarray, "t e"], b: Real[np.ndarray, "u e"]
) -> Float64[np.ndarray, "t u"]:
    """exp(−‖aᵢ − bⱼ‖²/2σ²) − 1 of (t, e) and (u, e): float64 (t, u)."""
    # In double precision: σ = 10 and unit embeddings leave the kernel within 2% of 1.
    a, b = a.astype(np.float64), b.astype(np.float64)
    squared = np.sum(a**2, axis=1)[:, None] + np.sum(b**2, axis=1) - 2 * (a @ b.T)
    return np.expm1(np.maximum(squared, 0) / (-2 * SIGMA**2))


METRICS = (
    Metric(
        "cmmd", "CMMD", "lower", 4, needs="cmmd", place=50, needs_reference=True, least_real=2,
        drawn=True,
        value=lambda arm, _: cmmd(
            arm.features.pool, arm.real_pool, arm.prompts, arm.real.cmmd_term
        ),
    ),
)  # fmt: skip
