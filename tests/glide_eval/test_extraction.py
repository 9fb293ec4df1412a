from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from glide_eval.errors import FeatureError, ImageError
from glide_eval.extractors import FakeExtractor, Features
from glide_eval.features import Picture, Unreadable, extract
from glide_eval.features import one_pass as extraction
from glide_eval.features.one_pass import BATCH


class Named(FakeExtractor):
    def __init__(self, name: str):
        self.name = name
        super().__init__()


def picture(number: int) -> Picture:
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Picture(pixels, f"{number:064x}")


def pools(batches, name: str = "fake") -> np.ndarray:
    return Features.concatenate([batch.features[name] for batch in batches]).pool


def test_features_come_in_order_though_reading_finishes_out_of_order():
    def slow_first(number: int) -> Picture:
        time.sleep(0.002 * (number % 7 == 0))
        return picture(number)

    batches = list(extract(range(70), slow_first, [FakeExtractor()]))
    assert [len(batch.seen) for batch in batches] == [BATCH, BATCH, 70 - 2 * BATCH]
    assert [seen.item for batch in batches for seen in batch.seen] == list(range(70))
    alone = [FakeExtractor().extract([picture(number).pixels]).pool[0] for number in range(70)]
    np.testing.assert_array_equal(pools(batches), alone)


def test_each_image_is_read_once_for_all_extractors():
    read: list[int] = []
    batches = list(
        extract(range(5), lambda n: read.append(n) or picture(n), [Named("one"), Named("two")])
    )
    assert sorted(read) == list(range(5))
    np.testing.assert_array_equal(pools(batches, "one"), pools(batches, "two"))


def test_images_are_read_by_other_threads_and_no_more_than_the_queue_holds(monkeypatch):
    monkeypatch.setattr(extraction, "AHEAD", 4)
    monkeypatch.setattr(extraction, "BATCH", 2)
    taken = 0
    threads = set()

    def items():
        nonlocal taken
        for number in range(40):
            taken += 1
            yield number

    def read(number: int) -> Picture:
        threads.add(threading.get_ident())
        return picture(number)

    embedded = 0
    for batch in extract(items(), read, [FakeExtractor()]):
        embedded += len(batch.seen)
        assert taken <= embedded + 4 + 1
    assert embedded == 40
    assert threading.get_ident() not in threads


def test_a_caller_who_stops_leaves_no_thread_behind():
    before = threading.active_count()
    batches = extract(range(1000), picture, [FakeExtractor()])
    next(batches)
    batches.close()
    assert threading.active_count() == before


def test_captions_reach_the_extractor_with_their_images():
    (batch,) = extract([3, 4], picture, [FakeExtractor()], caption=lambda n: f"caption {n}")
    wanted = FakeExtractor().extract(
        [picture(n).pixels for n in (3, 4)], ["caption 3", "caption 4"]
    )
    np.testing.assert_array_equal(batch.features["fake"].clip.texts, wanted.clip.texts)


def unreadable(number: int) -> Picture:
    if number in (2, 9):
        raise ImageError(f"{number}.png is cut.")
    return picture(number)


def test_every_unreadable_image_is_named_and_nothing_is_embedded_after_the_first():
    class Counting(FakeExtractor):
        seen = 0

        def embed(self, prepared, captions=None):
            self.seen += len(prepared)
            return super().embed(prepared, captions)

    extractor = Counting()
    with pytest.raises(
        ImageError, match=r"^2 images can't be read\. \(1\) 2\.png is cut\. \(2\) 9\.png is cut\.$"
    ):
        list(extract(range(100), unreadable, [extractor]))
    assert extractor.seen == 0


def test_unreadable_images_can_be_left_out_and_are_listed():
    left_out: list[Unreadable[int]] = []
    batches = list(extract(range(12), unreadable, [FakeExtractor()], left_out=left_out))
    assert [seen.item for batch in batches for seen in batch.seen] == [0, 1, *range(3, 9), 10, 11]
    assert [(image.item, image.reason) for image in left_out] == [
        (2, "2.png is cut."), (9, "9.png is cut."),
    ]  # fmt: skip


def test_other_errors_of_reading_surface_at_once():
    def broken(number: int) -> Picture:
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        list(extract(range(3), broken, [FakeExtractor()]))


def test_features_that_are_not_finite_name_their_image():
    class Broken(FakeExtractor):
        def embed(self, prepared, captions=None):
            features = super().embed(prepared, captions)
            features.pool[1] = np.inf
            return features

    with pytest.raises(FeatureError, match=r"fake gives NaN .* 1 of 3 .*, first for b\.png"):
        list(extract(map(Path, ("a.png", "b.png", "c.png")), lambda path: picture(1), [Broken()]))
