from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import pytest

from glide_eval.errors import UsageError
from glide_eval.extractors import (
    ClipFeatures,
    FakeExtractor,
    Features,
    cache_key,
    fingerprint,
    load_extractor,
    load_features,
    save_features,
)
from glide_eval.extractors.tabletop import TabletopExtractor
from glide_eval.metrics import clip_scores


def images(n: int, size: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def assert_equal(a: Features, b: Features) -> None:
    left, right = a.to_arrays(), b.to_arrays()
    assert left.keys() == right.keys()
    for name, values in left.items():
        np.testing.assert_array_equal(values, right[name])


def test_the_fake_sees_the_same_in_a_batch_as_alone():
    batch, captions = images(4), ["a", "to the left of b", "a", "c"]
    fake = FakeExtractor()
    alone = [fake.extract([i], [c]) for i, c in zip(batch, captions, strict=True)]
    assert_equal(fake.extract(batch, captions), Features.concatenate(alone))
    assert FakeExtractor().fingerprint == fake.fingerprint != FakeExtractor(2).fingerprint


def test_extracting_is_embedding_what_was_prepared():
    batch, captions = images(4), ["a", "to the left of b", "a", "c"]
    fake = FakeExtractor()
    prepared = [fake.prepare(image) for image in batch]
    assert_equal(fake.embed(prepared, captions), fake.extract(batch, captions))


def test_a_fingerprint_is_made_of_the_facts_that_explain_it():
    old, new = FakeExtractor(1), FakeExtractor(2)
    assert (old.facts["version"], new.facts["version"]) == ("1", "2")
    assert old.fingerprint == fingerprint(old.facts) != fingerprint(new.facts)
    assert fingerprint({**old.facts, "resize": "bicubic"}) != old.fingerprint


def test_features_without_captions_have_no_caption_parts():
    features = FakeExtractor().extract(images(2))
    assert len(features) == 2
    assert set(features.to_arrays()) == {"pool", "logits", "texture"}


def test_cached_features_come_back_whole_and_only_under_their_key(tmp_path):
    features = FakeExtractor().extract(images(3), ["a", "b of c", "d"])
    path = tmp_path / "fake" / "arm.npz"
    save_features(path, "key", features)
    loaded = load_features(path, "key")
    assert loaded is not None
    assert_equal(loaded, features)
    assert load_features(path, "other key") is None
    assert load_features(tmp_path / "none.npz", "key") is None
    content = path.read_bytes()
    for damaged in (content[:-30], content[:100], b"", b"text"):
        path.write_bytes(damaged)
        assert load_features(path, "key") is None


def test_the_cache_key_tells_extractor_images_order_and_captions_apart():
    keys = [
        cache_key("f", ["1", "2"], ["a", "b"]),
        cache_key("g", ["1", "2"], ["a", "b"]),
        cache_key("f", ["2", "1"], ["a", "b"]),
        cache_key("f", ["1", "2"], ["b", "a"]),
        cache_key("f", ["1", "2"], ["a\n1:b", ""]),
        cache_key("f", ["1", "2"], None),
    ]
    assert len(set(keys)) == len(keys)


def test_an_unknown_extractor_is_wrong_usage():
    with pytest.raises(UsageError, match="No extractor is named 'vgg'; there are tabletop,"):
        load_extractor("vgg")


@dataclass
class Thing:
    color: str


class StandIn:
    """Evaluator and CLIP of the bundled form: sees mean colours only."""

    def __init__(self, fingerprint: str = "0" * 64, logit_scale: float = 10.0):
        self.fingerprint, self.logit_scale, self.shapes = fingerprint, logit_scale, []

    def features(self, images):
        self.shapes.append((images.shape, images.dtype))
        pool = images.mean(axis=(1, 2)).astype(np.float32)
        return pool, pool[:, :2]

    def read_scenes(self, images):
        return [[Thing("red" if i[..., 0].mean() > i[..., 2].mean() else "blue")] for i in images]

    def image_embeddings(self, images):
        pool = images.mean(axis=(1, 2)).astype(np.float32)
        return pool / np.linalg.norm(pool, axis=1, keepdims=True)

    def text_embeddings(self, captions):
        return np.array([[1, 0, 0] if "red" in c else [0, 0, 1] for c in captions], np.float32)


def read_colour(caption: str, objects: list[Thing]) -> dict[str, float]:
    right = float(objects[0].color in caption)
    return dict.fromkeys(("object", "color", "count", "caption", "shape"), right) | {
        "relation": float("nan")
    }


def test_the_tabletop_extractor_pairs_every_image_with_its_own_caption():
    red, blue = np.zeros((2, 128, 128, 3), np.uint8)
    red[..., 0], blue[..., 2] = 200, 200
    stand_in = StandIn()
    extractor = TabletopExtractor(stand_in, StandIn(), StandIn(logit_scale=3.0), read_colour)
    features = extractor.extract([red, blue, blue], ["a red cube", "a blue cube", "a red cone"])
    np.testing.assert_array_equal(features.accuracy["caption"], [1, 1, 0])
    assert np.isnan(features.accuracy["relation"]).all()
    for clip, scale in ((features.clip, 10.0), (features.guiding_clip, 3.0)):
        assert clip is not None
        scores = clip_scores(clip.images, clip.texts, clip.logit_scale)
        np.testing.assert_allclose(scores, [scale, scale, 0], atol=1e-6)
    assert features.logits.shape == (3, 2)
    assert features.texture.shape == (3, 45)
    assert extractor.extract([red]).clip is None


def test_the_tabletop_extractor_crops_and_resizes_other_sizes():
    stand_in = StandIn()
    extractor = TabletopExtractor(stand_in, StandIn(), StandIn(), read_colour)
    mixed = [images(1, 64)[0], images(1, 200)[0][:, :150], images(1, 128)[0]]
    assert {extractor.prepare(image).shape for image in mixed} == {(128, 128, 3)}
    extractor.extract(mixed)
    assert stand_in.shapes == [((3, 128, 128, 3), np.uint8)]


def test_other_weights_give_another_fingerprint():
    def made(**weights) -> str:
        parts = {"evaluator": StandIn(), "clip": StandIn(), "guiding_clip": StandIn()} | weights
        return TabletopExtractor(**parts, caption_accuracy=read_colour).fingerprint

    other = StandIn("1" * 64)
    prints = [made(), made(evaluator=other), made(clip=other), made(guiding_clip=other)]
    assert len(set(prints)) == 4
    assert made() == prints[0]
    with pytest.raises(ValueError, match="StandIn does not say which weights it holds"):
        made(clip=StandIn(""))


def test_clip_features_survive_concatenation_with_their_scale():
    one = Features(np.zeros((1, 2)), clip=ClipFeatures(np.ones((1, 1)), np.ones((1, 1)), 7.0))
    both = Features.concatenate([one, one])
    assert both.clip is not None
    assert (both.clip.logit_scale, len(both.clip.images)) == (7.0, 2)


def test_the_extractors_package_loads_no_torch():
    import subprocess

    code = (
        "import sys, glide_eval.extractors, glide_eval.files.images, glide_eval.cli.metrics;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
