"""Run folders of very many images: subfolders, few fsyncs, and quick resuming."""

from __future__ import annotations

import os

from glide_eval.files import RunFolder
from glide_eval.sweep import load_sweep, plan, run_sweep
from tests.glide_eval.sweeps import RUN, images_of, manifest_of, write_sweep


def sweep(folder, out: str, **tables: str):
    config = load_sweep(write_sweep(folder, **tables))
    return run_sweep(config, folder / out, say=lambda _: None)


def by_name(images: dict[str, bytes]) -> dict[tuple[str, str], bytes]:
    """Images by arm and file name, wherever they lie."""
    return {(path.split("/")[1], path.split("/")[-1]): data for path, data in images.items()}


def test_large_arms_have_subfolders_and_a_run_that_began_without_stays_so(tmp_path, monkeypatch):
    flat = sweep(tmp_path, "flat").run
    monkeypatch.setattr(plan, "MOST_IN_A_FOLDER", 2)
    hashed = sweep(tmp_path, "hashed").run
    places = [sample.path for sample in hashed.samples()]
    assert all(len(place.split("/")) == 4 for place in places)
    assert len({place.rsplit("/", 1)[0] for place in places}) > 3
    assert set(images_of(hashed.root)) == set(places)
    assert by_name(images_of(hashed.root)) == by_name(images_of(flat.root))
    for folder in (flat, hashed):
        sample = folder.samples()[5]
        images, manifest = images_of(folder.root), manifest_of(folder.root)
        (folder.root / sample.path).unlink()
        assert sweep(tmp_path, folder.root.name).made == 2
        assert (images_of(folder.root), manifest_of(folder.root)) == (images, manifest)


def test_a_shard_waits_for_the_disk_once(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(file) or fsync(file))
    sweep(tmp_path, "run")
    # six shards of eighteen images; run.json twice, sweep.toml twice, the manifest
    assert len(synced) == 6 + 5


def test_a_caption_with_a_line_separator_is_no_end_of_a_line(tmp_path):
    captions = 'captions = ["a red\\u2028cube", "a cup\\u0085"]'
    first = sweep(tmp_path, "run", run=RUN, prompts=captions)
    assert first.made == 6
    assert sweep(tmp_path, "run", run=RUN, prompts=captions).made == 0
    assert len(RunFolder.open(tmp_path / "run").samples()) == 6
