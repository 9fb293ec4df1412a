from __future__ import annotations

import json

import numpy as np
import pytest

from generator.tabletop.dataset import reference_images
from glide_eval.errors import WeightsError
from glide_eval.extractors import NAMES
from glide_eval.scorers import CLIPS, GUIDING_CLIPS, OpenClipScorer, load_scorer


def test_no_clip_that_guides_can_be_chosen():
    assert not set(GUIDING_CLIPS) & set(CLIPS)
    assert {clip.extractor for clip in CLIPS.values()} <= {*NAMES, "fake", ""}


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


def test_a_clip_whose_weights_are_not_here_says_where_to_put_them(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("GLIDE_EVAL_WEIGHTS", raising=False)
    with pytest.raises(WeightsError, match=r"open_clip-ViT-B-16-openai\.safetensors is not on"):
        load_scorer("vit-b-16")


TINY = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
}


@pytest.fixture
def tiny(tmp_path):
    """An architecture open_clip has never heard of, with random weights on disk."""
    open_clip = pytest.importorskip("open_clip")
    import torch
    from safetensors.torch import save_file

    (tmp_path / "tiny-for-test.json").write_text(json.dumps(TINY))
    open_clip.add_model_config(tmp_path)
    torch.manual_seed(0)
    path = tmp_path / "tiny.safetensors"
    save_file(open_clip.create_model("tiny-for-test").state_dict(), path)
    return path


def test_a_clip_of_open_clip_scores_by_scaled_cosines(tiny):
    scorer = OpenClipScorer("tiny-for-test", tiny)
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 3), dtype=np.uint8)
    scores = scorer.scores(images, ["a cat", "a dog", "a cat"])
    assert scores.shape == (3,)
    assert np.abs(scores).max() <= 1 / 0.07 + 1e-3  # open_clip starts at that logit scale
    again = scorer.scores(images[[0, 2, 1]], ["a cat", "a cat", "a dog"])
    np.testing.assert_allclose(again, scores[[0, 2, 1]], atol=1e-4)
    assert len(scorer.fingerprint()["tiny.safetensors"]) == 64


def test_a_weights_file_of_another_model_is_refused(tiny):
    tiny.write_bytes(tiny.read_bytes()[:100])
    with pytest.raises(WeightsError, match="is corrupt or of another model"):
        OpenClipScorer("tiny-for-test", tiny)
