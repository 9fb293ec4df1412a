"""How real a single image looks, 0..1: its content and its texture against real images.

Two scores, each 0.5 for an image like a typical real one, and their geometric mean:

- content, R²/(1 + R²), of the realism R of Kynkäänniemi et al. (2019, eq. 3) in the extractor's
  features: R = max over real images r of NN_k(r)/‖φ − φ_r‖, over the half of them with the smaller
  radii; R = 1 on the edge of the real images' manifold. Melted or impossible objects lower it.
- texture, 1/(1 + D²/D₅₀²), of the Mahalanobis distance D of low-level statistics
  (`extractors.texture`), D₅₀ being the real images' median. Blur, noise and artefacts lower it,
  which features trained to name objects hardly notice.

It ranks images of one run (simulated raters answer by it); it is not a published metric.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Real

from .neighbours import Manifold, squared_distances
from .record import Measured, Metric
from .value import as_matrix

# Added to the standard deviation of every statistic: log units, about what an eye can tell.
TOLERANCE = 0.1


@dataclass(frozen=True, eq=False)
class Texture:
    """Real images' low-level statistics, as a scale to measure others by.

    Attributes:
        mean: float64 (q,).
        whitening: float64 (q, q): D = ‖(x − mean) · whitening‖.
        typical: D₅₀, the real images' median distance, > 0.
    """

    mean: Float64[np.ndarray, " q"]
    whitening: Float64[np.ndarray, "q q"]
    typical: float

    @classmethod
    def of(cls, statistics: Real[np.ndarray, "m q"]) -> Texture:
        """Return the scale of the statistics (m, q) of real images, m ≥ 1."""
        matrix = as_matrix(statistics, "texture statistics of the reference")
        mean = matrix.mean(axis=0)
        centred = matrix - mean
        covariance = centred.T @ centred / max(len(matrix) - 1, 1)
        eigenvalues, vectors = np.linalg.eigh(covariance)
        whitening = vectors / np.sqrt(np.maximum(eigenvalues, 0) + TOLERANCE**2)
        typical = float(np.median(np.linalg.norm(centred @ whitening, axis=1)))
        return cls(mean, whitening, typical or 1.0)

    def score(self, statistics: Real[np.ndarray, "n q"]) -> Float64[np.ndarray, " n"]:
        """Return the texture score 1/(1 + D²/D₅₀²) of each row of (n, q): float64 (n,) in 0..1."""
        matrix = as_matrix(statistics, "texture statistics")
        distance = np.linalg.norm((matrix - self.mean) @ self.whitening, axis=1)
        return 1 / (1 + (distance / self.typical) ** 2)


def content_score(
    features: Real[np.ndarray, "n d"], reference: Manifold
) -> Float64[np.ndarray, " n"]:
    """Return the content score R²/(1 + R²) of each row of (n, d): float64 (n,) in 0..1.

    Raises:
        FeatureError: not finite, or of another dimension than the reference.
    """
    matrix = as_matrix(features, "features for image quality")
    # As in the paper: the wide balls of outliers would make anything near them look real.
    kept = reference.squared_radii <= np.median(reference.squared_radii)
    points, squared_radii = reference.points[kept], reference.squared_radii[kept]
    scores = np.empty(len(matrix))
    for rows, distances in squared_distances(matrix, points):
        with np.errstate(divide="ignore", invalid="ignore"):
            realism = np.where(distances > 0, squared_radii / distances, np.inf).max(axis=1)  # R²
            scores[rows] = 1 / (1 + 1 / realism)
    return scores


def image_quality(
    features: Real[np.ndarray, "n d"],
    statistics: Real[np.ndarray, "n q"],
    content: Manifold,
    texture: Texture,
) -> Float64[np.ndarray, " n"]:
    """Return the quality of each image, √(content · texture).

    Content is R²/(1 + R²) with the realism R of Kynkäänniemi et al. 2019, eq. 3; texture is
    1/(1 + D²/D₅₀²), as the module says.

    Args:
        features: (n, d) of generated images.
        statistics: (n, q), their texture statistics.
        content: manifold of the real images' features.
        texture: of the real images' texture statistics.

    Returns:
        float64 (n,) in 0..1.

    Raises:
        FeatureError: not finite, or of another dimension than the reference.

    Examples:
        >>> real = np.random.default_rng(0).normal(size=(50, 4))
        >>> at = Manifold.of(real), Texture.of(real)
        >>> near = image_quality(real[:1], real[:1], *at)
        >>> far = image_quality(9 + real, 9 + real, *at)
        >>> bool(near[0] > far.max())
        True
    """
    return np.sqrt(content_score(features, content) * texture.score(statistics))


def _scores(arm: Measured) -> np.ndarray | None:
    if arm.features.texture is None:
        return None
    return image_quality(
        arm.features.pool, arm.features.texture, arm.real.manifold, arm.real.texture_scale
    )


METRICS = (
    Metric(
        "image_quality", "Image quality", "higher", 3, needs="texture", place=200,
        needs_reference=True, least_real=4, scores=_scores,
    ),
)  # fmt: skip
