from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generator.tabletop import dataset
from glide_eval.errors import ConfigError, FeatureError, ImageError, UsageError
from glide_eval.extractors import FakeExtractor
from glide_eval.metrics import Moments
from glide_eval.metrics.fid import frechet_distance
from glide_eval.references import (
    RealImages,
    Reference,
    build_references,
    folder_references,
    prompts_csv,
    read_coco,
    statistics_reference,
    tabletop_reference,
)
from glide_eval.references import build as module
from glide_eval.references.build import build_reference


def images(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 12, 12, 3), dtype=np.uint8)


class Counting(FakeExtractor):
    def __init__(self, version: int = 1):
        super().__init__(version)
        self.shapes: list[tuple[int, ...]] = []

    def prepare(self, image):
        self.shapes.append(image.shape)
        return super().prepare(image)


def photos(folder: Path, n: int = 5) -> Path:
    (folder / "deep").mkdir(parents=True)
    for i, pixels in enumerate(images(n)):
        wide = Image.fromarray(pixels).resize((20 + i, 12))
        wide.save(folder / ("deep" if i % 2 else ".") / f"{i}.png")
    return folder


def folder_reference(extractor, folder: Path, cache: Path) -> Reference:
    return folder_references([extractor], folder, features_cache=cache)[0][extractor.name]


def built_of(folder: Path, share=(1, 1), **options) -> Reference:
    real = RealImages.of_folder(folder)
    return build_references(real, [FakeExtractor()], share=share, **options)["fake"]


def same_moments(first: Moments, second: Moments) -> bool:
    """To 1e-12 of the largest entry."""
    pairs = [(first.mean, second.mean), (first.covariance, second.covariance)]
    return first.n == second.n and all(
        np.abs(a - b).max() <= 1e-12 * np.abs(b).max() for a, b in pairs
    )


def test_a_reference_holds_every_image_in_order_whatever_the_batch(monkeypatch):
    fake = FakeExtractor()
    pool = fake.extract(images(70)).pool
    built = build_reference(fake, images(70), "noise")
    np.testing.assert_allclose(built.pool, pool, rtol=1e-6)
    monkeypatch.setattr(module, "ROWS", 7)
    in_pieces = build_reference(fake, images(70), "noise")
    assert in_pieces.digest == built.digest
    assert same_moments(in_pieces.moments, built.moments)
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
    nan = np.full((3, 2), np.nan)
    dataclasses.replace(built, pool=nan).save(path)
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
    assert len(changed.shapes) == 1, "features are found by the bytes of each image"


def test_a_corrupt_real_image_is_named(tmp_path):
    folder = photos(tmp_path / "real")
    (folder / "deep" / "bad.jpg").write_bytes(b"\xff\xd8 cut")
    with pytest.raises(ImageError, match=r"bad\.jpg"):
        folder_reference(FakeExtractor(), folder, tmp_path / "cache")


def test_the_tabletop_split_is_rendered_once_then_cached(tmp_path, monkeypatch):
    rendered = []

    def render(count, seed, first):
        rendered.append((first, seed))
        return images(count, seed), []

    monkeypatch.setattr(dataset, "reference_images", render)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = tabletop_reference(FakeExtractor(), 8, 1)
    assert tabletop_reference(FakeExtractor(), 8, 1).digest == first.digest
    tabletop_reference(FakeExtractor(), 9, 1)
    tabletop_reference(FakeExtractor(version=2), 8, 1)
    assert rendered == [(0, 1), (0, 1), (0, 1)]


def test_shipped_features_are_used_when_they_are_of_this_extractor(tmp_path, monkeypatch):
    weights = tmp_path / "weights"
    shipped = build_reference(FakeExtractor(), images(6), "shipped")
    shipped.save(weights / "tabletop_reference.npz")
    monkeypatch.setattr(module.resources, "files", lambda package: tmp_path)
    monkeypatch.setattr(dataset, "reference_images", lambda n, seed, _: (images(n, seed), []))
    assert tabletop_reference(FakeExtractor(), cache=tmp_path / "c").source == "shipped"
    other = tabletop_reference(FakeExtractor(version=2), cache=tmp_path / "c")
    assert other.source == "2,000 rendered tabletop scenes"


def test_any_number_of_parts_adds_up_to_the_whole(tmp_path):
    folder = photos(tmp_path / "real", 23)
    whole = built_of(folder)
    for n in (2, 3, 7):
        parts = [built_of(folder, (i, n)) for i in range(1, n + 1)]
        merged = Reference.merge([parts[1], parts[0], *parts[2:]])  # in any order
        assert same_moments(merged.moments, whole.moments)
        np.testing.assert_array_equal(merged.pool, whole.pool)
        np.testing.assert_array_equal(merged.texture, whole.texture)
        assert (merged.label, merged.missing_parts) == (whole.label, "")


