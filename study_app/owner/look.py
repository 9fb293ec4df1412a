"""All that the owner's page shows of a study at one moment.

What a look needs of the votes is computed anew when there are new ones, which takes a second where
there are hundreds of thousands. So a process of its own looks, with the lowest priority, and raters
do not wait for it; the page shows the latest look. A look that took long is followed by a long
pause.
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
from study_app.rating import Progress, RaterProgress, Study
from study_app.rules import of_kind
from study_app.store import OwnerRepository

from .limits import LOOK_EVERY, LOOKING_SHARE, PATIENCE, SHOWN_COMMENTS, SHOWN_RATERS
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
        comments: what people wrote last, as `rater`, `question`, `arms`, `prompt_id`, `answer` and
            `comment`.
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
    comments: list[dict[str, Any]]


def look_at(study: Study) -> Look:
    """Return all that the owner's page shows, as it is now.

    Raises:
        StudyError: the database can't answer, or holds votes that can't be analysed.
    """
    return Observer(study).look()


class Observer:
    """Looks at a study again and again; what no new vote has changed is not computed anew.

    Args:
        study: which.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._votes: pd.DataFrame | None = None
        self._of: dict[RaterKind, _OfVotes] = {}

    def look(self) -> Look:
        """Return what there is to see now.

        Raises:
            StudyError: the database can't answer, or holds votes that can't be analysed.
        """
        study = self._study
        votes, progress, now = study.votes_so_far(), study.progress(), study.now()
        if votes is not self._votes:
            questions = [question.key for question in study.info.questions.values()]
            self._of = {kind: _of_votes(votes, kind, questions) for kind in RATER_KINDS}
            self._votes = votes
        people = self._of["person"]
        return Look(
            at=now,
            votes={kind: len(some.votes) for kind, some in self._of.items()},
            progress=progress,
            done={kind: some.done for kind, some in self._of.items()},
            left=time_to_finish(people.votes, progress.wanted, now),
            median_seconds=people.median_seconds,
            hours=people.hours,
            elo={
                (kind, question): table
                for kind, some in self._of.items()
                for question, table in some.elo.items()
            },
            conduct={kind: some.conduct for kind, some in self._of.items() if len(some.votes)},
            raters=_with_progress(people.raters.head(SHOWN_RATERS), study),
            people=len(people.raters),
            excluded=int((people.raters["excluded"] != "").sum()),
            reported=_reported(study),
            comments=_comments(study),
        )


@dataclass(frozen=True, slots=True)
class _OfVotes:
    """What votes of one kind of rater say alone; see `Look`."""

    votes: pd.DataFrame
    done: Counter[str]
    median_seconds: float
    hours: pd.DataFrame
    elo: dict[str, pd.DataFrame]
    conduct: pd.DataFrame
    raters: pd.DataFrame


def _of_votes(stored: pd.DataFrame, kind: RaterKind, questions: list[str]) -> _OfVotes:
    votes = read_votes(of_kind(stored, kind))  # once: labels are coded, which all below needs
    return _OfVotes(
        votes=votes,
        done=votes_by_question(votes),
        median_seconds=response_times(votes).p50,
        hours=votes_per_hour(votes, kind),
        elo={question: live_elo(votes, question, kind) for question in questions},
        conduct=study_conduct(votes),
        raters=rater_table(votes) if len(votes) else pd.DataFrame({"excluded": []}),
    )


def _with_progress(raters: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return the rows with how many pairs each rater was asked about, and has answered."""
    if raters.empty:
        return raters
    known = study.rater_progress()
    progress = [known.get(rater, RaterProgress()) for rater in raters["rater"]]
    return raters.assign(
        asked=[one.asked for one in progress],
        answered=[one.answered for one in progress],
        implausible=[one.implausible for one in progress],
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


def _comments(study: Study) -> list[dict[str, Any]]:
    if not study.info.design.votes.comments:
        return []
    with study.database.reading() as session:
        _, rows = OwnerRepository(session).comments(SHOWN_COMMENTS)
    return [
        {
            "rater": row.rater,
            "question": row.question,
            "arms": f"{row.arm_left}, {row.arm_right}",
            "prompt_id": row.prompt_id,
            "answer": row.answer,
            "comment": row.comment,
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
    observer = None
    while True:
        try:
            pipe.recv()
            begun = time.process_time()
            try:
                observer = observer or Observer(Study.open(make_url(url)))
                found: Look | StudyError = observer.look()
            except StudyError as error:
                found = DatabaseError(str(error))
            pipe.send((found, time.process_time() - begun))
        except (EOFError, OSError):
            return
