"""Who runs the shards: this process now; pools of processes or a cluster by the same interface."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from glide_eval.files import Sample

from .shards import Shard

Work = Callable[[Shard], list[Sample]]


class Executor(Protocol):
    """Runs every shard once and yields each one's samples, in whatever order they finish.

    `work` and the shards are picklable and share nothing but the run folder, so an executor may
    send them anywhere that folder can be reached.
    """

    def run(self, shards: Iterable[Shard], work: Work) -> Iterator[list[Sample]]:
        """Run `work` on each shard; an exception of one ends the run."""
        ...


class LocalExecutor:
    """One shard after another, in this process, which leaves all cores to each shard."""

    def run(self, shards: Iterable[Shard], work: Work) -> Iterator[list[Sample]]:
        """Run `work` on each shard, in order."""
        return map(work, shards)
