from __future__ import annotations

import numpy as np
import pytest

from glide_eval.arm_options import DegradeTable
from glide_eval.degrade import degraded, degrading_weights

WAYS = ["autoencoder", {"blur": 1.5}, {"jpeg": 10}, {"downsample": 4}]


def how(value) -> DegradeTable:
    return DegradeTable.model_validate(value)


@pytest.fixture(scope="module")
def pictures():
    """Two scenes of a ball on a ground, with grain."""
    y, x = np.mgrid[:64, :64]
    ball = (x - 32) ** 2 + (y - 30) ** 2 < 200
    scene = np.where(ball[..., None], [200, 40, 40], [120, 130, 140]).astype(float)
    grain = np.random.default_rng(0).normal(0, 12, (2, 64, 64, 3))
    return (scene + grain).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_way_keeps_the_picture_and_loses_its_detail(pictures, way):
    worse = degraded(pictures, how(way))
    assert (worse.shape, worse.dtype) == (pictures.shape, np.uint8)
    assert not np.array_equal(worse, pictures)
    before, after = pictures.astype(float), worse.astype(float)
    assert np.abs(np.diff(after, axis=2)).mean() < 0.8 * np.abs(np.diff(before, axis=2)).mean()
    assert np.abs(after - before).mean() < 25
    red = after[:, 25:35, 28:36, 0].mean() - after[:, 25:35, 28:36, 1].mean()
    assert red > 80  # the ball is still red


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


def test_a_factor_beyond_the_image_leaves_its_mean_colour(pictures):
    flat = degraded(pictures, how({"downsample": 64})).astype(float)
    np.testing.assert_allclose(flat[0], pictures[0].mean(axis=(0, 1))[None, None], atol=8)
    assert np.ptp(flat[0], axis=(0, 1)).max() == 0


def test_only_the_autoencoder_has_weights():
    assert len(degrading_weights(how("autoencoder"))["autoencoder.safetensors"]) == 64
    assert degrading_weights(how({"jpeg": 20})) == {}
