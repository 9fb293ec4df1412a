from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_fidelity.metric_prc import calculate_precision_recall_full

from glide_eval.errors import FeatureError
from glide_eval.metrics import neighbours
from glide_eval.metrics.neighbours import Manifold
from glide_eval.metrics.precision_recall import precision, recall


def cloud(n: int, d: int = 6, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return scale * np.random.default_rng(seed).normal(size=(n, d))


def line(*places: float) -> np.ndarray:
    return np.array(places, dtype=float)[:, None]


def test_a_line_by_hand():
    # Real points 0 1 2 3 and k = 1: every ball has radius 1 and their union is −1..4.
    real = Manifold.of(line(0, 1, 2, 3), k=1)
    np.testing.assert_array_equal(real.squared_radii, 1)
    fake = line(-1.5, 0.5, 4, 9)
    assert precision(fake, real).value == 0.5  # 0.5, and 4 on the very edge
    # Fakes' radii: 2, 2, 3.5, 5 (to the nearest fake); balls −3.5..0.5, −1.5..2.5, 0.5..7.5, 4..14.
    assert recall(fake, real.points, k=1).value == 1
    assert recall(line(0.4, 0.5, 9, 9.1), real.points, k=1).value == 0


@pytest.mark.parametrize("scale", [0.6, 1.0, 1.5])
def test_both_agree_with_torch_fidelity(scale):
    fake, real = cloud(150, seed=1, scale=scale), cloud(200, seed=2)
    wanted = calculate_precision_recall_full(torch.from_numpy(fake), torch.from_numpy(real))
    found = precision(fake, Manifold.of(real)).value, recall(fake, real).value
    assert found == pytest.approx(wanted, abs=1e-6)  # theirs is in float32


def test_blocks_do_not_change_the_result(monkeypatch):
    fake, real = cloud(70, seed=1), cloud(90, seed=2)
    whole = precision(fake, Manifold.of(real)), recall(fake, real)
    monkeypatch.setattr(neighbours, "BLOCK_ENTRIES", 300)
    assert (precision(fake, Manifold.of(real)), recall(fake, real)) == whole


def test_copies_of_real_images_are_inside_even_far_from_the_origin():
    real = 1e4 + cloud(40)
    real[1:5] = real[0]  # more duplicates than neighbours: balls of radius zero
    manifold = Manifold.of(real)
    assert manifold.squared_radii[0] == 0
    assert precision(real, manifold).value == 1
    assert recall(real, real).value == 1


def test_certainty_by_accident_still_has_an_interval():
    inside = precision(np.zeros((48, 6)), Manifold.of(cloud(500)))
    assert inside.value == 1
    assert 0.9 < inside.interval.low < 0.96
    assert inside.interval.high == 1
    outside = precision(np.full((48, 6), 99.0), Manifold.of(cloud(500)))
    assert (outside.value, outside.interval.low) == (0, 0)
    assert 0.04 < outside.interval.high < 0.1
    collapsed = recall(np.full((48, 6), 99.0), cloud(100))
    assert collapsed.value == 0
    assert collapsed.interval.high > 0.1


def test_intervals_cover_the_mean_of_repeated_draws():
    real = cloud(400, seed=99)
    manifold = Manifold.of(real)
    for measure in (lambda x: precision(x, manifold), lambda x: recall(x, real)):
        draws = [measure(cloud(60, seed=seed, scale=1.1)) for seed in range(120)]
        mean = np.mean([draw.value for draw in draws])
        covered = np.mean([d.interval.low <= mean <= d.interval.high for d in draws])
        assert 0.92 <= covered <= 1.0


def test_replicas_of_a_prompt_widen_the_interval():
    fake, real = cloud(60, scale=1.4), Manifold.of(cloud(300, seed=2))
    doubled = np.repeat(fake, 2, axis=0)
    alone = precision(doubled, real).interval
    grouped = precision(doubled, real, np.repeat(np.arange(60), 2).tolist()).interval
    assert grouped.high - grouped.low > 1.3 * (alone.high - alone.low)


def test_recall_without_enough_neighbours_is_undefined_and_says_so():
    result = recall(cloud(3), cloud(50))
    assert np.isnan(result.value)
    assert "needs more than k = 3 images, has 3" in result.note
    barely = recall(cloud(4), cloud(50))
    assert np.isfinite(barely.value)
    assert np.isnan(barely.interval.low)
    assert "no interval" in barely.note
    with pytest.raises(ValueError, match="3 points have no neighbour number 3"):
        Manifold.of(cloud(3))


def test_recall_says_that_it_depends_on_n():
    assert "here 20 against 50 real" in recall(cloud(20), cloud(50)).note
    assert recall(cloud(50), cloud(50)).note == ""


def test_one_prompt_gives_values_but_no_intervals():
    fake, real = cloud(9), cloud(50)
    for result in (precision(fake, Manifold.of(real), ["p"] * 9), recall(fake, real, ["p"] * 9)):
        assert np.isfinite(result.value)
        assert np.isnan(result.interval.low)
        assert "no interval" in result.note


def test_no_images_nan_and_foreign_features():
    real = cloud(20)
    assert np.isnan(precision(cloud(0), Manifold.of(real)).value)
    bad = real.copy()
    bad[0, 0] = np.nan
    for call in (
        lambda: precision(bad, Manifold.of(real)),
        lambda: recall(real, bad),
        lambda: Manifold.of(bad),
    ):
        with pytest.raises(FeatureError, match="NaN or infinite for 1 of 20"):
            call()
    with pytest.raises(FeatureError, match="5 dimensions can't be compared with others of 6"):
        recall(real, real[:, :5])
