"""Tasks that each draw a share of a sweep, as on a Slurm array, really killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from glide_eval.cli import main
from glide_eval.cli.shares import share_of
from glide_eval.errors import RunError, StorageError, UsageError
from glide_eval.files import RunFolder, Share, held
from glide_eval.sweep import load_sweep, run_sweep
from glide_eval.sweep.sources import FakeSource, FakeTable
from tests.glide_eval.sweeps import (
    GENERATOR,
    PROMPTS,
    RUN,
    everything_in,
    glide_eval,
    images_of,
    manifest_of,
    write_sweep,
)

SLOW = 'model = "fake"\nmicro_batch = 2\nfake = {size = 32, seconds = 0.1}'
FAST = SLOW.replace("0.1", "0.0")
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["glide_eval.sweep", "glide_eval.cli.sweep"])


def task(config: Path, out: Path, number: int, of: int):
    """Start a task of its own process."""
    arguments = ["sweep", str(config), "--out", str(out), "--shard", f"{number}/{of}", "--quiet"]
    process = SERVER.Process(target=main, args=(arguments,))
    process.start()
    return process


def kill_midway(config: Path, out: Path, number: int, of: int) -> None:
    """SIGKILL a task once it has made an image more."""
    before = len(list(out.glob("samples/*/*.png")))
    process = task(config, out, number, of)
    deadline = time.monotonic() + 60
    while len(list(out.glob("samples/*/*.png"))) == before:
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def test_four_tasks_killed_three_times_end_with_the_bytes_of_one_process(tmp_path):
    slow, fast = (write_sweep(tmp_path / n, generator=g) for n, g in (("s", SLOW), ("f", FAST)))
    out, whole = tmp_path / "run", tmp_path / "whole"
    run_sweep(load_sweep(fast), whole, say=lambda _: None)
    for number in (1, 3, 4):
        kill_midway(slow, out, number, 4)
    tasks = [task(fast, out, number, 4) for number in (1, 2, 3, 4)]
    for process in tasks:
        process.join()
    assert [process.exitcode for process in tasks] == [0] * 4
    assert images_of(out) == images_of(whole)
    assert manifest_of(out) == manifest_of(whole)
    assert {path.name for path in out.iterdir()} == {path.name for path in whole.iterdir()}
    story = RunFolder.open(out).provenance()
    assert story["ended"]
    assert {session["shard"] for session in story["sessions"]} == {"1/4", "2/4", "3/4", "4/4"}
    assert sum(worker["images"] for worker in story["workers"]) == 18
    assert story["identity"] == RunFolder.open(whole).provenance()["identity"]


def sweep(tmp_path: Path, share: Share | None = None, **options):
    return run_sweep(
        load_sweep(write_sweep(tmp_path)), tmp_path / "run", say=lambda _: None, share=share,
        **options,
    )  # fmt: skip


def test_the_last_task_in_writes_the_manifest_or_finish_does_if_it_died_before(
    tmp_path, capsys, monkeypatch
):
    finish = ("sweep", tmp_path / "sweep.toml", "--out", tmp_path / "run", "--finish")
    first = sweep(tmp_path, Share(1, 2))
    assert (first.made, first.left) == (12, 6)
    status, _, error = glide_eval(capsys, *finish)
    assert status == 1
    assert "6 of 18 images are missing" in error

    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("glide_eval.sweep.run._end", die)
        with pytest.raises(KeyboardInterrupt):
            sweep(tmp_path, Share(2, 2))
    assert not first.run.manifest_path.exists()
    status, said, _ = glide_eval(capsys, *finish)
    assert (status, len(first.run.samples())) == (0, 18)
    assert "18 images in" in said
    assert first.run.provenance()["ended"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"weights": "0"}, "`weights.fake` is"),
        ({"threads": "97"}, "threads 1 → 97"),
        ({"version": "torch"}, "torch"),
    ],
)
def test_a_task_that_would_draw_otherwise_is_refused_before_it_draws(
    tmp_path, monkeypatch, change, told
):
    monkeypatch.setattr("glide_eval.sweep.provenance._threads", lambda: 1)
    sweep(tmp_path, Share(1, 2))
    if "weights" in change:
        monkeypatch.setattr(FakeSource, "fingerprint", lambda _: {"fake": "0" * 64})
    if "threads" in change:
        monkeypatch.setattr("glide_eval.sweep.provenance._threads", lambda: 97)
    if "version" in change:
        monkeypatch.setattr("glide_eval.sweep.provenance._versions", lambda: {"torch": "9"})
    before = images_of(tmp_path / "run")
    with pytest.raises(RunError, match=told):
        sweep(tmp_path, Share(2, 2))
    assert images_of(tmp_path / "run") == before
    if "weights" not in change:
        assert sweep(tmp_path, Share(2, 2), mixed=True).left == 0
        assert len(RunFolder.open(tmp_path / "run").provenance()["workers"]) == 2


class Elsewhere:
    """An executor of one other process."""

    def run(self, shards, work):
        with ProcessPoolExecutor(1, mp_context=SERVER) as pool:
            yield from pool.map(work, shards)


def other_weights() -> FakeSource:
    if multiprocessing.parent_process() is None:
        pytest.fail("the driver loads no model")
    source = FakeSource(FakeTable(size=32))
    FakeSource.fingerprint = lambda _: {"fake": "e" * 64}
    return source


def test_the_run_says_what_its_workers_drew_with_and_refuses_one_of_other_weights(tmp_path):
    run = sweep(tmp_path, executor=Elsewhere(), open_source=other_weights).run
    story = run.provenance()
    assert story["weights"] == {"fake": "e" * 64}
    assert story["identity"]["weights.fake"] == "e" * 64
    assert [worker["images"] for worker in story["workers"]] == [18]
    run.sample_path("cfg-3", "p0001", 0).unlink()
    before = images_of(run.root)
    with pytest.raises(RunError, match=r"`weights.fake` is eeee"):
        sweep(tmp_path, executor=Elsewhere())
    assert images_of(run.root) == before


def test_tasks_and_a_lone_sweep_keep_out_of_each_others_way(tmp_path):
    sweep(tmp_path, Share(1, 2))
    with held(tmp_path / "run" / ".lock.1-of-2", RuntimeError):
        with pytest.raises(RunError, match=rf"--shard 1/2 .*\(process {os.getpid()} on"):
            sweep(tmp_path)
        with pytest.raises(RunError, match="--shard 1/2 is writing"):
            sweep(tmp_path, Share(1, 3))
        with pytest.raises(RunError, match="another sweep is writing there now"):
            sweep(tmp_path, Share(1, 2))
        assert sweep(tmp_path, Share(2, 2)).left == 0


NAMED = '[[arms]]\nname = "mine"\nstrategy = "classifier_free"\nscales = [2]\n'


@pytest.mark.parametrize(
    "change",
    [
        {"arms": NAMED + "rescale = 0.5"},
        {"arms": NAMED, "prompts": PROMPTS.replace("a cup", "a hat")},
        {"arms": NAMED, "generator": GENERATOR.replace("micro_batch = 4", "micro_batch = 3")},
        {"arms": NAMED, "run": RUN.replace("seed = 3", "seed = 4")},
    ],
    ids=["rescale", "prompts", "micro-batch", "seed"],
)
def test_shards_of_another_config_in_a_merged_folder_are_drawn_again(tmp_path, capsys, change):
    """As after copying the run folder of a node that drew another config over this one's."""
    ours, theirs = write_sweep(tmp_path, arms=NAMED), write_sweep(tmp_path / "other", **change)
    out, other, whole = (tmp_path / name for name in ("run", "other-run", "whole"))
    run_sweep(load_sweep(ours), whole, say=str)
    run_sweep(load_sweep(ours), out, say=str, share=Share(1, 2))
    run_sweep(load_sweep(theirs), other, say=str, share=Share(2, 2))
    for folder in ("samples", ".shards"):
        shutil.copytree(other / folder, out / folder, dirs_exist_ok=True)
    status, _, error = glide_eval(capsys, "sweep", ours, "--out", out, "--finish")
    assert (status, "of 6 images are missing" in error) == (1, True)
    said: list[str] = []
    run_sweep(load_sweep(ours), out, say=said.append)
    assert any("belong to another config and don't count" in line for line in said)
    assert images_of(out) == images_of(whole)
    assert manifest_of(out) == manifest_of(whole)


