"""What a sweep promises of its run folder, however it came to an end."""

from __future__ import annotations

import contextlib
import hashlib
import json
import pickle
import random
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from glide_eval.files import RunFolder, run_store
from glide_eval.sweep import load_sweep, run_sweep
from glide_eval.sweep.sources import FakeSource
from tests.glide_eval.sweeps import ARMS, RUN, images_of, manifest_of, write_images, write_sweep


def sweep(tmp_path, out: str = "run", **tables: str):
    """Run a small sweep; the folder, and what it said."""
    said: list[str] = []
    result = run_sweep(load_sweep(write_sweep(tmp_path, **tables)), tmp_path / out, say=said.append)
    return result, "\n".join(said)


@pytest.fixture
def made(monkeypatch):
    """Counts the batches the fake source makes."""
    batches: list[tuple[str, list[str]]] = []
    generate = FakeSource.generate

    def counted(self, arm, captions, seeds):
        batches.append((arm.name, list(captions)))
        return generate(self, arm, captions, seeds)

    monkeypatch.setattr(FakeSource, "generate", counted)
    return batches


def test_a_run_holds_every_sample_with_its_hash_in_the_order_of_the_config(tmp_path):
    result, _ = sweep(tmp_path)
    samples = result.run.samples()
    assert result.images == result.made == len(samples) == 18
    assert [s.arm for s in samples] == ["unguided"] * 6 + ["cfg-1.5"] * 6 + ["cfg-3"] * 6
    assert [s.prompt_id for s in samples[:6]] == [f"p000{n}" for n in range(6)]
    for sample in samples:
        content = (result.run.root / sample.path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == sample.sha256


def test_arms_share_their_noise_and_prompts_do_not(tmp_path):
    result, _ = sweep(tmp_path, run=RUN + "\nreplicas = 2")
    seeds: dict[tuple[str, int], set] = {}
    for sample in result.run.samples():
        seeds.setdefault((sample.prompt_id, sample.replica), set()).add(sample.seed)
    assert len(seeds) == 12
    assert all(len(values) == 1 for values in seeds.values())
    assert len(set.union(*seeds.values())) == 12


def test_the_run_knows_how_it_came_to_be(tmp_path):
    result, _ = sweep(tmp_path)
    run = RunFolder.open(result.run.root)
    story = run.provenance()
    assert [arm.name for arm in run.arms()] == ["unguided", "cfg-1.5", "cfg-3"]
    assert story["config_sha256"] == hashlib.sha256(run.config_path.read_bytes()).hexdigest()
    assert run.config_path.read_bytes() == (tmp_path / "sweep.toml").read_bytes()
    assert story["started"] <= story["ended"]
    assert {"glide-eval", "python", "numpy", "torch"} <= story["versions"].keys()
    assert (story["seed"], story["image_size"]) == (3, 32)
    assert len(story["weights"]["fake"]) == 64
    assert story["device"].startswith("cpu")
    assert story["threads"] >= 1


def test_the_folder_is_a_run_before_its_first_image(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(FakeSource, "generate", stop)
    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path)
    run = RunFolder.open(tmp_path / "run")
    assert run.provenance()["ended"] is None
    assert len(run.arms()) == 3


def test_every_batch_is_full_so_that_a_batch_never_moves_an_image(tmp_path, made):
    six, _ = sweep(tmp_path / "six")
    assert {len(captions) for _, captions in made} == {4}
    assert made[1] == ("unguided", ["a green ball", "a cup", "a cup", "a cup"])
    eight = (
        'captions = ["a red cube", "a blue ball", "a cone", "two cones", "a green ball", "a cup"'
    )
    more, _ = sweep(tmp_path / "eight", prompts=eight + ', "a box", "a hat"]')
    first = images_of(six.run.root)
    assert {path: images_of(more.run.root)[path] for path in first} == first


def test_a_finished_sweep_run_again_makes_and_changes_nothing(tmp_path, made):
    result, _ = sweep(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in result.run.root.rglob("*")}
    made.clear()
    again, said = sweep(tmp_path)
    assert (again.made, made) == (0, [])
    assert "all are there" in said
    assert {p: p.stat().st_mtime_ns for p in result.run.root.rglob("*")} == before


class Killed(BaseException):
    """Stands in for SIGKILL: nothing in the toolkit catches it."""


def test_killed_at_any_write_and_resumed_it_ends_with_the_same_bytes(tmp_path, monkeypatch):
    whole, _ = sweep(tmp_path, "whole")
    images, manifest = images_of(whole.run.root), manifest_of(whole.run.root)
    replacing = run_store.replacing
    writes: list[Path] = []

    @contextlib.contextmanager
    def dying(path, at, **options):
        writes.append(path)
        if len(writes) == at:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(f".{path.name}.killed.part").write_bytes(b"half of it")
            raise Killed
        with replacing(path, **options) as temporary:
            yield temporary

    at = 0
    while True:
        at += 1
        writes.clear()
        out = f"killed-{at}"
        monkeypatch.setattr(run_store, "replacing", lambda path, at=at, **o: dying(path, at, **o))
        try:
            sweep(tmp_path, out)
        except Killed:
            monkeypatch.setattr(run_store, "replacing", replacing)
            result, _ = sweep(tmp_path, out)
            assert images_of(result.run.root) == images
            assert manifest_of(result.run.root) == manifest
            assert RunFolder.open(result.run.root).provenance()["ended"]
        else:
            break
    names = {path.name for path in writes}
    assert {"run.json", "sweep.toml", "p0000-0.png", "cfg-3-00001.jsonl", "manifest.jsonl"} <= names
    assert at == len(writes) + 1


def test_a_kill_between_the_last_image_and_the_manifest_is_mended(tmp_path, monkeypatch, made):
    def killed(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("glide_eval.sweep.run._write_manifest", killed)
        with pytest.raises(Killed):
            sweep(tmp_path)
    made.clear()
    result, _ = sweep(tmp_path)
    assert made == []
    assert len(result.run.samples()) == 18
    assert result.run.provenance()["ended"] is not None


@pytest.mark.parametrize("damage", ["truncate", "remove", "replace"])
def test_a_damaged_image_is_noticed_and_made_again(tmp_path, made, damage):
    result, _ = sweep(tmp_path)
    images = images_of(result.run.root)
    path = result.run.sample_path("cfg-3", "p0005", 0)
    if damage == "truncate":
        path.write_bytes(path.read_bytes()[:100])
    elif damage == "remove":
        path.unlink()
    else:
        path.write_bytes(result.run.sample_path("cfg-3", "p0001", 0).read_bytes())
    made.clear()
    again, said = sweep(tmp_path)
    assert "16 are there, 2 to make (1 of them missing or damaged)" in said
    assert [name for name, _ in made] == ["cfg-3"]
    assert again.made == 2
    assert images_of(result.run.root) == images


def test_an_image_that_comes_out_different_when_made_again_is_reported(tmp_path, monkeypatch):
    result, _ = sweep(tmp_path)
    result.run.sample_path("cfg-3", "p0005", 0).unlink()
    generate = FakeSource.generate
    monkeypatch.setattr(FakeSource, "generate", lambda *args: 255 - generate(*args))
    _, said = sweep(tmp_path)
    assert "2 images made again came out different from before" in said


def test_a_machine_changed_between_sessions_is_reported(tmp_path):
    result, _ = sweep(tmp_path)
    story = result.run.provenance()
    story["versions"]["torch"] = "1.0"
    result.run.provenance_path.write_text(json.dumps(story))
    result.run.sample_path("cfg-3", "p0005", 0).unlink()
    _, said = sweep(tmp_path)
    assert "Since this run began: torch 1.0 →" in said


def test_what_the_generator_will_not_read_of_prompts_is_told_and_for_which_strategy(
    tmp_path, monkeypatch
):
    asked = []

    def notes(self, captions, strategies):
        asked.append("clip" in strategies)
        return [f"{caption!r} is too long." for caption in captions]

    monkeypatch.setattr(FakeSource, "notes", notes)
    _, said = sweep(tmp_path)
    assert "is too long." in said
    _, said = sweep(tmp_path, "other", arms='[[arms]]\nstrategy = "clip"\nscales = [1]')
    assert asked == [False, True]


def test_leftover_temporary_files_go_and_other_files_stay(tmp_path):
    result, _ = sweep(tmp_path)
    root = result.run.root
    leftovers = [
        root / "samples" / "cfg-3" / ".p0000-0.png.abc.part",
        root / ".manifest.jsonl.abc.part",
    ]
    for path in leftovers:
        path.write_bytes(b"half")
    (root / "features").mkdir()
    other = root / "features" / ".x.npz.abc.part"  # of a command that may be running now
    other.write_bytes(b"half")
    sweep(tmp_path)
    assert [path.exists() for path in (*leftovers, other)] == [False, False, True]


def test_an_edited_manifest_is_rebuilt(tmp_path):
    result, _ = sweep(tmp_path)
    manifest = manifest_of(result.run.root)
    lines = result.run.manifest_path.read_text().splitlines()
    result.run.manifest_path.write_text("\n".join(["nonsense", *lines[2:]]) + "\n")
    sweep(tmp_path)
    assert manifest_of(result.run.root) == manifest


def test_names_labels_and_comments_may_change_in_a_run(tmp_path, made):
    sweep(tmp_path)
    made.clear()
    arms = ARMS.replace('"unguided"\n', '"unguided"\nlabel = "Plain"\n')
    result, _ = sweep(tmp_path, run='name = "renamed"\nseed = 3  # as before', arms=arms)
    assert made == []
    story = result.run.provenance()
    assert (story["name"], result.run.arms()[0].label) == ("renamed", "Plain")
    assert story["config_sha256"] == hashlib.sha256(result.run.config_path.read_bytes()).hexdigest()


class Scattered:
    """An executor of two processes that takes the shards in a random order."""

    def run(self, shards, work):
        shards = [pickle.loads(pickle.dumps(shard)) for shard in shards]
        random.Random(0).shuffle(shards)
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            yield from pool.map(work, shards)


def test_shards_may_run_in_any_process_in_any_order(tmp_path):
    local, _ = sweep(tmp_path, "local")
    file = load_sweep(tmp_path / "sweep.toml")
    run_sweep(file, tmp_path / "scattered", executor=Scattered(), say=lambda _: None)
    assert images_of(tmp_path / "scattered") == images_of(local.run.root)
    assert manifest_of(tmp_path / "scattered") == manifest_of(local.run.root)


IMPORTED = '[[arms]]\nstrategy = "imported"\nname = "mine"\nfolder = "images"\n'
CAPTIONS = ["a cup", "a red cube", "a blue ball", "a cone", "two cones", "a green ball"]


def test_an_imported_arm_has_the_size_and_format_of_the_others(tmp_path):
    write_images(tmp_path / "images", CAPTIONS)
    result, _ = sweep(tmp_path, arms=ARMS + IMPORTED)
    mine = [s for s in result.run.samples() if s.arm == "mine"]
    assert len(mine) == 6
    assert {s.seed for s in mine} == {None}
    sizes = {path.read_bytes()[16:24] for path in result.run.samples_dir.rglob("*.png")}
    assert sizes == {(32).to_bytes(4, "big") * 2}
    assert result.run.arms()[3].strategy == "imported"


def test_folders_may_be_compared_without_any_generator(tmp_path, made):
    write_images(tmp_path / "images", CAPTIONS)
    result, _ = sweep(tmp_path, run=RUN + "\nsize = 48", generator="", arms=IMPORTED)
    assert made == []
    assert result.run.provenance()["weights"] == {}
    assert result.run.sample_path("mine", "p0000", 0).read_bytes()[16:20] == b"\0\0\0\x30"
