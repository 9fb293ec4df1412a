from __future__ import annotations

import numpy as np
import pytest

from glide_eval.errors import FeatureError
from glide_eval.metrics import accuracy, clip_score, clip_scores
from glide_eval.metrics.value import clustered_se, share_interval, t_interval


def unit(n: int, e: int = 8, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, e))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_the_clip_score_is_scale_times_cosine_and_may_be_negative():
    images = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, -1.0]])
    texts = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    np.testing.assert_allclose(clip_scores(images, texts, 100.0), [100, 80, -100])


def test_half_precision_embeddings_are_accepted_and_unnormalised_ones_refused():
    rows = unit(5).astype(np.float16)
    assert clip_scores(rows, rows, 1.0) == pytest.approx(np.ones(5), abs=5e-3)
    with pytest.raises(FeatureError, match=r"image embeddings .* have length 3: expected 1"):
        clip_scores(3 * unit(5), unit(5), 1.0)
    with pytest.raises(FeatureError, match="expected one caption for each "):
        clip_scores(unit(5), unit(4), 1.0)
    with pytest.raises(FeatureError, match="caption embeddings for the CLIP score are NaN"):
        clip_scores(unit(5), np.full((5, 8), np.nan), 1.0)


def test_the_mean_has_the_textbook_interval():
    scores = np.array([20.0, 22.0, 24.0, 26.0])
    result = clip_score(scores)
    assert result.value == 23
    # s/√n = 2.582/2 = 1.291; t₃ at 97.5% is 3.182.
    assert result.interval.high - 23 == pytest.approx(3.182 * 1.291, rel=1e-3)


def test_replicas_are_clustered_by_prompt():
    scores = np.repeat([20.0, 22.0, 24.0, 26.0], 3)
    prompts = np.repeat(["a", "b", "c", "d"], 3).tolist()
    alone, grouped = clip_score(scores[::3]), clip_score(scores, prompts)
    assert grouped.n == 12
    assert grouped.interval.low == pytest.approx(alone.interval.low)


def test_one_prompt_or_no_image_gives_no_interval():
    single = clip_score(np.array([3.0, 4.0]), ["a", "a"], "guiding_clip_score")
    assert (single.metric, single.value) == ("guiding_clip_score", 3.5)
    assert np.isnan(single.interval.high)
    assert "single prompt" in single.note
    assert np.isnan(clip_score(np.array([])).value)


def test_caption_accuracy_leaves_out_what_captions_do_not_claim():
    result = accuracy(np.array([1.0, np.nan, 0.0, 1.0, np.nan]), "relation", list("abcde"))
    assert (result.metric, result.n) == ("relation_accuracy", 3)
    assert result.value == pytest.approx(2 / 3)
    assert 0 < result.interval.low < 2 / 3 < result.interval.high < 1


def test_caption_accuracy_of_nothing_claimed_is_undefined_with_the_reason():
    nothing = np.full(4, np.nan)
    assert "none of the 4 captions names a relation" in accuracy(nothing, "relation").note
    assert "of the tabletop grammar" in accuracy(nothing, "caption").note
    assert np.isnan(accuracy(nothing, "relation").value)


def test_accuracy_outside_zero_to_one_is_refused():
    with pytest.raises(FeatureError, match=r"count_accuracy of an image is 2: expected 0\.\.1"):
        accuracy(np.array([0.5, 2.0]), "count")


def test_wilson_matches_scipy_for_yes_and_no():
    from scipy.stats import binomtest

    for right, n in ((30, 40), (1, 500), (499, 500)):
        values = np.repeat([1.0, 0.0], [right, n - right])
        se = np.sqrt(values.mean() * (1 - values.mean()) / n)
        found = share_interval(values.mean(), se, 10**9)  # so many clusters that t is normal
        wanted = binomtest(right, n).proportion_ci(method="wilson")
        assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), rel=1e-6)


@pytest.mark.parametrize("p", [0.5, 0.9, 0.98])
def test_share_intervals_keep_their_coverage_with_replicas_that_agree(p):
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(400):
        by_prompt = np.repeat((rng.random(48) < p).astype(float), 3)
        result = accuracy(by_prompt, "caption", np.repeat(np.arange(48), 3).tolist())
        covered += result.interval.low <= p <= result.interval.high
    assert 0.92 <= covered / 400 <= 0.995


def test_clustered_errors_check_their_labels_and_need_two_clusters():
    with pytest.raises(ValueError, match="3 images but 2 cluster labels"):
        clustered_se(np.arange(3.0), ["a", "b"])
    se, groups = clustered_se(np.array([]), [])
    assert np.isnan(se)
    assert groups == 0
    assert np.isnan(t_interval(1.0, se, groups).low)
    assert np.isnan(share_interval(1.0, se, groups).low)
