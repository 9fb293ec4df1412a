"""Sweeps on a real Ray, whose workers are really killed."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
from ray._private.utils import check_version_info

from glide_eval.errors import GlideEvalError, ImageError, RunError, StorageError, UsageError
from glide_eval.extractors import FakeExtractor
from glide_eval.features import look_on_ray
from glide_eval.files import RunFolder, ray_workers
from glide_eval.measure import measure
from glide_eval.sweep import RayExecutor, load_sweep, run_sweep
from glide_eval.sweep.on_ray import _Crew, _Worker
from glide_eval.sweep.sources import FakeSource, FakeTable
from tests.fakes import make_fake_run
from tests.glide_eval.sweeps import glide_eval, images_of, manifest_of, write_sweep

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")
GENERATOR = 'model = "fake"\nmicro_batch = 2\nfake = {size = 32}'


def die_once(marks: Path, times: int) -> None:
    """Kill this process, unless so many did already."""
    for number in range(times):
        with contextlib.suppress(FileExistsError):
            (marks / f"killed-{number}").touch(exist_ok=False)
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Source:
    """Opens a fake that leaves its process id, and fails for a caption if it is told to.

    The first so many processes are killed while they draw for the second time.
    """

    pids: Path
    broken: str = ""
    kills: int = 0

    def __call__(self) -> FakeSource:
        source, generate = FakeSource(FakeTable(size=32)), FakeSource.generate
        (self.pids / str(os.getpid())).touch()
        draws = itertools.count()

        def drawn(arm, captions, seeds, start=None):
            if self.broken in captions:
                raise GlideEvalError(f"{self.broken} can't be drawn")
            if next(draws):
                die_once(self.pids.parent, self.kills)
            return generate(source, arm, captions, seeds, start)

        object.__setattr__(source, "generate", drawn)
        return source


def ray_sweep(tmp_path: Path, out: str, broken: str = "", kills: int = 0, say=lambda _: None):
    config = load_sweep(write_sweep(tmp_path, generator=GENERATOR))
    (tmp_path / "pids").mkdir(exist_ok=True)
    return run_sweep(
        config,
        tmp_path / out,
        executor=RayExecutor(workers=2, say=say),
        open_source=Source(tmp_path / "pids", broken, kills),
        say=say,
    )


@pytest.mark.slow
def test_two_actors_of_which_three_are_killed_draw_what_one_process_draws(tmp_path):
    whole = run_sweep(
        load_sweep(write_sweep(tmp_path, generator=GENERATOR)), tmp_path / "whole", say=str
    )
    result = ray_sweep(tmp_path, "run", kills=3)
    assert len(list(tmp_path.glob("killed-*"))) == 3
    # Two, and those that came after them; nobody waits for one that finds no work left.
    assert len(list((tmp_path / "pids").iterdir())) >= 4
    assert images_of(result.run.root) == images_of(whole.run.root)
    assert manifest_of(result.run.root) == manifest_of(whole.run.root)
    story = result.run.provenance()
    assert story["weights"] == whole.run.provenance()["weights"]
    assert sum(worker["images"] for worker in story["workers"]) == 18


@dataclass
class Loading:
    """Loads a fake extractor that leaves PROCESS-TIME behind, and may fail or be killed once."""

    loads: Path
    broken: bool = False
    kills: int = 0

    def __call__(self) -> list[FakeExtractor]:
        (self.loads / f"{os.getpid()}-{time.time_ns()}").touch()
        extractor, embed = FakeExtractor(), FakeExtractor.embed

        def looked(prepared, captions=None):
            die_once(self.loads.parent, self.kills)
            if self.broken:
                raise ImageError("looked away")
            return embed(extractor, prepared, captions)

        extractor.embed = looked
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
    look_on_ray(Loading(tmp_path / "loads", kills=1), [run], workers=2)
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


class RayError(Exception):
    """As of Ray."""


class RayTaskError(RayError):
    """As of Ray."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


