"""All that the owner's page shows of a study at one moment.

Looking reads every vote and takes seconds with a hundred thousand of them. So a process of its own
looks, with the lowest priority, and raters do not wait for it; the page shows the latest look. A
look that took long is followed by a long pause.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection
from typing import Any

import pandas as pd
from sqlalchemy.engine import make_url

from analysis.ballots import RATER_KINDS, RaterKind, read_votes
from analysis.raters import response_times, study_conduct
from study_app.errors import DatabaseError, StudyError
from study_app.rating import Progress, Study
from study_app.rules import of_kind
from study_app.store import OwnerRepository

from .export import votes_frame
from .limits import LOOK_EVERY, LOOKING_SHARE, PATIENCE, SHOWN_RATERS
from .live_elo import live_elo
from .overview import (
    TimeToFinish,
    rater_table,
    time_to_finish,
    votes_by_question,
    votes_per_hour,
)


@dataclass(frozen=True, slots=True)
class Look:
    """A study as it was at one moment.

    Attributes:
        at: that moment.
        votes: how many there are, by kind of rater.
        progress: votes wanted, and raters who joined.
        done: usable votes by question, by kind of rater.
        left: the time until people have given the votes wanted.
        median_seconds: of people's answers; NaN without any.
        hours: people's votes per hour (see `votes_per_hour`).
        elo: live Elo, by kind of rater and question.
        conduct: `study_conduct`, by kind of rater, of kinds with votes.
        raters: the people with most votes (see `rater_table`).
        people: how many people voted.
        excluded: how many of them the rules leave out.
        reported: pairs that raters reported, as `arms`, `prompt_id`, `caption` and `reports`.
    """

    at: datetime
    votes: dict[RaterKind, int]
    progress: Progress
    done: dict[RaterKind, Counter[str]]
    left: TimeToFinish
    median_seconds: float
    hours: pd.DataFrame
    elo: dict[tuple[RaterKind, str], pd.DataFrame]
    conduct: dict[RaterKind, pd.DataFrame]
    raters: pd.DataFrame
    people: int
    excluded: int
    reported: list[dict[str, Any]]


def look_at(study: Study) -> Look:
    """Return all that the owner's page shows, as it is now.

    Raises:
        StudyError: the database can't answer, or holds votes that can't be analysed.
    """
    votes, progress, now = votes_frame(study), study.progress(), study.now()
    of: dict[RaterKind, pd.DataFrame] = {kind: of_kind(votes, kind) for kind in RATER_KINDS}
    people = of["person"]
    table = rater_table(people) if len(people) else pd.DataFrame({"excluded": []})
    with_progress = study.rater_progress()
    raters = table.head(SHOWN_RATERS)
    if len(raters):
        raters = raters.assign(
            asked=[with_progress.get(rater, (0, 0))[1] for rater in raters["rater"]],
            answered=[with_progress.get(rater, (0, 0))[0] for rater in raters["rater"]],
        )
    return Look(
        at=now,
        votes={kind: len(some) for kind, some in of.items()},
        progress=progress,
        done={kind: votes_by_question(some) for kind, some in of.items()},
        left=time_to_finish(people, progress.wanted, now),
        median_seconds=response_times(read_votes(people)).p50,
        hours=votes_per_hour(people, "person"),
        elo={
            (kind, question.key): live_elo(votes, question.key, kind)
            for kind in RATER_KINDS
            for question in study.info.questions.values()
        },
        conduct={kind: study_conduct(read_votes(some)) for kind, some in of.items() if len(some)},
        raters=raters,
        people=len(table),
        excluded=int((table["excluded"] != "").sum()),
        reported=_reported(study),
    )


def _reported(study: Study) -> list[dict[str, Any]]:
    with study.database.reading() as session:
        rows = OwnerRepository(session).reported()
    return [
        {
            "arms": f"{row.arm_left}, {row.arm_right}",
            "prompt_id": row.prompt_id,
            "caption": row.caption,
            "reports": row.reports,
        }
        for row in rows
    ]


class Watcher:
    """Keeps the latest look at one study, made by a process of its own.

    Args:
        url: of the study's database, password included.
        clock: monotonic seconds.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        self._lock = threading.Lock()
        self._pipe: Connection | None = None
        self._latest: Look | StudyError | None = None
        self._asked = 0.0
        self._due = 0.0
        self._waiting = False

    def latest(self) -> Look:
        """Return the last look that is finished, and ask for the next one if it is due.

        Only the first look is waited for.

        Raises:
            StudyError: the last look failed, and why.
        """
        with self._lock:
            if not self._waiting and self._clock() >= self._due:
                self._ask()
            self._take(PATIENCE if self._latest is None else 0.0)
            latest = self._latest
        if latest is None:
            raise DatabaseError("The first look at this study's votes takes long; please wait.")
        if isinstance(latest, StudyError):
            raise latest
        return latest

    def close(self) -> None:
        """End the process."""
        with self._lock:
            if self._pipe is not None:
                self._pipe.close()  # which it notices
            self._pipe = None

    def _ask(self) -> None:
        if self._pipe is None:
            spawn = multiprocessing.get_context("spawn")
            self._pipe, its_end = spawn.Pipe()
            spawn.Process(target=_keep_looking, args=(its_end, self._url), daemon=True).start()
            its_end.close()
        self._pipe.send(None)
        self._asked, self._waiting = self._clock(), True

    def _take(self, patience: float) -> None:
        """Take a look that has come, waiting for it so many seconds."""
        if self._pipe is None or not self._waiting:
            return
        try:
            if not self._pipe.poll(patience):
                return
            self._latest, cost = self._pipe.recv()
        except (EOFError, OSError):  # it died, or was killed: begin again, not at once
            self._pipe, cost = None, LOOK_EVERY
        self._waiting = False
        self._due = self._asked + max(LOOK_EVERY, LOOKING_SHARE * cost)


def _keep_looking(pipe: Connection, url: str) -> None:
    """Look each time that is asked for, until the server's end of the pipe is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's, which closes the pipe
    with contextlib.suppress(OSError, AttributeError):  # where there are no priorities
        os.nice(15)
    study = None
    while True:
        try:
            pipe.recv()
            begun = time.process_time()
            try:
                study = study or Study.open(make_url(url))
                found: Look | StudyError = look_at(study)
            except StudyError as error:
                found = DatabaseError(str(error))
            pipe.send((found, time.process_time() - begun))
        except (EOFError, OSError):
            return