class Unmounted:
    """An executor during whose second shard the run folder's mount is lost for a while."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, shards, work):
        first, *others = shards
        yield work(first)
        away = self.root.rename(self.root.with_name("away"))
        self.root.mkdir()
        with pytest.raises(StorageError, match=r"run is not there on .* at the same path on every"):
            work(others[0])
        assert not any(self.root.iterdir()), "images that nobody would find"
        self.root.rmdir()
        away.rename(self.root)
        yield from map(work, others)


def test_nothing_is_written_where_the_run_folder_was_mounted(tmp_path):
    run = sweep(tmp_path, executor=Unmounted(tmp_path / "run")).run
    whole = run_sweep(load_sweep(write_sweep(tmp_path)), tmp_path / "whole", say=str).run
    assert images_of(run.root) == images_of(whole.root)


def test_two_sweeps_of_different_configs_do_not_share_a_folder(tmp_path):
    sweep(tmp_path, Share(1, 2))
    before = everything_in(tmp_path / "run")
    other = load_sweep(write_sweep(tmp_path / "other", run=RUN.replace("seed = 3", "seed = 4")))
    with pytest.raises(RunError, match=r"made by another config: `run.seed` is 3 there and 4 here"):
        run_sweep(other, tmp_path / "run", say=str, share=Share(2, 2))
    assert everything_in(tmp_path / "run") == before


def test_a_share_is_read_from_a_slurm_array_or_torchrun():
    slurm = {"SLURM_ARRAY_TASK_ID": "12", "SLURM_ARRAY_TASK_COUNT": "4"}
    assert share_of(None, {**slurm, "SLURM_ARRAY_TASK_MIN": "10"}) == Share(3, 4)
    stepped = {"SLURM_ARRAY_TASK_MIN": "8", "SLURM_ARRAY_TASK_STEP": "2"}
    assert share_of(None, {**slurm, **stepped}) == Share(3, 4)
    torchrun = {"RANK": "0", "WORLD_SIZE": "2"}
    assert share_of(None, torchrun) == Share(1, 2)
    assert share_of("2/3", {**slurm, **torchrun}) == Share(2, 3)
    assert share_of("1/1", torchrun) is None
    assert share_of(None, {"RANK": "0", "WORLD_SIZE": "1"}) is None
    assert share_of(None, {}) is None


@pytest.mark.parametrize("shard", ["5/4", "0/4", "x", "1/0", "-1/4"])
def test_a_share_that_there_is_none_of_is_wrong_usage(shard):
    with pytest.raises(UsageError, match=r"expected I/N with 1 ≤ I ≤ N"):
        share_of(shard, {})
    with pytest.raises(UsageError, match="SLURM_ARRAY_TASK_ID"):
        share_of(None, {"RANK": "first", "WORLD_SIZE": "2"})


def test_each_record_says_who_drew_it(tmp_path):
    run = sweep(tmp_path, Share(1, 2)).run
    lines = (run.root / ".shards" / "unguided-00000.jsonl").read_text().splitlines()
    worker = json.loads(lines[0])["worker"]
    assert worker.keys() >= {"weights", "device", "dtype", "threads", "versions", "host"}
    assert len(lines) == 5
