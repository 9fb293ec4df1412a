from __future__ import annotations

import numpy as np
import pytest
from torch_fidelity.metric_isc import isc_features_to_metric

from glide_eval.errors import FeatureError
from glide_eval.metrics import inception_score


def logits(n: int, k: int = 10, seed: int = 0) -> np.ndarray:
    return 2 * np.random.default_rng(seed).normal(size=(n, k))


def test_sure_and_evenly_spread_classes_score_the_number_of_classes():
    certain = 1e3 * np.eye(4)[np.arange(40) % 4]
    assert inception_score(certain).value == pytest.approx(4)


def test_images_all_alike_score_one():
    result = inception_score(np.tile([1.0, 2.0, 3.0], (20, 1)))
    assert result.value == pytest.approx(1)
    assert np.isnan(result.interval.low)  # no spread, no interval, rather than one of no width
    assert "contributes the same" in result.note


def test_two_images_by_hand():
    # p = (¾, ¼) and (¼, ¾), marginal (½, ½): KL = ¾ ln 1.5 + ¼ ln 0.5 for each.
    rows = np.log([[0.75, 0.25], [0.25, 0.75]])
    wanted = np.exp(0.75 * np.log(1.5) + 0.25 * np.log(0.5))
    assert inception_score(rows).value == pytest.approx(wanted)


@pytest.mark.parametrize("splits", [1, 7])
def test_it_agrees_with_torch_fidelity(splits):
    import torch

    rows = logits(103)
    theirs = isc_features_to_metric(torch.from_numpy(rows), splits=splits, shuffle=False)
    result = inception_score(rows, splits=splits)
    assert result.value == pytest.approx(theirs["inception_score_mean"], rel=1e-10)
    assert f"{splits} split" in result.method


def test_a_constant_added_to_an_images_logits_changes_nothing():
    rows = logits(50)
    shifted = rows + np.random.default_rng(1).normal(size=(50, 1)) * 500
    assert inception_score(shifted).value == pytest.approx(inception_score(rows).value)


def test_the_standard_error_is_that_of_repeated_draws():
    draws = [inception_score(logits(400, 5, seed)) for seed in range(300)]
    values = np.array([draw.value for draw in draws])
    halves = np.array([(draw.interval.high - draw.interval.low) / 2 for draw in draws])
    assert halves.mean() / 1.966 == pytest.approx(values.std(ddof=1), rel=0.12)


def test_the_noted_bias_is_about_the_real_one():
    many = inception_score(logits(50_000, 40, seed=1)).value
    few = [inception_score(logits(100, 40, seed)) for seed in range(100)]
    gap = many - np.mean([result.value for result in few])
    said = [float(result.note.split()[1]) for result in few if result.note]
    assert len(said) == 100
    assert np.mean(said) == pytest.approx(gap, rel=0.3)
    assert "having only 100 images" in few[0].note


def test_plenty_of_images_carry_no_note():
    assert inception_score(logits(20_000, 5)).note == ""


def test_without_images_or_with_fewer_than_splits_it_is_undefined():
    assert np.isnan(inception_score(logits(0)).value)
    result = inception_score(logits(3), splits=4)
    assert np.isnan(result.value)
    assert "has 3 for 4" in result.note


def test_a_single_image_has_no_interval():
    result = inception_score(logits(1))
    assert result.value == pytest.approx(1)
    assert np.isnan(result.interval.low)
    assert "single prompt" in result.note


def test_nan_logits_are_refused_by_name():
    rows = logits(5)
    rows[4, 0] = np.nan
    with pytest.raises(FeatureError, match="class logits for the Inception Score are NaN"):
        inception_score(rows)
    with pytest.raises(ValueError, match="splits must be at least 1"):
        inception_score(logits(5), splits=0)


def test_sorted_images_are_dealt_to_splits_at_random():
    rows = np.repeat(np.eye(10) * 20, 30, axis=0)  # all images of a class beside each other
    in_order, dealt = inception_score(rows, splits=10), inception_score(rows, splits=10, seed=0)
    assert in_order.value == pytest.approx(1.0, abs=1e-3)
    assert dealt.value > 8
    assert dealt.value == inception_score(rows, splits=10, seed=0).value
