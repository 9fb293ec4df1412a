"""Features are saved as they come, and found by the bytes of each image."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from glide_eval.extractors import FakeExtractor
from glide_eval.features import folder_features, of_run, one_pass, saving
from glide_eval.files import Share, encode_png
from glide_eval.measure import measure, read_rows, tables
from tests.fakes import ARMS, make_fake_run

PROMPTS = 12


class Counting(FakeExtractor):
    """Knows how many images it was shown, and stops at one of them."""

    def __init__(self, stop_at: int = 10**9) -> None:
        super().__init__()
        self.seen, self.stop_at = 0, stop_at

    def embed(self, prepared, captions=None):
        if self.seen >= self.stop_at:
            raise KeyboardInterrupt
        self.seen += len(prepared)
        return super().embed(prepared, captions)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(one_pass, "BATCH", 4)
    monkeypatch.setattr(saving, "PART", 8)
    monkeypatch.setattr(of_run, "PART", 8)


@pytest.fixture
def run(tmp_path):
    run = make_fake_run(tmp_path / "run", PROMPTS, size=16)
    for path in (run.metrics_path, run.scores_path):
        path.unlink()
    return run


def images(folder, count: int, first: int = 0):
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{n:03d}.png" for n in range(first, first + count)]
    for n, path in enumerate(paths, first):
        noise = np.random.default_rng(n).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        path.write_bytes(encode_png(noise))
    return sorted(folder.iterdir())


def test_a_pass_over_a_run_that_was_stopped_goes_on_there(run, tmp_path):
    total = PROMPTS * len(ARMS)
    with pytest.raises(KeyboardInterrupt):
        measure(run, [Counting(stop_at=30)], ["clip_score"])
    again = Counting()
    rows = measure(run, [again], ["clip_score"])
    assert again.seen <= total - 28
    whole = make_fake_run(tmp_path / "whole", PROMPTS, size=16)
    assert rows == measure(whole, [Counting()], ["clip_score"])


def test_a_pass_over_a_folder_that_was_stopped_goes_on_there_and_one_more_image_costs_one(tmp_path):
    folder, cache = tmp_path / "images", tmp_path / "cache"
    paths = images(folder, 40)
    with pytest.raises(KeyboardInterrupt):
        folder_features(folder, paths, [Counting(stop_at=20)], cache=cache)
    again = Counting()
    found = folder_features(folder, paths, [again], cache=cache)
    assert again.seen == 20
    fresh = folder_features(folder, paths, [Counting()], cache=tmp_path / "other")
    np.testing.assert_array_equal(found.features["fake"].pool, fresh.features["fake"].pool)
    assert found.seen == fresh.seen
    more = Counting()
    found = folder_features(folder, images(folder, 1, first=40), [more], cache=cache)
    assert (more.seen, len(found.seen)) == (1, 41)
    paths[7].write_bytes(paths[8].read_bytes())  # another image under the same name
    changed = Counting()
    found = folder_features(folder, sorted(folder.iterdir()), [changed], cache=cache)
    assert changed.seen == 0
    np.testing.assert_array_equal(*found.features["fake"].pool[[7, 8]])


def test_tasks_look_at_shares_of_the_images_and_the_last_one_measures(run, tmp_path):
    looked = []
    for number in (2, 1):
        extractor = Counting()
        rows = measure(run, [extractor], ["clip_score"], share=Share(number, 2))
        looked.append(extractor.seen)
        assert (rows is None) == (number == 2)
    assert looked[0] > 0
    assert sum(looked) == PROMPTS * len(ARMS)
    whole = make_fake_run(tmp_path / "whole", PROMPTS, size=16)
    assert rows == measure(whole, [Counting()], ["clip_score"])


def test_two_that_measure_one_run_at_once_keep_each_others_rows(run, monkeypatch):
    read = tables._earlier
    other = threading.Thread(target=measure, args=(run, [FakeExtractor()], ["caption_accuracy"]))

    def meanwhile(*arguments):
        rows = read(*arguments)
        if threading.current_thread() is not other and not other.ident:
            other.start()
            other.join(1)  # it ends here, or waits until we have written
        return rows

    monkeypatch.setattr(tables, "_earlier", meanwhile)
    measure(run, [FakeExtractor()], ["clip_score"])
    other.join()
    assert {row.metric for row in read_rows(run)} == {"clip_score", "caption_accuracy"}
