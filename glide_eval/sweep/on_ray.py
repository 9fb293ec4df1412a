"""A sweep's shards on a Ray cluster, or on one node that Ray starts here.

Each actor has one GPU, if there are any, loads the models once, and always has a second shard
waiting. For an actor that is killed, or whose node is lost, another one is started; meanwhile the
others draw its shards. A shard that fails three times is set aside, and the run goes on without it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glide_eval.errors import GlideEvalError, StorageError
from glide_eval.files import RAY_ATTEMPTS, Sample, count, ray_cluster, ray_workers, some

from .executor import Work
from .shards import Shard

IN_FLIGHT = 2  # shards per actor: one is drawn, and the next one is there when it ends
PAUSES = (5.0, 15.0, 45.0)  # seconds to wait for a run folder that can't be written to
SILENCE = 60.0  # seconds after which a run without any worker says so


@dataclass
class RayExecutor:
    """Runs shards by Ray actors; see `Executor`.

    Attributes:
        address: of a cluster, as Ray takes it (`auto`, `10.0.0.1:6379`); empty starts a node here.
        workers: how many actors; None is one per GPU, or one per CPU where there is no GPU.
        say: takes a line of news.
    """

    address: str = ""
    workers: int | None = None
    say: Callable[[str], None] = print

    def run(self, shards: Iterable[Shard], work: Work) -> Iterator[list[Sample]]:
        """Run `work` on each shard.

        Raises:
            UsageError: Ray is not installed.
            GlideEvalError: no cluster is there, no worker is left, or shards were set aside; this
                last one comes after all other shards.
        """
        with ray_cluster(self.address) as ray:
            number, given = ray_workers(ray, self.workers)
            kind, here = ray.remote(_Worker).options(**given), Path.cwd()
            crew = _Crew(ray, lambda: kind.remote(work, here), number, deque(shards), self.say)
            yield from crew.draw()
            crew.require_all()


class _Worker:
    """An actor: a process with its own models."""

    def __init__(self, work: Any, here: Path, pauses: Sequence[float] = PAUSES) -> None:
        # Relative paths mean what they mean where the command was typed.
        with contextlib.suppress(OSError):
            os.chdir(here)
        self._work = work
        self._pauses = pauses

    def join(self) -> None:
        if hasattr(self._work, "joined"):
            self._work.joined()

    def draw(self, shard: Shard) -> list[Sample]:
        for pause in self._pauses:
            try:
                return self._work(shard)
            except StorageError:
                time.sleep(pause)
        return self._work(shard)


@dataclass
class _Crew:
    """Actors at work.

    Attributes:
        ray: the module.
        start: starts an actor.
        number: of actors.
        left: shards that nobody has begun.
        say: takes a line of news.
        load: how many shards each actor has that joined.
        busy: what each answer to come is of: (actor, shard); an actor that joins has none.
        failures: of each shard, by its id.
        aside: the shards that failed too often, and why.
        lost: actors that ended by themselves since a shard was last done.
        why: the last actor left, if one did.
    """

    ray: Any
    start: Callable[[], Any]
    number: int
    left: deque[Shard]
    say: Callable[[str], None]
    load: Counter[Any] = field(default_factory=Counter[Any])
    busy: dict[Any, tuple[Any, Shard | None]] = field(
        default_factory=dict[Any, tuple[Any, Shard | None]]
    )
    failures: Counter[str] = field(default_factory=Counter[str])
    aside: dict[str, Exception] = field(default_factory=dict[str, Exception])
    lost: int = 0
    why: Exception | None = None

    def draw(self) -> Iterator[list[Sample]]:
        """Yield the samples of each shard as it is done.

        Raises:
            GlideEvalError: no actor is left for what is left.
        """
        for _ in range(self.number):
            self._begin()
        # At the end, nobody waits for an actor that has no room to start.
        while self.left or +self.load:
            if not self.busy:
                raise self._nobody()
            done, _ = self.ray.wait(list(self.busy), num_returns=1, timeout=SILENCE)
            if not done and not self.load:
                self.say("No worker is there: they load models, or the cluster has no room.")
            for answer in done:
                samples = self._heard(answer) if answer in self.busy else None
                self._hand_out()
                if samples is not None:
                    yield samples

    def require_all(self) -> None:
        """Raise if shards were set aside."""
        if self.aside:
            told = [f"{shard}: {error}" for shard, error in self.aside.items()]
            raise GlideEvalError(
                f"{count(len(told), 'shard')} failed {RAY_ATTEMPTS} times and were set aside: "
                f"{some(told, between='; ')}. All other images are kept. Mend the cause, then run "
                "the same command again."
            )

    def _begin(self) -> None:
        actor = self.start()
        self.busy[actor.join.remote()] = (actor, None)

    def _hand_out(self) -> None:
        while self.left and self.load:
            actor = min(self.load, key=self.load.__getitem__)
            if self.load[actor] == IN_FLIGHT:
                return
            shard = self.left.popleft()
            self.busy[actor.draw.remote(shard)] = (actor, shard)
            self.load[actor] += 1

    def _heard(self, answer: Any) -> list[Sample] | None:
        """Take an answer; the samples of a shard that was done."""
        actor, shard = self.busy[answer]
        try:
            samples = self.ray.get(answer)
        except self.ray.exceptions.RayTaskError as error:
            self._failed_at(answer, error.cause or error)
            return None
        except self.ray.exceptions.RayError as error:  # its process was killed, its node is lost
            first, *others = self._dismiss(actor, error)
            self.left.extendleft(reversed(others))
            if first is not None:
                self._failed(first, error)
            self.lost += 1
            if self.lost < RAY_ATTEMPTS * self.number:
                self._begin()
            return None
        del self.busy[answer]
        if shard is None:
            self.load[actor] = 0
            return None
        self.load[actor] -= 1
        self.lost = 0
        return samples

    def _failed_at(self, answer: Any, error: Exception) -> None:
        """Take it that an actor, which is well, refused to join or failed at a shard."""
        actor, shard = self.busy[answer]
        if shard is None:
            if str(error) != str(self.why):
                self.say(f"A worker was refused: {error}")
            self._dismiss(actor, error)
        elif isinstance(error, StorageError):  # which is the fault of its node, not of the shard
            self.left.extendleft(reversed(self._dismiss(actor, error)))
            self.say(f"A worker can't write into the run folder and gets no more work: {error}")
        else:
            del self.busy[answer]
            self.load[actor] -= 1
            self._failed(shard, error)

    def _dismiss(self, actor: Any, why: Exception) -> list[Any]:
        """End an actor; the shards that it had, in order, or None if it was joining."""
        had = [answer for answer, (who, _) in self.busy.items() if who is actor]
        shards = [self.busy.pop(answer)[1] for answer in had]
        self.load.pop(actor, None)
        self.why = why
        with contextlib.suppress(Exception):  # it may have ended already
            self.ray.kill(actor)
        return shards

    def _failed(self, shard: Shard, error: Exception) -> None:
        self.failures[shard.id] += 1
        if self.failures[shard.id] == RAY_ATTEMPTS:
            self.aside[shard.id] = error
            self.say(f"Shard {shard.id} failed {RAY_ATTEMPTS} times and is set aside: {error}")
        else:
            self.left.append(shard)

    def _nobody(self) -> Exception:
        """Return why no actor is left."""
        if self.why is not None and not isinstance(self.why, self.ray.exceptions.RayError):
            return self.why
        return GlideEvalError(
            f"No worker is left: the last one was killed or lost ({self.why}). What was drawn is "
            "kept. Look at the nodes and their memory, then run the same command again."
        )
