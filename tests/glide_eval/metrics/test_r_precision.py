from __future__ import annotations

import numpy as np
import pytest

from glide_eval.errors import FeatureError
from glide_eval.metrics import r_precision, r_precisions
from glide_eval.metrics.r_precision import DISTRACTORS


def unit(n: int, e: int = 64, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, e))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_images_that_are_their_captions_find_them_and_random_ones_find_one_in_a_hundred():
    texts = unit(150)
    np.testing.assert_array_equal(r_precisions(texts, texts, range(150)), 1)
    many = np.concatenate([r_precisions(unit(150, seed=s), texts, range(150)) for s in range(1, 9)])
    assert 0.002 < many.mean() < 0.022


def test_with_exactly_a_hundred_captions_it_is_the_rank_among_all():
    images, texts = unit(100, 8, seed=1), unit(100, 8)
    ranks_first = (images @ texts.T).argmax(axis=1) == np.arange(100)
    np.testing.assert_array_equal(r_precisions(images, texts, range(100)), ranks_first)


def test_replicas_share_their_prompts_distractors_and_are_clustered():
    images, texts = unit(120, 8, seed=1), unit(120, 8)
    images = images + 0.8 * texts
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    once = r_precisions(images, texts, range(120))
    prompts = [i // 2 for i in range(240)]
    twice = r_precisions(images.repeat(2, axis=0), texts.repeat(2, axis=0), prompts)
    np.testing.assert_array_equal(twice, np.repeat(once, 2))
    a, b = r_precision(once, 120, range(120)), r_precision(twice, 240, prompts)
    assert 0 < a.value < 1
    assert (b.value, b.n) == (a.value, 240)
    assert b.interval.low == pytest.approx(a.interval.low, rel=1e-6)


def test_captions_that_say_the_same_are_no_distractors():
    texts = unit(120)
    texts[1:20] = texts[0]  # twenty prompts of one caption, told from the hundred others
    np.testing.assert_array_equal(r_precisions(texts, texts, range(120)), 1)
    texts[20] = texts[0]
    texts[21:23] = texts[0]
    assert r_precisions(texts, texts, range(120)) is None


def test_too_few_captions_are_undefined_and_say_so():
    texts = unit(DISTRACTORS)
    scores = r_precisions(texts, texts, range(DISTRACTORS))
    assert scores is None
    result = r_precision(scores, DISTRACTORS)
    assert np.isnan(result.value)
    assert "needs 100 different captions" in result.note
    assert np.isnan(r_precision(np.empty(0), 0).value)


def test_embeddings_that_are_not_unit_are_refused():
    with pytest.raises(FeatureError, match="caption embeddings for R-precision have length 2"):
        r_precisions(unit(120), 2 * unit(120), range(120))
