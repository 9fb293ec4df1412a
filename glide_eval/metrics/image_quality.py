"""How real a single image looks, 0..1: the realism score, squashed.

Realism (Kynkäänniemi et al. 2019, eq. 3) is R(φ) = max over real images r of NN_k(r)/‖φ − φ_r‖,
over the half of real images with the smaller radii. R = 1 on the edge of the real images' manifold
and grows towards it. Here quality = R⁴ / (1 + R⁴): 0.5 on the edge, 0.94 at half a radius from
a real image, 0.06 at two. It is a score to rank images of one run by (simulated raters do), not a
published metric.
"""

from __future__ import annotations

import numpy as np

from .neighbours import Manifold, squared_distances
from .value import as_matrix

STEEPNESS = 4


def image_quality(features: np.ndarray, reference: Manifold) -> np.ndarray:
    """Quality of each image.

    Args:
        features: (n, d) of generated images.
        reference: manifold of the real images' features.

    Returns:
        float64 (n,) in 0..1.

    Raises:
        FeatureError: not finite.
    """
    matrix = as_matrix(features, "features for image quality")
    kept = reference.squared_radii <= np.median(reference.squared_radii)
    points, squared_radii = reference.points[kept], reference.squared_radii[kept]
    quality = np.empty(len(matrix))
    for rows, distances in squared_distances(matrix, points):
        with np.errstate(divide="ignore", invalid="ignore"):
            realism = np.where(distances > 0, squared_radii / distances, np.inf).max(axis=1)  # R²
            quality[rows] = 1 / (1 + realism ** (-STEEPNESS / 2))
    return quality
