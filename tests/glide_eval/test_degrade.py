from __future__ import annotations

import numpy as np
import pytest

from generator.tabletop.dataset import reference_images
from glide_eval.sweep.degrade import degraded, degrading_weights
from glide_eval.sweep.file.arm_options import DegradeTable

WAYS = ["autoencoder", {"blur": 1.5}, {"jpeg": 10}, {"downsample": 4}]


def how(value) -> DegradeTable:
    return DegradeTable.model_validate(value)


@pytest.fixture(scope="module")
def pictures():
    """Two rendered scenes, with grain."""
    scenes = reference_images(2, seed=700)[0]
    grain = np.random.default_rng(0).normal(0, 6, scenes.shape)
    return (scenes + grain).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_way_keeps_the_picture_and_loses_its_detail(pictures, way):
    worse = degraded(pictures, how(way))
    assert (worse.shape, worse.dtype) == (pictures.shape, np.uint8)
    assert not np.array_equal(worse, pictures)
    before, after = pictures.astype(float), worse.astype(float)
    assert np.abs(np.diff(after, axis=2)).mean() < 0.8 * np.abs(np.diff(before, axis=2)).mean()
    for one, other in zip(before, after, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_an_image_comes_out_the_same_whatever_its_neighbours(pictures, way):
    together = degraded(pictures, how(way))
    alone = degraded(pictures[1:], how(way))
    np.testing.assert_array_equal(together[1:], alone)


def test_blurring_a_point_spreads_it_as_a_gaussian():
    point = np.zeros((1, 33, 33, 3), np.uint8)
    point[0, 16, 16] = 255
    soft = degraded(point, how({"blur": 1.0}))[0, 16, :, 0].astype(float)
    # 255 / (2π) at the centre, e^-½ and e^-2 of it one and two pixels away
    np.testing.assert_allclose(soft[[16, 17, 18]], [40.6, 24.6, 5.5], atol=0.6)


def test_more_of_it_is_worse(pictures):
    for way, mild, strong in [("blur", 0.5, 3.0), ("jpeg", 90, 5), ("downsample", 2, 16)]:
        errors = [
            np.abs(degraded(pictures, how({way: amount})).astype(int) - pictures).mean()
            for amount in (mild, strong)
        ]
        assert errors[0] < errors[1], way


def test_a_factor_beyond_the_image_leaves_one_colour(pictures):
    flat = degraded(pictures[:, :48, :48], how({"downsample": 64}))
    assert np.ptp(flat, axis=(1, 2)).max() == 0
    assert (flat[0, 0, 0] > 60).all()


def test_only_the_autoencoder_has_weights():
    assert len(degrading_weights(how("autoencoder"))["autoencoder.safetensors"]) == 64
    assert degrading_weights(how({"jpeg": 20})) == {}
