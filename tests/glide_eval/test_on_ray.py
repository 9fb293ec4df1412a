"""Sweeps on a real Ray, whose workers are really killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from glide_eval.errors import GlideEvalError, ImageError, UsageError
from glide_eval.extractors import FakeExtractor
from glide_eval.features import look_on_ray
from glide_eval.files import RunFolder, ray_workers
from glide_eval.measure import measure
from glide_eval.sweep import RayExecutor, load_sweep, run_sweep
from glide_eval.sweep.sources import FakeSource, FakeTable
from tests.fakes import make_fake_run
from tests.glide_eval.sweeps import glide_eval, images_of, manifest_of, write_sweep

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")
GENERATOR = 'model = "fake"\nmicro_batch = 2\nfake = {size = 32}'


@dataclass
class Source:
    """Opens a fake that leaves its process id, and fails for a caption if it is told to."""

    pids: Path
    broken: str = ""

    def __call__(self) -> FakeSource:
        source, generate = FakeSource(FakeTable(size=32)), FakeSource.generate
        (self.pids / str(os.getpid())).touch()

        def drawn(arm, captions, seeds, start=None):
            if self.broken in captions:
                raise GlideEvalError(f"{self.broken} can't be drawn")
            source.sleep(0.1)
            return generate(source, arm, captions, seeds, start)

        object.__setattr__(source, "generate", drawn)
        return source


def ray_sweep(tmp_path: Path, out: str, broken: str = "", say=lambda _: None):
    config = load_sweep(write_sweep(tmp_path, generator=GENERATOR))
    (tmp_path / "pids").mkdir(exist_ok=True)
    return run_sweep(
        config,
        tmp_path / out,
        executor=RayExecutor(workers=2, say=say),
        open_source=Source(tmp_path / "pids", broken),
        say=say,
    )


@pytest.mark.slow
def test_two_actors_of_which_three_are_killed_draw_what_one_process_draws(tmp_path):
    whole = run_sweep(
        load_sweep(write_sweep(tmp_path, generator=GENERATOR)), tmp_path / "whole", say=str
    )
    over = threading.Event()

    def kill_three() -> None:
        killed: set[str] = set()
        while len(killed) < 3 and not over.wait(0.05):
            images = len(list((tmp_path / "run").glob("samples/*/*.png")))
            pids = tmp_path / "pids"
            fresh = {p.name for p in pids.iterdir()} - killed if pids.exists() else set()
            if fresh and images > 3 * len(killed):
                killed.add(one := sorted(fresh)[0])
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(one), signal.SIGKILL)

    killer = threading.Thread(target=kill_three)
    killer.start()
    try:
        result = ray_sweep(tmp_path, "run")
    finally:
        over.set()
        killer.join()
    assert len(list((tmp_path / "pids").iterdir())) >= 5  # two, and three that came after them
    assert images_of(result.run.root) == images_of(whole.run.root)
    assert manifest_of(result.run.root) == manifest_of(whole.run.root)
    story = result.run.provenance()
    assert story["weights"] == whole.run.provenance()["weights"]
    assert sum(worker["images"] for worker in story["workers"]) == 18


@dataclass
class Loading:
    """Loads a fake extractor that leaves PROCESS-TIME behind, is slow, and may fail."""

    loads: Path
    broken: bool = False

    def __call__(self) -> list[FakeExtractor]:
        (self.loads / f"{os.getpid()}-{time.time_ns()}").touch()
        extractor, embed = FakeExtractor(), FakeExtractor.embed

        def slowly(prepared, captions=None):
            time.sleep(0.2)
            if self.broken:
                raise ImageError("looked away")
            return embed(extractor, prepared, captions)

        extractor.embed = slowly
        return [extractor]


def images_looked_at(run: RunFolder) -> list[int]:
    """How many a later look from this process has to take."""
    extractor, seen = FakeExtractor(), []
    embed = extractor.embed
    extractor.embed = lambda prepared, captions=None: (
        seen.append(len(prepared)) or embed(prepared, captions)
    )
    measure(run, [extractor], ["clip_score"])
    return seen


@pytest.mark.slow
def test_two_workers_look_at_a_runs_images_though_one_is_killed(tmp_path):
    run = make_fake_run(tmp_path / "run", 8, size=16)
    whole = RunFolder(Path(shutil.copytree(run.root, tmp_path / "whole")))
    measure(whole, [FakeExtractor()], ["clip_score"])
    (tmp_path / "loads").mkdir()
    over = threading.Event()

    def kill_one() -> None:
        while not over.wait(0.05):
            if found := list((tmp_path / "loads").iterdir()):
                os.kill(int(found[0].name.split("-")[0]), signal.SIGKILL)
                return

    killer = threading.Thread(target=kill_one)
    killer.start()
    try:
        look_on_ray(Loading(tmp_path / "loads"), [run], workers=2)
    finally:
        over.set()
        killer.join()
    assert len(list((tmp_path / "loads").iterdir())) >= 3, "a share is begun anew"
    assert images_looked_at(run) == [], "all features are kept"
    assert run.metrics_path.read_bytes() == whole.metrics_path.read_bytes()


@pytest.mark.slow
def test_what_workers_fail_at_is_told_in_their_words(tmp_path):
    run = make_fake_run(tmp_path / "run", 2, size=16)
    (tmp_path / "loads").mkdir()
    with pytest.raises(ImageError, match="looked away"):
        look_on_ray(Loading(tmp_path / "loads", broken=True), [run], workers=1)


@pytest.mark.parametrize(
    ("there", "wanted", "number"),
    [({"CPU": 2.0}, None, 2), ({"CPU": 2.0}, 3, 3), ({"CPU": 8.0, "GPU": 2.0}, 7, 7),
     ({"CPU": 8.0, "GPU": 2.0}, None, 2)],
)  # fmt: skip
def test_workers_beyond_what_is_there_share_it_so_that_none_waits_for_ever(there, wanted, number):
    found, given = ray_workers(SimpleNamespace(cluster_resources=lambda: there), wanted)
    assert found == number
    for name, resource in (("num_cpus", "CPU"), ("num_gpus", "GPU")):
        assert number * given[name] <= there.get(resource, 0.0)
        assert (given[name] > 0) == (resource in there)


def test_metrics_on_ray_are_of_runs(tmp_path, capsys):
    run = make_fake_run(tmp_path / "run", 2, size=16)
    for arguments in (["--fake", tmp_path, "--on", "ray"], [run.root, "--workers", "2"]):
        status, _, error = glide_eval(capsys, "metrics", *arguments)
        assert (status, "--on" in error) == (2, True)


@pytest.mark.slow
def test_a_shard_that_fails_three_times_is_set_aside_and_the_rest_is_drawn(tmp_path):
    said: list[str] = []
    with pytest.raises(GlideEvalError, match=r"3 shards failed 3 times .* a cup can't be drawn"):
        ray_sweep(tmp_path, "run", broken="a cup", say=said.append)
    assert len(images_of(tmp_path / "run")) == 12
    assert any("is set aside: a cup can't be drawn" in line for line in said)


def test_without_ray_the_command_that_installs_it_is_told(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'glide-eval\[ray\]'"):
        ray_sweep(tmp_path, "run")
    config = write_sweep(tmp_path)
    status, _, error = glide_eval(capsys, "sweep", config, "--on", "ray", "--out", tmp_path / "r")
    assert (status, "glide-eval[ray]" in error) == (2, True)
    status, _, error = glide_eval(capsys, "sweep", config, "--on", "spark")
    assert (status, "expected `ray` or `ray:ADDRESS`" in error) == (2, True)
