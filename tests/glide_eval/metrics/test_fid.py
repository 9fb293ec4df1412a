from __future__ import annotations

import numpy as np
import pytest
import torch
from cleanfid.fid import frechet_distance as cleanfid_distance
from torchmetrics.image.fid import FrechetInceptionDistance

from glide_eval.errors import FeatureError
from glide_eval.metrics import Moments, fid, fid_infinity
from glide_eval.metrics.fid import frechet_distance


def spread(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Features with unequal, correlated directions."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ (rng.normal(size=(d, d)) / np.sqrt(d)) + rng.normal(size=d)


def positive_definite(d: int, seed: int = 1) -> np.ndarray:
    root = np.random.default_rng(seed).normal(size=(d, d)) / np.sqrt(d)
    return root @ root.T + 0.3 * np.eye(d)


def test_one_dimension_by_hand():
    # Means 2 and 6, standard deviations 2 and 4: (2 − 6)² + (2 − 4)² = 20.
    a = np.array([[0.0], [2.0], [4.0]])
    b = np.array([[2.0], [6.0], [10.0]])
    assert frechet_distance(Moments.of(a), Moments.of(b)) == pytest.approx(20, abs=1e-12)
    assert fid(a, Moments.of(b)).value == pytest.approx(20, abs=1e-12)


@pytest.mark.parametrize(
    ("n", "d"), [(400, 16), (100, 100), (40, 100), (7, 64), (2, 64)],
    ids=lambda v: str(v),
)  # fmt: skip
def test_the_exact_oracle_holds_at_any_rank(n, d):
    # X₂ = X₁T with T symmetric positive definite: ‖Δμ‖² + tr((I − T) C₁ (I − T)), exactly.
    first, transport = spread(n, d), positive_definite(d)
    second = first @ transport
    gap = np.eye(d) - transport
    mean_gap = (first - second).mean(axis=0)
    wanted = mean_gap @ mean_gap + np.trace(gap @ np.cov(first.T) @ gap)
    found = frechet_distance(Moments.of(first), Moments.of(second))
    assert found == pytest.approx(wanted, abs=1e-9)
    assert fid(first, Moments.of(second)).value == pytest.approx(wanted, abs=1e-9)
    assert frechet_distance(Moments.of(second), Moments.of(first)) == pytest.approx(
        wanted, abs=1e-9
    )


@pytest.mark.parametrize("n", [300, 64, 20, 2])
def test_identical_sets_are_at_distance_zero_and_never_below(n):
    features = 1e3 * spread(n, 64)
    value = fid(features, Moments.of(features[::-1])).value
    assert 0 <= value < 1e-9


def test_sets_of_different_rank_agree_in_both_directions():
    few, many = spread(5, 32, seed=1), spread(200, 32, seed=2)
    there = frechet_distance(Moments.of(few), Moments.of(many))
    back = frechet_distance(Moments.of(many), Moments.of(few))
    assert there == pytest.approx(back, rel=1e-12)
    assert fid(few, Moments.of(many)).value == pytest.approx(there, rel=1e-12)
    assert fid(many, Moments.of(few)).value == pytest.approx(there, rel=1e-12)


@pytest.mark.filterwarnings("ignore:The `disp` argument is deprecated:DeprecationWarning")
def test_well_conditioned_sets_agree_with_clean_fid():
    a, b = spread(600, 48, seed=1), spread(500, 48, seed=2)
    theirs = cleanfid_distance(a.mean(0), np.cov(a.T), b.mean(0), np.cov(b.T))
    assert frechet_distance(Moments.of(a), Moments.of(b)) == pytest.approx(theirs, rel=1e-8)


def test_the_same_features_agree_with_torchmetrics():
    class Pass(torch.nn.Module):
        num_features = 24

        def forward(self, x):
            return x

    a, b = spread(300, 24, seed=3), spread(400, 24, seed=4)
    theirs = FrechetInceptionDistance(feature=Pass())
    theirs.set_dtype(torch.float64)
    theirs.update(torch.from_numpy(a), real=False)
    theirs.update(torch.from_numpy(b), real=True)
    assert fid(a, Moments.of(b)).value == pytest.approx(float(theirs.compute()), rel=1e-6)


def test_moments_of_parts_add_up_to_those_of_the_whole():
    features = spread(130, 16)
    parts = [features[:1], features[1:40], features[40:43], features[43:]]
    merged = Moments.of_batches([*parts, features[:0]])
    tree = Moments.of(parts[0]).merge(Moments.of(parts[1]))
    tree = tree.merge(Moments.of(parts[3]).merge(Moments.of(parts[2])))
    for moments in (merged, tree):
        assert moments.n == 130
        np.testing.assert_allclose(moments.mean, features.mean(0), atol=1e-12)
        np.testing.assert_allclose(moments.covariance, np.cov(features.T), atol=1e-12)
        assert len(moments.root) <= 16
        assert frechet_distance(moments, Moments.of(features)) < 1e-12


def test_published_statistics_serve_as_moments():
    a, b = spread(200, 12, seed=5), spread(300, 12, seed=6)
    published = Moments.from_covariance(300, b.mean(0), np.cov(b.T))
    assert fid(a, published).value == pytest.approx(fid(a, Moments.of(b)).value, rel=1e-10)


def test_a_large_common_offset_does_not_cost_digits():
    a, b = spread(200, 8, seed=1), spread(200, 8, seed=2)
    plain = frechet_distance(Moments.of(a), Moments.of(b))
    shifted = frechet_distance(Moments.of(a + 1e5), Moments.of(b + 1e5))
    assert shifted == pytest.approx(plain, rel=1e-6)


def test_the_standard_error_is_that_of_repeated_draws():
    d, n, repeats = 8, 160, 300
    rng = np.random.default_rng(7)
    reference = Moments.of(spread(2000, d, seed=8))
    shape = positive_definite(d, seed=9)
    draws = [fid(rng.normal(size=(n, d)) @ shape, reference) for _ in range(repeats)]
    values = np.array([draw.value for draw in draws])
    halves = np.array([(draw.interval.high - draw.interval.low) / 2 for draw in draws])
    assert halves.mean() / 1.975 == pytest.approx(values.std(ddof=1), rel=0.15)
    covered = [draw.interval.low <= values.mean() <= draw.interval.high for draw in draws]
    assert 0.92 <= np.mean(covered) <= 0.985


def skewed(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    """Features of mean 0 and variance 1 whose kurtosis is 23, as of rectified activations."""
    return (rng.gamma(0.3, size=(n, d)) - 0.3) / np.sqrt(0.3)


@pytest.mark.parametrize(("per_feature", "scale"), [(5, 0.6), (5, 1.15), (20, 0.6)])
def test_intervals_of_skewed_features_cover_the_mean_of_repeated_draws(per_feature, scale):
    """From influence values alone they cover 77% at 5 images per feature and scale 0.6."""
    d, rng = 32, np.random.default_rng(5)
    reference = Moments.of(skewed(rng, 20_000, d))
    draws = [fid(scale * skewed(rng, per_feature * d, d) + 0.3, reference) for _ in range(300)]
    mean = np.mean([draw.value for draw in draws])
    covered = [draw.interval.low <= mean <= draw.interval.high for draw in draws]
    assert 0.92 <= np.mean(covered) <= 0.985


def test_features_without_a_fourth_moment_are_named():
    rng = np.random.default_rng(6)
    reference = Moments.of(rng.standard_t(3, size=(20_000, 16)))
    found = fid(1.2 * rng.standard_t(3, size=(800, 16)), reference)
    assert "heavy tails: its error comes from about" in found.note
    assert "heavy" not in fid(skewed(rng, 800, 16), reference).note


def test_at_five_images_a_feature_intervals_cover_and_the_extrapolated_ones_cover_the_truth():
    # Generated and real images are Gaussian with known moments, so the true distance is known.
    d, n, repeats = 8, 40, 300
    rng = np.random.default_rng(11)
    shape = np.diag(np.linspace(0.5, 2, d)) + 0.2 * rng.normal(size=(d, d))
    reference = Moments.of(rng.normal(size=(20_000, d)) + 0.8)
    truth = frechet_distance(Moments(2, np.zeros(d), shape), reference)
    plain, free = [], []
    for _ in range(repeats):
        features = rng.normal(size=(n, d)) @ shape
        plain.append(fid(features, reference))
        free.append(fid_infinity(features, reference, plain=plain[-1]))
    mean = np.mean([draw.value for draw in plain])
    covered = np.mean([draw.interval.low <= mean <= draw.interval.high for draw in plain])
    assert 0.92 <= covered <= 0.98
    covered = np.mean([draw.interval.low <= truth <= draw.interval.high for draw in free])
    assert 0.91 <= covered <= 0.98
    extrapolated = np.mean([draw.value for draw in free])
    assert abs(extrapolated - truth) < 0.15 * (mean - truth)


def test_fid_infinity_is_the_line_through_whole_and_halves():
    features, reference = spread(60, 4), Moments.of(spread(500, 4, seed=2))
    prompts = np.repeat(np.arange(30), 2).tolist()
    whole = fid(features, reference, prompts)
    found = fid_infinity(features, reference, prompts, seed=3)
    assert found.metric == "fid_infinity"
    assert found.value < whole.value
    width = whole.interval.high - whole.interval.low
    assert found.interval.high - found.interval.low == pytest.approx(width)
    assert fid_infinity(features, reference, prompts, whole, seed=3) == found
    assert fid_infinity(features, reference, prompts, whole, seed=4).value != found.value
    # Replicas stay together: were the halves drawn by image, copies would change the value more.
    doubled = fid_infinity(features.repeat(2, axis=0), reference, np.repeat(prompts, 2), seed=3)
    assert doubled.value == pytest.approx(found.value, rel=0.15)


def test_fid_infinity_needs_prompts_to_halve_and_says_where_it_is_weak():
    reference = Moments.of(spread(500, 8, seed=2))
    few = fid_infinity(spread(9, 8), reference, ["a", "a", "a", "b", "b", "b", "c", "c", "c"])
    assert np.isnan(few.value)
    assert "needs 4 prompts to halve, has 3" in few.note
    assert "has 1 generated and 500 real" in fid_infinity(spread(1, 8), reference).note
    assert "weak for 12 images of 8 features" in fid_infinity(spread(12, 8), reference).note
    assert fid_infinity(spread(40, 8), reference).note == ""


def test_fid_infinity_against_the_runs_own_prompts_says_that_it_means_nothing():
    rng = np.random.default_rng(4)
    looks = rng.normal(size=(20, 4))  # what each prompt looks like; images differ little from it
    real = Moments.of(looks.repeat(100, axis=0) + 0.1 * rng.normal(size=(2000, 4)))
    features = looks.repeat(20, axis=0) + 0.1 * rng.normal(size=(400, 4))
    found = fid_infinity(features, real, np.arange(20).repeat(20))
    assert found.interval.high < 0
    assert "wholly below zero" in found.note
    assert not fid(features, real, np.arange(20).repeat(20)).note


def test_an_images_influence_is_what_leaving_it_out_changes():
    for n, d in ((200, 5), (30, 50)):
        features, reference = spread(n, d), Moments.of(spread(400, d, seed=2))
        found = fid(features, reference)
        change = [found.value - fid(np.delete(features, i, axis=0), reference).value
                  for i in range(n)]  # fmt: skip
        assert np.corrcoef(change, found.influence)[0, 1] > 0.98


def test_directions_without_spread_and_singular_values_far_apart_are_exact():
    rng = np.random.default_rng(0)
    first = spread(300, 24) * np.logspace(0, -9, 24)
    first[:, 5] = first[:, 9] = 0.0
    transport = positive_definite(24)
    gap = np.eye(24) - transport
    second = first @ transport
    mean_gap = (first - second).mean(axis=0)
    wanted = mean_gap @ mean_gap + np.trace(gap @ np.cov(first.T) @ gap)
    assert frechet_distance(Moments.of(first), Moments.of(second)) == pytest.approx(
        wanted, abs=1e-9
    )
    nearly = first + 1e-7 * rng.normal(size=first.shape)
    found = frechet_distance(Moments.of(first), Moments.of(nearly))
    assert 0 < found < 1e-11


def test_replicas_of_a_prompt_count_as_one():
    features = spread(50, 4)
    reference = Moments.of(spread(500, 4, seed=2))
    prompts = [f"p{i}" for i in range(50)]
    once = fid(features, reference, prompts)
    twice = fid(np.repeat(features, 2, axis=0), reference, np.repeat(prompts, 2).tolist())
    width = once.interval.high - once.interval.low
    assert twice.interval.high - twice.interval.low == pytest.approx(width, rel=0.05)
    assert twice.n == 100


def test_too_few_images_a_dimension_are_noted():
    reference = Moments.of(spread(500, 32, seed=2))
    assert "48 images for 32 features" in fid(spread(48, 32), reference).note
    assert fid(spread(64, 32), reference).note == ""
    assert "reference has only 40" in fid(spread(64, 32), Moments.of(spread(40, 32))).note


@pytest.mark.parametrize(("n", "m"), [(0, 9), (1, 9), (9, 1)])
def test_with_fewer_than_two_images_fid_is_undefined_and_says_so(n, m):
    result = fid(spread(9, 4)[:n], Moments.of(spread(m, 4)))
    assert np.isnan([result.value, result.interval.low, result.interval.high]).all()
    assert f"has {n} generated and {m} real" in result.note
    assert np.isnan(frechet_distance(Moments.of(spread(1, 4)), Moments.of(spread(9, 4))))


def test_one_prompt_gives_a_value_but_no_interval():
    result = fid(spread(9, 2), Moments.of(spread(50, 2)), ["p0"] * 9)
    assert np.isfinite(result.value)
    assert np.isnan(result.interval.low)
    assert "single prompt" in result.note


def test_nan_misshapen_and_foreign_features_are_refused():
    good = spread(9, 4)
    bad = good.copy()
    bad[5, 1] = np.inf
    with pytest.raises(FeatureError, match="infinite for 1 of 9 images, first for number 5"):
        fid(bad, Moments.of(good))
    with pytest.raises(FeatureError, match=r"shape \(4,\)"):
        Moments.of(good[0])
    with pytest.raises(FeatureError, match="no image at all"):
        Moments.of(good[:0])
    with pytest.raises(FeatureError, match="no image at all"):
        Moments.of_batches([])
    with pytest.raises(FeatureError, match="4 dimensions can't be compared with a reference of 3"):
        fid(good, Moments.of(good[:, :3]))
