from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from safetensors.torch import save_file

from generator.tabletop.dataset import reference_images
from glide_eval.errors import WeightsError
from glide_eval.extractors import (
    EXTRACTORS,
    GUIDING_CLIPS,
    NAMES,
    SCORERS,
    load_extractor,
    load_scorer,
)
from glide_eval.metrics import clip_scores
from glide_eval.sweep.rerank import best_of
from tests.glide_eval.stand_ins import CLIP, add_tiny_clip, clip_state, images


def test_no_clip_that_guides_can_be_chosen():
    assert not set(GUIDING_CLIPS) & set(SCORERS)
    assert {clip.extractor for clip in SCORERS.values()} <= {*NAMES, "fake"}
    assert SCORERS["vit-b-16"].extractor == "clip-vit-b-16"


def test_the_bundled_clip_prefers_a_pictures_own_caption():
    images, captions = reference_images(6, seed=400)
    scorer = load_scorer("tabletop-clean")
    own = scorer.scores(images, captions)
    swapped = scorer.scores(images, captions[1:] + captions[:1])
    assert own.shape == (6,)
    assert own.dtype == np.float64
    assert (own > swapped).sum() >= 5
    assert np.abs(own - scorer.scores(images[::-1], captions[::-1])[::-1]).max() < 1e-4
    assert set(scorer.fingerprint()) == {"clean-clip.safetensors"}


def test_a_clip_whose_weights_are_not_here_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("GLIDE_EVAL_WEIGHTS", raising=False)
    with pytest.raises(WeightsError, match=r"ViT-B-16\.pt is not on .* fetch clip-vit-b-16"):
        load_scorer("vit-b-16")


@pytest.fixture
def vit_b_16(tmp_path, monkeypatch):
    """`clip-vit-b-16` with a tiny network in its place, its weights in the folder for weights."""
    add_tiny_clip(tmp_path)
    save_file(clip_state(), tmp_path / "open_clip-ViT-B-16-openai.safetensors")
    tiny = replace(EXTRACTORS["clip-vit-b-16"], architecture=CLIP)
    monkeypatch.setitem(EXTRACTORS, "clip-vit-b-16", tiny)
    monkeypatch.setenv("GLIDE_EVAL_WEIGHTS", str(tmp_path))


def test_reranking_and_the_clip_score_of_that_name_use_the_same_clip(vit_b_16):
    scorer, extractor = load_scorer("vit-b-16"), load_extractor(SCORERS["vit-b-16"].extractor)
    assert scorer.fingerprint() == {"clip-vit-b-16": extractor.facts["weights"]}
    pictures, captions = np.stack(images(3, 48, 48)), ["a cat", "a dog", "a cat"]
    scores = scorer.scores(pictures, captions)
    seen = extractor.extract(list(pictures), captions).clip
    measured = clip_scores(seen.images, seen.texts, seen.logit_scale)
    np.testing.assert_allclose(scores, measured, atol=1e-5)
    assert scores.dtype == np.float64
    again = scorer.scores(pictures[[0, 2, 1]], ["a cat", "a cat", "a dog"])
    np.testing.assert_allclose(again, scores[[0, 2, 1]], atol=1e-4)


def test_the_best_of_several_candidates_is_the_one_that_clip_scores_highest(vit_b_16):
    scorer = load_scorer("vit-b-16")
    candidates = [np.stack(images(2, 32, 32, seed=seed)) for seed in range(3)]
    ranked = best_of(candidates, ["a cat", "a dog"], scorer)
    scores = np.stack([scorer.scores(c, ["a cat", "a dog"]) for c in candidates], axis=1)
    np.testing.assert_array_equal(ranked.chosen, scores.argmax(axis=1))
