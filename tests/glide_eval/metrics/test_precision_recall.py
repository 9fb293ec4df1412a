from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch_fidelity.metric_prc import calculate_precision_recall_full

from glide_eval.errors import FeatureError
from glide_eval.metrics import (
    Manifold,
    Neighbourhoods,
    coverage,
    density,
    neighbours,
    precision,
    recall,
)
from glide_eval.metrics.value import prompt_halves


def cloud(n: int, d: int = 6, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return scale * np.random.default_rng(seed).normal(size=(n, d))


def line(*places: float) -> np.ndarray:
    return np.array(places, dtype=float)[:, None]


def all_four(fake, real, prompts=None, k=3, density_k=5):
    seen = Neighbourhoods.of(fake, Manifold.of(real, k, depth=density_k), prompts, density_k)
    return precision(seen), recall(seen), density(seen), coverage(seen)


def by_brute_force(fake, real, k=3, density_k=5) -> tuple[float, float, float, float]:
    """The papers' definitions on whole distance matrices."""

    def radii(points, k):
        return np.sort(cdist(points, points), axis=1)[:, k]

    between = cdist(real, fake)
    return (
        (between <= radii(real, k)[:, None]).any(axis=0).mean(),
        (between <= radii(fake, k)).any(axis=1).mean(),
        (between <= radii(real, density_k)[:, None]).sum() / (density_k * len(fake)),
        (between <= radii(real, density_k)[:, None]).any(axis=1).mean(),
    )


def test_a_line_by_hand():
    # Real points 0 1 2 3 and k = 1: every ball has radius 1 and their union is −1..4.
    real = line(0, 1, 2, 3)
    np.testing.assert_array_equal(Manifold.of(real, k=1).squared_radii, 1)
    # Fakes 0.5, and 4 on the very edge, are inside, in two balls and one. The balls of all four
    # real points but 0 and 1 hold none but 4. Fakes' radii are 2, 2, 3.5 and 5, to the nearest
    # fake; their balls −3.5..0.5, −1.5..2.5, 0.5..7.5 and 4..14 hold all real points.
    four = all_four(line(-1.5, 0.5, 4, 9), real, k=1, density_k=1)
    assert [result.value for result in four] == [0.5, 1, 0.75, 0.75]
    assert all_four(line(0.4, 0.5, 9, 9.1), real, k=1)[1].value == 0


@pytest.mark.parametrize("scale", [0.6, 1.0, 1.5])
def test_precision_and_recall_agree_with_torch_fidelity(scale):
    fake, real = cloud(150, seed=1, scale=scale), cloud(200, seed=2)
    wanted = calculate_precision_recall_full(torch.from_numpy(fake), torch.from_numpy(real))
    found = [result.value for result in all_four(fake, real)[:2]]
    assert found == pytest.approx(wanted, abs=1e-6)  # theirs is in float32


@pytest.mark.parametrize(("n", "m", "d", "scale"), [(150, 200, 6, 1.3), (90, 40, 300, 1.0)])
@pytest.mark.parametrize("offset", [0.0, 3e3])
def test_all_four_are_the_papers_whatever_the_tiles(monkeypatch, n, m, d, scale, offset):
    fake, real = offset + cloud(n, d, 1, scale), offset + cloud(m, d, 2)
    wanted = by_brute_force(fake, real)
    monkeypatch.setattr(neighbours, "TILE", 64)
    assert [result.value for result in all_four(fake, real)] == pytest.approx(wanted, abs=1e-12)


def test_single_precision_features_are_taken_as_they_are():
    fake, real = cloud(80, 16, 1).astype(np.float32), cloud(90, 16, 2).astype(np.float32)
    manifold = Manifold.of(real)
    assert manifold.points is real
    wanted = by_brute_force(fake.astype(float), real.astype(float))
    assert [result.value for result in all_four(fake, real)] == pytest.approx(wanted, abs=1e-12)


def test_distances_that_single_precision_can_not_tell_apart_are_told_apart():
    # Radii 1 and 1 + 1e-9: the fake at 1 + 5e-10 is outside the first ball and in the second.
    real = line(0, 1, 10, 11 + 1e-9)
    fake = line(-1 - 5e-10, 9 - 5e-10)
    seen = Neighbourhoods.of(fake, Manifold.of(real, k=1), density_k=1)
    np.testing.assert_array_equal(seen.inside, [False, True])


@pytest.mark.parametrize("spread", [1e-4, 1e-9, 0.0])
def test_radii_among_nearly_equal_images_are_exact(monkeypatch, spread):
    """Forty pictures that differ by less than single precision tells, amid others far away."""
    points = np.concatenate([10 + spread * cloud(40, 64, 1), 10 * cloud(300, 64, 2)])
    squared = cdist(points, points, "sqeuclidean")
    np.fill_diagonal(squared, np.inf)
    monkeypatch.setattr(neighbours, "TILE", 64)
    np.testing.assert_allclose(
        Manifold.of(points).nearest, np.sort(squared, axis=1)[:, :5], rtol=1e-9
    )


def test_no_matrix_of_all_distances_is_ever_held(monkeypatch):
    fake, real = cloud(3000, seed=1), cloud(3000, seed=2)
    monkeypatch.setattr(neighbours, "TILE", 256)
    tracemalloc.start()
    try:
        all_four(fake, real)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12e6  # bytes; 3000 × 3000 in single precision alone are 36 million


def test_copies_of_real_images_are_inside_even_far_from_the_origin():
    real = 1e4 + cloud(40)
    real[1:8] = real[0]  # more duplicates than neighbours: balls of radius zero
    assert Manifold.of(real).squared_radii[0] == 0
    values = [result.value for result in all_four(real, real)]
    assert values[0] == values[1] == values[3] == 1


def test_hundreds_of_equal_images_are_no_trouble():
    grey = np.ones((400, 8))
    assert [result.value for result in all_four(grey, cloud(50, 8))[:2]] == [1, 0]
    assert [result.value for result in all_four(grey, grey)] == [1, 1, 80, 1]


def test_leaving_out_prompts_is_measuring_without_them():
    fake, real = cloud(14, 3, seed=1, scale=1.3), cloud(60, 3, seed=2)
    prompts = np.repeat(np.arange(7), 2)
    seen = Neighbourhoods.of(fake, Manifold.of(real), prompts.tolist())
    for prompt in range(7):
        wanted = by_brute_force(fake[prompts != prompt], real)
        assert seen.covered[1 + prompt] == pytest.approx(wanted[3], abs=1e-12)
    for half, kept in enumerate(prompt_halves(prompts)):
        wanted = by_brute_force(fake[kept], real)
        assert seen.recalled[1 + half] == pytest.approx(wanted[1], abs=1e-12)


def test_certainty_by_accident_still_has_an_interval():
    inside = all_four(np.zeros((48, 6)), cloud(500))[0]
    assert inside.value == 1
    assert 0.9 < inside.interval.low < 0.96
    assert inside.interval.high == 1
    far = all_four(np.full((48, 6), 99.0), cloud(100))
    for result in (far[0], far[1], far[3]):
        assert (result.value, result.interval.low) == (0, 0)
        assert 0.04 < result.interval.high < 0.1
    assert far[2].value == 0
    assert "contributes the same" in far[2].note


def test_intervals_cover_the_mean_of_repeated_draws():
    manifold = Manifold.of(cloud(400, seed=99))
    draws = []
    for seed in range(150):
        seen = Neighbourhoods.of(cloud(80, seed=seed, scale=1.1), manifold)
        draws.append([metric(seen) for metric in (precision, recall, density, coverage)])
    for of_metric in zip(*draws, strict=True):
        mean = np.mean([draw.value for draw in of_metric])
        covered = np.mean([d.interval.low <= mean <= d.interval.high for d in of_metric])
        assert 0.91 <= covered <= (1 if of_metric[0].metric == "coverage" else 0.985)


def test_replicas_of_a_prompt_widen_the_interval():
    fake, real = np.repeat(cloud(60, scale=1.4), 2, axis=0), cloud(300, seed=2)
    alone = all_four(fake, real)
    grouped = all_four(fake, real, np.repeat(np.arange(60), 2).tolist())
    for one, other in ((alone[0], grouped[0]), (alone[2], grouped[2])):
        assert other.value == one.value
        width = other.interval.high - other.interval.low
        assert width > 1.3 * (one.interval.high - one.interval.low)


def test_too_few_images_are_undefined_and_say_so():
    _, few, *_ = all_four(cloud(3), cloud(50))
    assert np.isnan(few.value)
    assert "needs more than k = 3 images, has 3" in few.note
    _, barely, *_ = all_four(cloud(4), cloud(50))
    assert np.isfinite(barely.value)
    assert np.isnan(barely.interval.low)
    assert "half of the prompts of 4 images are too few at k = 3" in barely.note
    for result in all_four(cloud(9), cloud(5))[2:]:
        assert np.isnan(result.value)
        assert "the reference has 5 images, needs more than k = 5" in result.note
    with pytest.raises(ValueError, match="3 points have no neighbour number 3"):
        Manifold.of(cloud(3))


def test_no_image_at_all_is_undefined():
    for result in all_four(cloud(0), cloud(50)):
        assert np.isnan(result.value)
        assert result.note.startswith("needs ")


def test_recall_and_coverage_say_that_they_depend_on_n():
    for result in all_four(cloud(20), cloud(50))[1::2]:
        assert "here 20 against 50 real" in result.note
    assert [result.note for result in all_four(cloud(50), cloud(50))] == [""] * 4


def test_one_prompt_gives_values_but_no_intervals():
    for result in all_four(cloud(9), cloud(50), ["p"] * 9):
        assert np.isfinite(result.value)
        assert np.isnan(result.interval.low)
        assert "no interval" in result.note


def test_nan_and_foreign_features_are_refused():
    real = cloud(20)
    bad = real.copy()
    bad[0, 0] = np.nan
    for call in (lambda: all_four(bad, real), lambda: Manifold.of(bad)):
        with pytest.raises(FeatureError, match="NaN or infinite for 1 of 20"):
            call()
    with pytest.raises(FeatureError, match="6 dimensions can't be compared with others of 5"):
        all_four(real, real[:, :5])
