"""Votes as a table: the columns of votes.csv."""

from __future__ import annotations

import pandas as pd

from study_app.rules import exclusions

from .database import Database
from .info import StudyInfo
from .owner_repository import OwnerRepository

COLUMNS = (
    "study",
    "question",
    "prompt_id",
    "replica",
    "arm_left",
    "arm_right",
    "answer",
    "rater",
    "rater_kind",
    "seconds",
    "created_at",
    "assignment",
    "gold",
    "repeat_of",
    "excluded",
    "revised",
)


def vote_table(database: Database, info: StudyInfo) -> pd.DataFrame:
    """Every vote so far, in the order stored; columns `COLUMNS`, `created_at` in UTC.

    Nothing is left out: `gold` (the right side, or empty), `repeat_of` (the assignment asked
    again), `excluded` (a rule's reason) and `revised` (the answer was taken back) say what each is.
    """
    with database.reading() as session:
        rows = OwnerRepository(session).votes()
    frame = pd.DataFrame.from_records(
        [tuple(row) for row in rows],
        columns=[name for name in COLUMNS if name not in ("study", "excluded")],
    )
    frame.insert(0, "study", info.name)
    frame["seconds"] = frame["seconds"].astype("float64").round(3)
    frame["revised"] = frame["revised"].astype(bool)
    reasons = exclusions(frame, info.exclude)
    excluded = [reasons.get(rater, "") for rater in frame["rater"]]
    frame.insert(len(COLUMNS) - 2, "excluded", excluded)
    frame["created_at"] = pd.to_datetime(frame["created_at"], utc=True)
    return frame
