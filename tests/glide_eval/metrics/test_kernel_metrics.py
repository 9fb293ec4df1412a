from __future__ import annotations

import numpy as np
import pytest
import torch
from cleanfid.fid import kernel_distance
from torch_fidelity.metric_kid import kid_features_to_metric
from torchmetrics.image.kid import poly_mmd

from glide_eval.errors import FeatureError
from glide_eval.metrics import cmmd, cmmd_reference_term, kid, kid_reference_term, mmd


def spread(n: int, d: int = 12, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    return shift + np.random.default_rng(seed).normal(size=(n, d))


def unit(n: int, e: int = 16, seed: int = 0, towards: float = 0.0) -> np.ndarray:
    rows = spread(n, e, seed)
    rows[:, 0] += towards
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_two_images_by_hand():
    # d = 1, k(x, y) = (xy + 1)³: k(0, 1) = 1 among generated, k(1, 2) = 27 among real, and
    # between them k(0, ·) = 1 twice, k(1, 1) = 8 and k(1, 2) = 27, on average 9.25.
    result = kid(np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]]))
    assert result.value == pytest.approx(1 + 27 - 2 * 9.25)


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_kid_on_all_images_agrees_with_three_libraries(shift):
    fake, real = spread(120, seed=1, shift=shift), spread(120, seed=2)
    found = kid(fake, real).value
    # A subset of all images is the full-sample estimate; the order it is drawn in is no matter.
    assert kernel_distance(real, fake, 1, 120) == pytest.approx(found, rel=1e-10)
    theirs = kid_features_to_metric(
        torch.from_numpy(fake), torch.from_numpy(real),
        kid_subsets=1, kid_subset_size=120, verbose=False, rng_seed=0,
    )  # fmt: skip
    assert theirs["kernel_inception_distance_mean"] == pytest.approx(found, rel=1e-10)
    third = poly_mmd(torch.from_numpy(fake), torch.from_numpy(real))
    assert float(third) == pytest.approx(found, rel=1e-10)


def test_subsets_of_the_peers_scatter_about_the_full_sample_value():
    fake, real = spread(400, seed=1, shift=0.3), spread(500, seed=2)
    theirs = kid_features_to_metric(
        torch.from_numpy(fake), torch.from_numpy(real),
        kid_subsets=60, kid_subset_size=100, verbose=False, rng_seed=0,
    )  # fmt: skip
    scatter = theirs["kernel_inception_distance_std"] / np.sqrt(60)
    gap = theirs["kernel_inception_distance_mean"] - kid(fake, real).value
    assert abs(gap) < 4 * scatter


def test_neither_tiles_nor_single_precision_change_the_value(monkeypatch):
    fake, real = spread(70, seed=1), spread(90, seed=2)
    whole = kid(fake, real)
    monkeypatch.setattr(mmd, "TILE", 32)
    tiled = kid(fake, real, reference_term=kid_reference_term(real))
    assert tiled.value == pytest.approx(whole.value, rel=1e-12)
    np.testing.assert_allclose(tiled.influence, whole.influence, rtol=1e-10, atol=1e-12)
    fake, real = (0.5 + x.astype(np.float32) for x in (fake, real))
    exact = kid(fake.astype(float), real.astype(float)).value
    assert kid(fake, real).value == pytest.approx(exact, rel=1e-4)


def test_cmmd_is_the_papers_definition_without_the_diagonal():
    fake, real = unit(60, seed=1, towards=1.0), unit(50, seed=2)

    def gaussian(a, b):
        return np.exp(-np.sum((a[:, None] - b[None]) ** 2, axis=2) / 200)

    def off_diagonal(k):
        return (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))

    wanted = off_diagonal(gaussian(fake, fake)) + off_diagonal(gaussian(real, real))
    wanted -= 2 * gaussian(fake, real).mean()
    result = cmmd(fake, real)
    assert result.value == pytest.approx(1000 * wanted, rel=1e-9)
    given = cmmd(fake, real, reference_term=cmmd_reference_term(real))
    assert given.value == pytest.approx(result.value, rel=1e-12)


@pytest.mark.parametrize("measure", [kid, cmmd])
def test_sets_of_one_distribution_are_about_zero_apart_and_may_be_below(measure):
    values = [measure(unit(60, seed=s), unit(60, seed=1000 + s)).value for s in range(40)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(40)
    assert min(values) < 0 < max(values)


@pytest.mark.parametrize("measure", [kid, cmmd])
@pytest.mark.parametrize(("towards", "least"), [(0.0, 0.9), (0.5, 0.93)])
def test_intervals_cover_the_mean_of_repeated_draws(measure, towards, least):
    # The reference stays, as intervals say. Where nothing tells the sets apart the statistic is
    # skewed, and a symmetric interval falls a little short.
    real = unit(400, seed=99)
    draws = [measure(unit(100, seed=s, towards=towards), real) for s in range(1000, 1300)]
    mean = np.mean([draw.value for draw in draws])
    covered = np.mean([d.interval.low <= mean <= d.interval.high for d in draws])
    assert least <= covered <= 0.98


def test_replicas_of_a_prompt_widen_the_interval():
    fake, real = np.repeat(spread(60, seed=1), 2, axis=0), spread(80, seed=2)
    alone = kid(fake, real).interval
    grouped = kid(fake, real, np.repeat(np.arange(60), 2).tolist()).interval
    assert grouped.high - grouped.low > 1.3 * (alone.high - alone.low)


@pytest.mark.parametrize("measure", [kid, cmmd])
@pytest.mark.parametrize(("n", "m"), [(0, 9), (1, 9), (9, 1), (9, 0)])
def test_fewer_than_two_images_on_a_side_are_undefined(measure, n, m):
    result = measure(unit(n), unit(m))
    assert np.isnan(result.value)
    assert f"has {n} generated and {m} real" in result.note


def test_bad_features_are_refused():
    good = unit(9)
    bad = good.copy()
    bad[2] = np.nan
    for measure, words in ((kid, "features for KID"), (cmmd, "image embeddings for CMMD")):
        with pytest.raises(FeatureError, match=f"{words} are NaN or infinite for 1 of 9"):
            measure(bad, good)
        with pytest.raises(FeatureError, match="16 dimensions can't be compared with others of 5"):
            measure(good, unit(9, 5))
    with pytest.raises(FeatureError, match="have length 2: expected 1"):
        cmmd(2 * good, good)


def test_half_precision_features_give_the_kid_of_single_precision():
    rng = np.random.default_rng(0)
    ours, real = (rng.normal(shift, 6, (60, 512)).astype(np.float16) for shift in (8, 9))
    half = kid(ours, real)
    single = kid(ours.astype(np.float32), real.astype(np.float32))
    assert np.isfinite(half.value)
    assert half.note == single.note
    assert half.value == pytest.approx(single.value, rel=1e-6)
