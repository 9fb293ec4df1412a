"""A sweep's shards on a Ray cluster, or on one node that Ray starts here.

Each actor has one GPU, if there are any, loads the models once, and always has a second shard
waiting. Ray starts a killed actor anew; a shard that fails three times is set aside, and the run
goes on without it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from glide_eval.errors import GlideEvalError
from glide_eval.files import RAY_ATTEMPTS, Sample, count, ray_cluster, ray_workers, some

from .executor import Work
from .shards import Shard

IN_FLIGHT = 2  # shards per actor: one is drawn, and the next one is there when it ends


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
            GlideEvalError: no cluster is there, every worker was refused, or shards were set aside;
                this last one comes after all other shards.
        """
        with ray_cluster(self.address) as ray:
            crew = _Crew(ray, self._actors(ray, work), deque(shards), self.say)
            yield from crew.draw()
            crew.require_all()

    def _actors(self, ray: Any, work: Work) -> list[Any]:
        """Start the actors, and return those that may join the run."""
        number, given = ray_workers(ray, self.workers)
        kind = ray.remote(_Worker).options(
            **given,
            max_restarts=-1,
            max_task_retries=RAY_ATTEMPTS - 1,  # of shards whose worker was killed
        )
        started = [kind.remote(work) for _ in range(number)]
        asked = {actor: actor.join.remote() for actor in started}
        joined: list[Any] = []
        refusal: Exception | None = None
        for actor, answer in asked.items():
            try:
                ray.get(answer)
                joined.append(actor)
            except ray.exceptions.RayTaskError as error:
                refusal = error.cause or error
            except ray.exceptions.RayActorError:
                joined.append(actor)  # it was killed just now, and starts anew
        if not joined and refusal is not None:
            raise refusal
        if len(joined) < number:
            self.say(f"{count(number - len(joined), 'worker')} of {number} refused: {refusal}")
        return joined


class _Worker:
    """An actor: a process with its own models."""

    def __init__(self, work: Any) -> None:
        self._work = work

    def join(self) -> None:
        if hasattr(self._work, "joined"):
            self._work.joined()

    def draw(self, shard: Shard) -> list[Sample]:
        return self._work(shard)


@dataclass
class _Crew:
    """Actors at work.

    Attributes:
        ray: the module.
        actors: those that joined.
        left: shards that nobody has begun.
        say: takes a line of news.
        busy: what each answer to come is of: (actor, shard).
        failures: of each shard, by its id.
        aside: the shards that failed too often, and why.
    """

    ray: Any
    actors: list[Any]
    left: deque[Shard]
    say: Callable[[str], None]
    busy: dict[Any, tuple[Any, Shard]] = field(default_factory=dict[Any, tuple[Any, Shard]])
    failures: Counter[str] = field(default_factory=Counter[str])
    aside: dict[str, Exception] = field(default_factory=dict[str, Exception])

    def draw(self) -> Iterator[list[Sample]]:
        """Yield the samples of each shard as it is done."""
        for _ in range(IN_FLIGHT):
            for actor in self.actors:
                self._hand(actor)
        while self.busy:
            done, _ = self.ray.wait(list(self.busy), num_returns=1)
            for answer in done:
                actor, shard = self.busy.pop(answer)
                try:
                    yield self.ray.get(answer)
                except self.ray.exceptions.RayTaskError as error:
                    self._failed(shard, error.cause or error, 1)
                except self.ray.exceptions.RayError as error:  # Ray has tried it again itself
                    self._failed(shard, error, RAY_ATTEMPTS)
                self._hand(actor)

    def require_all(self) -> None:
        """Raise if shards were set aside."""
        if self.aside:
            told = [f"{shard}: {error}" for shard, error in self.aside.items()]
            raise GlideEvalError(
                f"{count(len(told), 'shard')} failed {RAY_ATTEMPTS} times and were set aside: "
                f"{some(told, between='; ')}. All other images are kept. Mend the cause, then run "
                "the same command again."
            )

    def _hand(self, actor: Any) -> None:
        if self.left:
            shard = self.left.popleft()
            self.busy[actor.draw.remote(shard)] = (actor, shard)

    def _failed(self, shard: Shard, error: Exception, times: int) -> None:
        self.failures[shard.id] += times
        if self.failures[shard.id] >= RAY_ATTEMPTS:
            self.aside[shard.id] = error
            self.say(f"Shard {shard.id} failed {RAY_ATTEMPTS} times and is set aside: {error}")
        else:
            self.left.append(shard)