def test_moments_alone_are_those_of_the_features_and_have_the_same_digest(tmp_path):
    folder = photos(tmp_path / "real", 9)
    whole, lean = built_of(folder), built_of(folder, keep_features=False)
    assert lean.pool is None
    assert same_moments(lean.moments, whole.moments)
    assert lean.digest == whole.digest
    lean.save(tmp_path / "lean.npz")
    loaded = Reference.load(tmp_path / "lean.npz", FakeExtractor())
    assert same_moments(loaded.moments, whole.moments)
    with pytest.raises(FeatureError, match="mean and covariance only: precision needs"):
        _ = loaded.manifold


def test_missing_parts_are_said_wherever_the_reference_is_named(tmp_path):
    folder = photos(tmp_path / "real", 9)
    merged = Reference.merge([built_of(folder, (i, 4)) for i in (1, 3, 4)])
    assert merged.missing_parts == "1 part of 4 missing (2)"
    assert merged.label == f"9 images of real, 1 part of 4 missing (2) ({merged.digest})"
    merged.save(tmp_path / "m.npz")
    completed = Reference.merge([Reference.read(tmp_path / "m.npz"), built_of(folder, (2, 4))])
    assert same_moments(completed.moments, built_of(folder).moments)
    assert completed.label == built_of(folder).label


def test_no_image_is_counted_twice(tmp_path):
    folder = photos(tmp_path / "real", 8)
    part = built_of(folder, (1, 2))
    with pytest.raises(FeatureError, match=r"Part 1 of 2 of '8 images of real' is there twice"):
        Reference.merge([part, part])
    with pytest.raises(FeatureError, match="2 images would be counted twice"):
        Reference.merge([part, built_of(folder, (2, 3))])
    with pytest.raises(FeatureError, match="8 images would be counted twice"):
        Reference.merge([built_of(folder), built_of(folder)])
    nobody_knows = dataclasses.replace(part, images=None, parts=())
    with pytest.raises(FeatureError, match="does not say which images it holds"):
        Reference.merge([nobody_knows, built_of(folder, (2, 2))])


def test_references_of_different_images_merge_to_those_of_all(tmp_path):
    fake = FakeExtractor()
    first, second = (build_reference(fake, images(6, seed), f"set {seed}") for seed in (1, 2))
    both = Reference.merge([first, second])
    wanted = Moments.of(np.concatenate([first.pool, second.pool]))
    assert same_moments(both.moments, wanted)
    assert both.source == "set 1 and set 2"


def test_merging_different_extractors_or_crops_says_what_differs(tmp_path):
    folder = photos(tmp_path / "real", 6)
    ours = built_of(folder, (1, 2))
    newer = build_references(RealImages.of_folder(folder), [FakeExtractor(2)], share=(2, 2))["fake"]
    with pytest.raises(FeatureError, match=r"extractors differ \(version differs: 1 against 2\)"):
        Reference.merge([ours, newer])
    uncropped = build_references(RealImages.of_folder(folder, ""), [FakeExtractor()], share=(2, 2))
    with pytest.raises(FeatureError, match=r"cropped differently \('centre square' and 'none'\)"):
        Reference.merge([ours, uncropped["fake"]])


def test_more_parts_than_images_and_parts_that_are_none_are_wrong_usage(tmp_path):
    folder = photos(tmp_path / "real", 3)
    with pytest.raises(UsageError, match="Part 1 of 5 of 3 images holds none"):
        built_of(folder, (1, 5))
    with pytest.raises(UsageError, match="no part 3 of 2"):
        built_of(folder, (3, 2))


def test_unreadable_images_are_left_out_by_name_and_the_label_says_how_many(tmp_path):
    folder = photos(tmp_path / "real")
    (folder / "bad.jpg").write_bytes(b"\xff\xd8 cut")
    left_out = []
    built = built_of(folder, left_out=left_out)
    assert built.left_out == ("bad.jpg",)
    assert built.label.startswith("6 images of real, 1 left out as unreadable (")
    assert "bad.jpg" in left_out[0].reason
    assert built.moments.n == 5


def test_rendered_scenes_are_the_same_in_whatever_part(monkeypatch):
    asked = []

    def render(count, seed, first):
        asked.append((first, count))
        return images(64, seed)[first : first + count], []

    monkeypatch.setattr(dataset, "reference_images", render)
    real = RealImages.of_tabletop(64, 1)
    whole = [real.read(item) for item in real.items(0, 64)]
    part = [real.read(item) for item in real.items(20, 50)]
    assert [picture.sha256 for picture in part] == [picture.sha256 for picture in whole[20:50]]
    assert set(asked) == {(0, 32), (32, 32)}  # always in the same company


def statistics(path: Path, n: int = 50, **others) -> tuple[Path, np.ndarray]:
    pool = FakeExtractor().extract(images(n)).pool
    np.savez(path, mu=pool.mean(axis=0), sigma=np.cov(pool, rowvar=False), **others)
    return path, pool


