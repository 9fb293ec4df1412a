"""Votes as a table: the columns of votes.csv."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from glide_eval.run_store import replacing

from .owner_repository import OwnerRepository
from .services import Study

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


def votes_frame(study: Study) -> pd.DataFrame:
    """Every vote so far, in the order stored; columns `COLUMNS`, `created_at` in UTC."""
    with study.database.reading() as session:
        rows = OwnerRepository(session).votes()
    frame = pd.DataFrame.from_records(
        [tuple(row) for row in rows],
        columns=[name for name in COLUMNS if name not in ("study", "excluded")],
    )
    frame.insert(0, "study", study.info.name)
    frame["seconds"] = frame["seconds"].astype("float64").round(3)
    frame["repeat_of"] = frame["repeat_of"].fillna("")
    frame.insert(len(COLUMNS) - 2, "excluded", "")
    frame["created_at"] = pd.to_datetime(frame["created_at"], utc=True)
    return frame


def to_csv(votes: pd.DataFrame) -> bytes:
    """votes.csv as UTF-8; times in ISO 8601 with their zone."""
    stamped = votes.assign(
        created_at=[time.isoformat(timespec="milliseconds") for time in votes["created_at"]]
    )
    return stamped.to_csv(index=False, lineterminator="\n").encode()


def write_votes(study: Study, path: Path) -> int:
    """Write votes.csv whole or not at all; the number of votes in it.

    Raises:
        StorageError: the disk is full or read-only; an older file is as it was.
    """
    votes = votes_frame(study)
    with replacing(path) as temporary:
        temporary.write_bytes(to_csv(votes))
    return len(votes)
