"""Raters whom the study's rules leave out give their pairs back.

The rules look at a rater's own conduct (see `rules.exclusions`). A rater is looked at when they are
done; whoever left early is looked at when somebody new finds no pair left.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from study_app.rules import ExcludeTable, exclusions
from study_app.store import Database, OwnerRepository, Repository, StudyInfo, vote_table

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy.orm import Session


class Screening:
    """Finds the raters of one study who are to be left out.

    Args:
        database: of the study.
        info: of the study.
        votes: returns every vote so far.
    """

    def __init__(
        self, database: Database, info: StudyInfo, votes: Callable[[], pd.DataFrame]
    ) -> None:
        self._database = database
        self._info = info
        self._votes = votes
        self._rules = info.exclude != ExcludeTable(min_answers=info.exclude.min_answers)
        self._seen = -1  # votes there were when everybody was looked at
        self._looking = threading.Lock()

    def one(self, rater: int) -> None:
        """Look at a rater who is done."""
        if self._rules:
            self._exclude(vote_table(self._database, self._info, rater))

    def all(self) -> bool:
        """Look at everybody, unless nobody voted since; return whether pairs were given back."""
        if not self._rules:
            return False
        with self._looking:
            with self._database.reading() as session:
                count = OwnerRepository(session).vote_count()
            if count == self._seen:
                return False
            self._seen = count
            return self._exclude(self._votes())

    def _exclude(self, votes: pd.DataFrame) -> bool:
        reasons = exclusions(votes, self._info.exclude)
        if not reasons:
            return False

        def work(session: Session) -> bool:
            repository = Repository(session)
            repository.lock()
            people = repository.not_excluded()
            found = reasons.keys() & people.keys()
            for public_id in found:
                repository.exclude(people[public_id], reasons[public_id])
            return bool(found)

        with self._database.explaining():
            return self._database.writer.run(work)