@dataclass
class Pretended:
    """A cluster in this process: each node is what its actor answers, in turn.

    Attributes:
        nodes: called for a shard, or for None when an actor joins; it may raise as Ray does. Where
            there is no node for an actor, it never joins.
    """

    nodes: list
    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def wait(self, answers, num_returns, timeout):
        ready = [answer for answer in answers if answer.node]
        assert ready, "it waits for ever"
        return ready[:1], []

    def get(self, answer):
        return answer.node(answer.shard)

    def kill(self, actor): ...

    def start(self):
        node = self.nodes.pop(0) if self.nodes else None

        def remote(shard=None):
            return Answer(node, shard)

        return SimpleActor(SimpleNamespace(remote=remote), SimpleNamespace(remote=remote))


@dataclass(eq=False)
class Answer:
    node: Callable | None
    shard: SimpleNamespace | None


@dataclass(eq=False)
class SimpleActor:
    join: SimpleNamespace
    draw: SimpleNamespace


def well(shard):
    return shard and [shard.id]


def lost(shard):
    """A node that goes out of the cluster while it draws."""
    if shard:
        raise RayError("the node is gone")


def full(shard):
    if shard:
        raise RayTaskError(StorageError("No space left on device"))


def drawn_by(*nodes, number: int, shards: int = 9):
    said: list[str] = []
    ray = Pretended(list(nodes))
    left = deque(SimpleNamespace(id=f"{n}") for n in range(shards))
    crew = _Crew(ray, ray.start, number, left, said.append)
    done = [sample for samples in crew.draw() for sample in samples]
    crew.require_all()
    return sorted(done), said


def test_shards_of_a_node_that_is_lost_for_good_are_drawn_by_the_others():
    done, _ = drawn_by(well, lost, number=2)
    assert done == list("012345678")
    assert drawn_by(lost, well, number=1)[0] == done  # another one came


def test_a_node_that_cannot_write_gets_no_more_work_and_no_shard_is_set_aside():
    done, said = drawn_by(full, well, number=2)
    assert done == list("012345678")
    assert said == [
        "A worker can't write into the run folder and gets no more work: No space left on device"
    ]
    with pytest.raises(StorageError, match="No space left"):
        drawn_by(full, full, number=2)


def test_workers_that_are_killed_whenever_they_draw_end_the_run():
    with pytest.raises(GlideEvalError, match=r"No worker is left: .* \(the node is gone\)"):
        drawn_by(*[lost] * 20, number=2)


def test_refused_workers_are_told_once_and_the_others_draw():
    def refused(shard):
        raise RayTaskError(RunError("it differs: torch 2 → 3"))

    done, said = drawn_by(refused, refused, well, number=3)
    assert (done, said) == (list("012345678"), ["A worker was refused: it differs: torch 2 → 3"])
    with pytest.raises(RunError, match="torch 2 → 3"):
        drawn_by(refused, number=1)


def test_a_worker_waits_for_a_run_folder_that_is_gone_for_a_while(tmp_path):
    gone = [StorageError("gone"), StorageError("gone")]

    def work(shard):
        if gone:
            raise gone.pop()
        return [shard]

    assert _Worker(work, tmp_path / "nowhere", pauses=(0, 0)).draw("it") == ["it"]
    gone.extend([StorageError("gone")] * 3)
    with pytest.raises(StorageError):
        _Worker(work, Path.cwd(), pauses=(0, 0)).draw("it")


def test_a_cluster_of_another_python_is_told_in_a_sentence(tmp_path, capsys, monkeypatch):
    """Ray compares its version and Python's when a driver connects."""

    def init(**_):
        found = {"ray_version": ray.__version__, "python_version": "3.9.1"}
        check_version_info(found, "This process")

    monkeypatch.setattr(ray, "init", init)
    status, _, error = glide_eval(
        capsys, "sweep", write_sweep(tmp_path), "--on", "ray:auto", "--out", tmp_path / "run"
    )
    assert status == 1
    assert "Traceback" not in error
    for part in ("cluster auto can't be used", "3.9.1", "the Python and Ray versions of this"):
        assert part in " ".join(error.split())
