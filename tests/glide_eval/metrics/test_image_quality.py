from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from glide_eval.errors import FeatureError
from glide_eval.extractors.texture import WIDTH, texture_statistics
from glide_eval.metrics import Manifold, Texture, image_quality
from glide_eval.metrics.image_quality import content_score


def line(*places: float) -> np.ndarray:
    return np.array(places, dtype=float)[:, None]


def scenes(n: int, seed: int = 0) -> np.ndarray:
    """Smooth backgrounds with one sharp disc each: uint8 (n, 64, 64, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:64, :64]
    images = np.empty((n, 64, 64, 3))
    for image in images:
        image[...] = 150 + x[..., None] * 0.5 + rng.uniform(-20, 20, 3)
        disc = np.hypot(x - rng.uniform(20, 44), y - rng.uniform(20, 44)) < rng.uniform(6, 16)
        image[disc] = rng.uniform(30, 220, 3)
    return images.clip(0, 255).astype(np.uint8)


def blurred(images: np.ndarray, radius: float) -> np.ndarray:
    blur = ImageFilter.GaussianBlur(radius)
    return np.stack([np.asarray(Image.fromarray(image).filter(blur)) for image in images])


def noisy(images: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(3).normal(size=images.shape) * sigma
    return (images + noise).clip(0, 255).astype(np.uint8)


def test_content_is_a_half_on_the_edge_and_falls_with_distance():
    # k = 1, balls of radius 1 around 0 and 1: the edge is at −1, a real image at 0.
    real = Manifold.of(line(0, 1), k=1)
    scores = content_score(line(-1, 0, -0.5, -2, -1e9), real)
    np.testing.assert_allclose(scores, [0.5, 1, 0.8, 0.2, 0], atol=1e-12)


def test_content_ignores_the_wider_half_of_the_balls():
    # Radii (k = 1): 1 1 1 for 0 1 2 and 98 for the outlier at 100, whose ball would swallow 50.
    real = Manifold.of(line(0, 1, 2, 100), k=1)
    assert real.squared_radii[3] > (100 - 50) ** 2
    assert content_score(line(50), real)[0] < 1e-3


def test_copies_of_a_real_image_among_its_own_duplicates_have_full_content():
    real = Manifold.of(np.zeros((5, 3)))
    np.testing.assert_array_equal(content_score(np.zeros((2, 3)), real), 1)
    np.testing.assert_array_equal(content_score(np.ones((2, 3)), real), 0)


def test_texture_is_a_half_for_typical_real_images():
    statistics = np.random.default_rng(0).normal(size=(400, 5))
    texture = Texture.of(statistics)
    assert np.median(texture.score(statistics)) == pytest.approx(0.5, abs=1e-5)
    np.testing.assert_allclose(texture.score(texture.mean[None]), 1)


def test_texture_of_a_single_real_image_or_equal_ones_is_defined():
    for count in (1, 4):
        texture = Texture.of(np.ones((count, 3)))
        assert texture.score(np.ones((1, 3)))[0] == 1
        assert 0 < texture.score(np.ones((1, 3)) * 1.5)[0] < 0.5


def test_blur_and_noise_lower_the_texture_score_and_more_lowers_it_more():
    texture = Texture.of(texture_statistics(scenes(200)))
    fresh = scenes(40, seed=1)

    def mean(images: np.ndarray) -> float:
        return float(texture.score(texture_statistics(images)).mean())

    clean = mean(fresh)
    assert clean == pytest.approx(0.5, abs=0.1)
    assert clean > mean(blurred(fresh, 0.7)) > mean(blurred(fresh, 1.5))
    assert clean > mean(noisy(fresh, 2)) > mean(noisy(fresh, 10)) > mean(noisy(fresh, 40))
    assert clean > mean(blurred(fresh, 1.5)) + 0.2


def test_texture_statistics_are_those_of_each_image_alone():
    images = scenes(3)[:, :61, :50]  # sides that do not divide by four
    together = texture_statistics(images)
    assert together.shape == (3, WIDTH)
    for row, image in zip(together, images, strict=True):
        np.testing.assert_allclose(texture_statistics(image[None])[0], row, rtol=1e-5)
    flat = texture_statistics(np.full((1, 16, 16, 3), 99, np.uint8))
    np.testing.assert_allclose(flat, np.log(16), rtol=1e-4)


def test_quality_needs_both_content_and_texture():
    content, texture = Manifold.of(line(0, 1), k=1), Texture.of(line(-1, 1, -1, 1))
    good, off = line(0), line(9)
    quality = [image_quality(c, t, content, texture)[0] for c in (good, off) for t in (good, off)]
    assert quality[0] == 1
    assert max(quality[1:3]) < 0.5
    assert quality[3] < min(quality[1:3])


def test_nan_and_foreign_features_are_refused():
    real = Manifold.of(np.random.default_rng(0).normal(size=(20, 6)))
    with pytest.raises(FeatureError, match="features for image quality are NaN"):
        content_score(np.full((2, 6), np.nan), real)
    with pytest.raises(FeatureError, match="5 dimensions can't be compared with others of 6"):
        content_score(np.zeros((2, 5)), real)
    with pytest.raises(FeatureError, match="texture statistics are NaN"):
        Texture.of(line(1, 2)).score(line(np.inf))