def test_published_statistics_measure_like_the_images_they_are_of(tmp_path):
    adm = {"mu_s": np.zeros(7), "sigma_s": np.eye(7)}
    path, pool = statistics(tmp_path / "adm.npz", **adm)
    reference = statistics_reference(path, FakeExtractor(), 50)
    other = Moments.of(FakeExtractor().extract(images(40, 1)).pool)
    wanted = frechet_distance(other, Moments.of(pool))
    assert frechet_distance(other, reference.moments) == pytest.approx(wanted, rel=1e-9)
    assert reference.source == "published statistics adm.npz, of 50 images"
    unknown = statistics_reference(path, FakeExtractor())
    assert frechet_distance(other, unknown.moments) == pytest.approx(wanted, rel=1e-9)
    assert unknown.source == "published statistics adm.npz, number of images unknown"
    with pytest.raises(FeatureError, match="not known of how many images"):
        Reference.merge([unknown, reference])


def test_statistics_of_another_network_or_damaged_ones_are_refused(tmp_path):
    path = tmp_path / "s.npz"
    np.savez(path, mu=np.zeros(7), sigma=np.eye(7))
    with pytest.raises(FeatureError, match="statistics of 7 features, fake gives 24"):
        statistics_reference(path, FakeExtractor())
    np.savez(path, mu=np.zeros(24), sigma=np.triu(np.ones((24, 24))))
    with pytest.raises(FeatureError, match="`sigma` is not symmetric"):
        statistics_reference(path, FakeExtractor())
    np.savez(path, mu=np.full(24, np.nan), sigma=np.eye(24))
    with pytest.raises(FeatureError, match="not finite"):
        statistics_reference(path, FakeExtractor())
    np.savez(path, mu=np.zeros(24), sigma=np.eye(23))
    with pytest.raises(FeatureError, match=r"`mu` has shape \(24,\) and `sigma` \(23, 23\)"):
        statistics_reference(path, FakeExtractor())
    np.savez(path, feats=np.eye(24))
    with pytest.raises(FeatureError, match="holds no published statistics"):
        statistics_reference(path, FakeExtractor())


def coco(folder: Path, n: int = 6) -> Path:
    photos(folder, n)
    names = {i: f"{'deep/' if i % 2 else ''}{i}.png" for i in range(n)}
    content = {
        "images": [{"id": 100 + i, "file_name": name} for i, name in names.items()],
        "annotations": [
            {"id": 10 * i + k, "image_id": 100 + i, "caption": f" picture {i},\nsaid {k} "}
            for i in range(n)
            for k in range(5)
        ],
    }
    path = folder.parent / "captions_val.json"
    path.write_text(json.dumps(content))
    return path


def test_coco_captions_are_chosen_by_seed_and_kept_and_all_images_are_the_reference(tmp_path):
    path = coco(tmp_path / "images")
    chosen = read_coco(path, 4, seed=1)
    assert [c.id for c in read_coco(path, 9, seed=1).captions[:4]] == [
        c.id for c in chosen.captions
    ]
    assert {c.id for c in chosen.captions} != {c.id for c in read_coco(path, 4, seed=2).captions}
    assert len(chosen.captions) == len(set(chosen.captions)) == 4
    assert chosen.captions[0].caption == " ".join(chosen.captions[0].caption.split())
    real = RealImages.of_coco(chosen, tmp_path / "images")
    extractor = Counting()
    built = build_references(real, [extractor])["fake"]
    assert extractor.shapes == [(12, 12, 3)] * 6  # centre-cropped, each once
    assert built.source == "6 images of captions_val"
    built.save(tmp_path / "coco.npz")
    assert Reference.read(tmp_path / "coco.npz").captions == chosen.captions
    lines = prompts_csv(built.captions).splitlines()
    assert lines[0] == "id,caption,file"
    assert len(lines) == 5


def test_coco_can_be_reduced_to_the_images_of_the_chosen_captions(tmp_path):
    path = coco(tmp_path / "images")
    chosen = read_coco(path, 2, seed=0, chosen_only=True)
    assert set(chosen.files) == {caption.file for caption in chosen.captions}


def test_the_choice_of_captions_never_changes(tmp_path):
    path = coco(tmp_path / "images")
    assert [c.id for c in read_coco(path, 5).captions] == ["44", "20", "33", "4", "50"]


def test_coco_mistakes_are_named(tmp_path):
    path = coco(tmp_path / "images")
    (tmp_path / "images" / "0.png").unlink()
    with pytest.raises(
        ImageError, match=r"lacks 1 of the 6 images that captions_val lists: 0\.png"
    ):
        RealImages.of_coco(read_coco(path), tmp_path / "images")
    path.write_text('{"images": []}')
    with pytest.raises(ConfigError, match="expected COCO captions"):
        read_coco(path)
    path.write_text('{"images": [], "annotations": []}')
    with pytest.raises(ConfigError, match="found none"):
        read_coco(path)
