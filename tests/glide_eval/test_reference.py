from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glide_eval import reference as module
from glide_eval.errors import FeatureError, ImageError
from glide_eval.extractors import FakeExtractor
from glide_eval.metrics.fid import Moments, frechet_distance
from glide_eval.reference import Reference, build_reference, folder_reference, tabletop_reference


def images(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 12, 12, 3), dtype=np.uint8)


class Counting(FakeExtractor):
    def __init__(self, version: int = 1):
        super().__init__(version)
        self.shapes: list[tuple[int, ...]] = []

    def extract(self, images, captions=None):
        self.shapes += [image.shape for image in images]
        return super().extract(images, captions)


def photos(folder: Path, n: int = 5) -> Path:
    (folder / "deep").mkdir(parents=True)
    for i, pixels in enumerate(images(n)):
        wide = Image.fromarray(pixels).resize((20 + i, 12))
        wide.save(folder / ("deep" if i % 2 else ".") / f"{i}.png")
    return folder


def test_a_reference_holds_every_image_in_order_whatever_the_batch(monkeypatch):
    fake = FakeExtractor()
    pool = fake.extract(images(70)).pool
    built = build_reference(fake, iter(images(70)), "noise")
    np.testing.assert_allclose(built.pool, pool, rtol=1e-6)
    monkeypatch.setattr(module, "BATCH", 7)
    assert build_reference(fake, images(70), "noise").digest == built.digest
    assert built.moments.n == 70
    assert frechet_distance(built.moments, Moments.of(built.pool)) < 1e-12
    assert built.manifold.k == 3


def test_a_saved_reference_comes_back(tmp_path):
    built = build_reference(FakeExtractor(), images(9), "nine images")
    built.save(tmp_path / "r.npz")
    loaded = Reference.load(tmp_path / "r.npz", FakeExtractor())
    np.testing.assert_array_equal(loaded.pool, built.pool)
    np.testing.assert_array_equal(loaded.texture, built.texture)
    assert (loaded.source, loaded.digest) == ("nine images", built.digest)
    assert loaded.pool.dtype == np.float32


def test_without_texture_statistics_image_quality_asks_for_a_new_reference(tmp_path):
    bare = Reference(np.eye(5, dtype=np.float32), "fake", FakeExtractor().fingerprint, "old")
    bare.save(tmp_path / "r.npz")
    loaded = Reference.load(tmp_path / "r.npz", FakeExtractor())
    assert loaded.texture is None
    with pytest.raises(FeatureError, match="'old' has no texture statistics: build it again"):
        _ = loaded.texture_scale


def test_a_reference_of_another_extractor_is_refused(tmp_path):
    build_reference(FakeExtractor(), images(9), "nine images").save(tmp_path / "r.npz")
    with pytest.raises(FeatureError, match=r"r\.npz holds features of fake .* not be comparable"):
        Reference.load(tmp_path / "r.npz", FakeExtractor(version=2))


def test_damaged_empty_and_nan_references_are_refused(tmp_path):
    path = tmp_path / "r.npz"
    built = build_reference(FakeExtractor(), images(9), "nine images")
    built.save(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(FeatureError, match=r"r\.npz is not a reference"):
        Reference.load(path, FakeExtractor())
    dataclasses.replace(built, pool=np.full((3, 2), np.nan)).save(path)
    with pytest.raises(FeatureError, match="NaN or infinite for 3 of 3"):
        Reference.load(path, FakeExtractor())
    with pytest.raises(FeatureError, match="'nothing' holds no image"):
        build_reference(FakeExtractor(), [], "nothing")


def test_a_folder_is_centre_cropped_to_squares_and_read_once(tmp_path):
    folder = photos(tmp_path / "real")
    (folder / "notes.txt").write_text("not an image")
    extractor = Counting()
    built = folder_reference(extractor, folder, tmp_path / "cache")
    assert extractor.shapes == [(12, 12, 3)] * 5
    assert built.source == "5 images of real"
    again = Counting()
    assert folder_reference(again, folder, tmp_path / "cache").digest == built.digest
    assert again.shapes == []


def test_a_changed_folder_or_extractor_or_a_damaged_cache_is_read_again(tmp_path):
    folder, cache = photos(tmp_path / "real"), tmp_path / "cache"
    first = folder_reference(Counting(), folder, cache)
    newer = Counting(version=2)
    folder_reference(newer, folder, cache)
    assert len(newer.shapes) == 5
    for path in cache.rglob("*.npz"):
        path.write_bytes(b"cut")
    repaired = Counting()
    assert folder_reference(repaired, folder, cache).digest == first.digest
    assert len(repaired.shapes) == 5
    Image.fromarray(images(1, seed=9)[0]).save(folder / "0.png")
    changed = Counting()
    assert folder_reference(changed, folder, cache).digest != first.digest
    assert len(changed.shapes) == 5


def test_a_corrupt_real_image_is_named(tmp_path):
    folder = photos(tmp_path / "real")
    (folder / "deep" / "bad.jpg").write_bytes(b"\xff\xd8 cut")
    with pytest.raises(ImageError, match=r"bad\.jpg"):
        folder_reference(FakeExtractor(), folder, tmp_path / "cache")


def test_the_tabletop_split_is_rendered_once_then_cached(tmp_path, monkeypatch):
    rendered = []

    def render(extractor, count, seed):
        rendered.append((count, seed))
        return build_reference(extractor, images(count, seed), "rendered")

    monkeypatch.setattr(module, "render_tabletop_reference", render)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = tabletop_reference(FakeExtractor(), 8, 1)
    assert tabletop_reference(FakeExtractor(), 8, 1).digest == first.digest
    tabletop_reference(FakeExtractor(), 9, 1)
    tabletop_reference(FakeExtractor(version=2), 8, 1)
    assert rendered == [(8, 1), (9, 1), (8, 1)]


def test_shipped_features_are_used_when_they_are_of_this_extractor(tmp_path, monkeypatch):
    weights = tmp_path / "weights"
    shipped = build_reference(FakeExtractor(), images(6), "shipped")
    shipped.save(weights / "tabletop_reference.npz")
    monkeypatch.setattr(module.resources, "files", lambda package: tmp_path)
    monkeypatch.setattr(
        module,
        "render_tabletop_reference",
        lambda extractor, count, seed: build_reference(extractor, images(3), "rendered"),
    )
    assert tabletop_reference(FakeExtractor(), cache=tmp_path / "c").source == "shipped"
    other = tabletop_reference(FakeExtractor(version=2), cache=tmp_path / "c")
    assert other.source == "rendered"
