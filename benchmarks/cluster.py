"""What a sweep on many machines costs its driver: `python -m benchmarks.cluster [--parts …]`.

driver      a sweep of --images images on a real Ray with 8 actors here, of a source that draws
            nothing: processor time of the driver for an image, and its memory
throughput  a source that sleeps 0.2 s for a shard of 16, on a real Ray with 1, 2, 4 and 8 actors:
            shards per second, as a share of so many times one actor's
paper       3.6 million images on 64 GPUs whose shards take 7 s each, in virtual time: the driver is
            the real one, actors and clock are simulated

`--dry-run` does the same with a few images.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import os
import resource
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from glide_eval.files import Sample
from glide_eval.sweep import RayExecutor, load_sweep, run_sweep
from glide_eval.sweep.on_ray import _Crew
from glide_eval.sweep.shards import Shard

from .many import NothingSource, written

ACTORS = (1, 2, 4, 8)
MICRO_BATCH = 16
NAP = 0.2  # seconds of a shard
GPUS, SHARD_SECONDS, PAPER_IMAGES = 64, 7.0, 3_600_000  # 2.3 images/s a GPU: 330,000 in 40 hours


def driver(images: int) -> None:
    """Measure the driver of a whole sweep."""
    with tempfile.TemporaryDirectory() as folder:
        sweep = load_sweep(written(Path(folder), images, MICRO_BATCH))
        begun, cpu = time.perf_counter(), time.process_time()
        run_sweep(
            sweep, Path(folder) / "run", open_source=NothingSource, say=lambda _: None,
            executor=RayExecutor(workers=8),
        )  # fmt: skip
        cpu = time.process_time() - cpu
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(
            f"driver, {images:,} images, 8 actors: {cpu / images * 1000:.3f} ms of processor time "
            f"an image, {most:.2f} GB at most, {time.perf_counter() - begun:.0f} s",
            flush=True,
        )


def nap(shard: Shard) -> list[Any]:
    """Draw nothing for a while; the process that did."""
    time.sleep(NAP)
    return [os.getpid()]


def throughput(shards_each: int) -> None:
    """Measure shards per second while all actors are at work."""
    rates: dict[int, float] = {}
    for actors in ACTORS:
        executor = RayExecutor(workers=actors, say=lambda _: None)
        done = [
            (time.perf_counter(), pid) for (pid,) in executor.run(some(actors * shards_each), nap)
        ]
        # Actors start one after the other, and the last shards have none beside them.
        firsts = {pid: place for place, (_, pid) in reversed(list(enumerate(done)))}
        steady = [when for when, _ in done[max(firsts.values()) + actors : -actors]]
        if len(steady) < 2:
            print(f"throughput, {actors} actors: some started too late to measure it", flush=True)
            return
        rates[actors] = (len(steady) - 1) / (steady[-1] - steady[0])
        share = rates[actors] / (actors * rates[1])
        print(f"throughput, {actors} actors: {rates[actors]:.2f} shards/s, {share:.1%}", flush=True)


@dataclass(frozen=True)
class _Numbered:
    """A shard that has nothing but its number."""

    number: int

    @property
    def id(self) -> str:
        return f"an-arm-{self.number:05d}"


def some(count: int) -> Iterator[Any]:
    """Yield so many shards of nothing."""
    return map(_Numbered, range(count))


@dataclass
class VirtualRay:
    """A cluster whose actors take a given time for a shard, by a clock of its own.

    Attributes:
        seconds: of a shard.
        now: virtual seconds since the start.
    """

    seconds: float
    now: float = 0.0
    _due: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    class exceptions:  # noqa: N801 - as Ray calls it
        """No actor of this cluster fails."""

        RayTaskError = RayError = RuntimeError

    def wait(
        self, answers: list[int], num_returns: int, timeout: float
    ) -> tuple[list[int], list[int]]:
        """Go on to the moment when the next answer comes."""
        self.now, answer = heapq.heappop(self._due)
        return [answer], []

    def get(self, answer: int) -> list[Sample]:
        """Return no samples."""
        return []

    def actor(self) -> _Actor:
        """Return a new actor."""
        return _Actor(self)

    def begin(self, at: float) -> int:
        """Note when an answer comes; return it."""
        answer = next(self._numbers)
        heapq.heappush(self._due, (at, answer))
        return answer


class _Actor:
    """An actor, whose `draw.remote(shard)` gives an answer to come."""

    def __init__(self, ray: VirtualRay) -> None:
        self._ray, self._free = ray, 0.0
        self.join = SimpleNamespace(remote=lambda: ray.begin(ray.now))
        self.draw = SimpleNamespace(remote=self._draw)

    def _draw(self, shard: Shard) -> int:
        self._free = max(self._free, self._ray.now) + self._ray.seconds
        return self._ray.begin(self._free)


def paper(images: int) -> None:
    """Run the driver's loop in virtual time."""
    ray = VirtualRay(SHARD_SECONDS)
    shards = images // MICRO_BATCH
    crew = _Crew(ray, ray.actor, GPUS, deque(some(shards)), print)
    cpu = time.process_time()
    for _ in crew.draw():
        pass
    cpu = time.process_time() - cpu
    least = shards * SHARD_SECONDS / GPUS
    print(
        f"paper, {images:,} images on {GPUS} GPUs: {ray.now / 3600:.2f} hours of virtual time, "
        f"{least / ray.now:.2%} of it drawing; the driver's loop took "
        f"{cpu / shards * 1e6:.0f} µs a shard, {cpu / ray.now:.3%} of the time",
        flush=True,
    )


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--parts", default="driver,throughput,paper")
    parser.add_argument("--images", type=int, default=330_000, help="of the driver's sweep")
    parser.add_argument("--dry-run", action="store_true", help="a few images: figures mean nothing")
    options = parser.parse_args()
    few = options.dry_run
    parts = {
        "driver": lambda: driver(320 if few else options.images),
        "throughput": lambda: throughput(8 if few else 40),
        "paper": lambda: paper(32_000 if few else PAPER_IMAGES),
    }
    for name in options.parts.split(","):
        parts[name]()


if __name__ == "__main__":
    main()
