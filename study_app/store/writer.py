"""One thread that writes, committing what has queued up meanwhile as one group.

SQLite lets one connection write at a time; many threads asking for it end in "database is
locked". Here they queue, and one durable commit (one fsync) serves everyone in the group.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from .limits import GROUP
from .prepared import pipelined

T = TypeVar("T")


@dataclass(slots=True)
class _Job:
    work: Callable[[Session], Any]
    pipelined: bool
    done: Future[Any]
    result: Any = None


class Writer:
    """Runs pieces of work in order, each all or nothing, and answers after they are durable."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        driver = engine.dialect.loaded_dbapi
        self._database_fails = (
            OperationalError,
            InterfaceError,
            driver.OperationalError,
            driver.InterfaceError,
        )
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._loop, name="study-writer", daemon=True)
        self._thread.start()

    def run(self, work: Callable[[Session], T], *, pipelined: bool = False) -> T:
        """Run `work(session)`, and return its result once it is committed.

        Args:
            work: does it.
            pipelined: it speaks to the database in prepared statements alone, which may then be on
                their way to a server together (see `prepared.pipelined`).

        Raises:
            Exception: what `work` or the commit raised; nothing of it is stored then.
        """
        done: Future[T] = Future()
        self._jobs.put(_Job(work, pipelined, done))
        return done.result()

    def close(self) -> None:
        """Finish what has been asked for, then stop."""
        self._jobs.put(None)
        self._thread.join()

    def _loop(self) -> None:
        stopping = False
        while not stopping:
            group, stopping = self._next_group()
            if group:
                self._commit(group)

    def _next_group(self) -> tuple[list[_Job], bool]:
        """Return the jobs that have queued up, and whether to stop after them."""
        group: list[_Job] = []
        job = self._jobs.get()
        while job is not None:
            group.append(job)
            if len(group) == GROUP or self._jobs.empty():
                return group, False
            job = self._jobs.get()  # can't block: nobody else takes from the queue
        return group, True

    def _commit(self, group: list[_Job]) -> None:
        """Commit the whole group in one transaction. If a job fails, retry each job in its own.

        Nothing of a group that failed was stored, so running its work again is safe. Where the
        database itself fails (full, locked, gone) everyone is told: trying each would only wait.
        """
        try:
            # Results are read after the commit: expired objects would query again, in no session.
            session = Session(self._engine, expire_on_commit=False)
            with session, session.begin(), _way(session, group):
                for job in group:
                    job.result = job.work(session)
        except Exception as error:
            if len(group) == 1 or isinstance(error, self._database_fails):
                for job in group:
                    job.done.set_exception(error)
                return
            for job in group:
                self._commit([job])
        else:
            for job in group:
                job.done.set_result(job.result)


def _way(session: Session, group: list[_Job]) -> AbstractContextManager[object]:
    """How a group's statements go to the database."""
    if all(job.pipelined for job in group):
        return pipelined(session.connection())
    return nullcontext()
