"""Votes as a table: the columns of votes.csv (`analysis.ballots.COLUMNS`)."""

from __future__ import annotations

import pandas as pd

from analysis.ballots import typed
from study_app.rules import exclusions

from .database import Database
from .info import StudyInfo
from .owner_repository import OwnerRepository


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
    votes = pd.DataFrame.from_records([tuple(row) for row in rows], columns=names)
    votes = typed(votes.assign(study=info.name, excluded=""))
    reasons = exclusions(votes, info.exclude)
    return votes.assign(excluded=[reasons.get(rater, "") for rater in votes["rater"]])
