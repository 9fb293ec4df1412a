"""Votes as a table: the columns of votes.csv (`analysis.ballots.COLUMNS`)."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pandas as pd
from sqlalchemy.orm import Session

from analysis.ballots import typed
from study_app.rules import exclusions

from .database import Database
from .info import StudyInfo
from .owner_repository import Extent, OwnerRepository
from .repository import AnyRow


def vote_table(database: Database, info: StudyInfo, rater: int | None = None) -> pd.DataFrame:
    """Return every vote so far in the order stored, with the columns that a study exports.

    Nothing is left out: `gold`, `repeat_of`, `excluded` and `revised` say what each vote is.

    Args:
        database: of the study.
        info: of the study.
        rater: row id of the one rater whose votes are wanted; None for all raters.
    """
    with database.reading() as session:
        names, rows = OwnerRepository(session).votes(rater)
    return _flagged(_typed(names, rows, info), info)


class GrowingVotes:
    """The votes of a study that somebody reads again and again: only what is new is fetched.

    Votes are only added, and an answer may be taken back later. Where anything else has happened
    (a rater's data were deleted; a second server stored a vote under an earlier row id) all is
    fetched anew.

    Args:
        database: of the study.
        info: of the study.
    """

    def __init__(self, database: Database, info: StudyInfo) -> None:
        self._database, self._info = database, info
        self._read = Extent()
        self._votes: pd.DataFrame | None = None
        self._fetching = threading.Lock()

    def table(self) -> pd.DataFrame:
        """Return what `vote_table` would; the very frame of the last time if nothing is new."""
        with self._fetching:
            with self._database.reading() as session:
                votes = self._fetch(session)
            if votes is not self._votes:
                self._votes = votes = _flagged(votes, self._info)
            return votes

    def _fetch(self, session: Session) -> pd.DataFrame:
        """Return all votes, not flagged anew; the same frame as before if nothing is new."""
        repository = OwnerRepository(session)
        there = repository.extent(self._read.vote, self._read.undo)
        if there != self._read:
            self._votes, self._read = None, Extent(deletions=there.deletions)
        undone = repository.undone(self._read.undo)
        names, rows = repository.votes(after=self._read.vote)
        if self._votes is not None and not rows and not undone:
            return self._votes
        self._read = self._read._replace(
            vote=rows[-1].id if rows else self._read.vote,
            votes=self._read.votes + len(rows),
            undo=undone[-1].id if undone else self._read.undo,
            undone=self._read.undone + len(undone),
        )
        votes = self._votes
        if votes is None or rows:
            new = _typed(names, rows, self._info)
            votes = new if votes is None else pd.concat([votes, new], ignore_index=True)
        return _taken_back(votes, {row.assignment for row in undone})


def _typed(names: list[str], rows: Sequence[AnyRow], info: StudyInfo) -> pd.DataFrame:
    votes = pd.DataFrame.from_records([tuple(row) for row in rows], columns=names)
    return typed(votes.assign(study=info.name, excluded=""))


def _taken_back(votes: pd.DataFrame, assignments: set[str]) -> pd.DataFrame:
    """Return the votes with the first on each of these assignments marked as revised."""
    if not assignments:
        return votes
    theirs = votes["assignment"].isin(assignments)
    first = theirs[theirs].index[~votes.loc[theirs, "assignment"].duplicated()]
    revised = votes["revised"].to_numpy(bool, copy=True)
    revised[first] = True
    return votes.assign(revised=revised)


def _flagged(votes: pd.DataFrame, info: StudyInfo) -> pd.DataFrame:
    """Return the votes with the reason for which the study's rules leave their rater out."""
    reasons = exclusions(votes, info.exclude)
    if not reasons:
        return votes.assign(excluded="")
    return votes.assign(excluded=votes["rater"].map(reasons).fillna(""))
