"""Votes as a table: the columns of votes.csv, and the files they are written to."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from glide_eval.run_store import replacing

from .exclusion import exclusions
from .owner_repository import OwnerRepository
from .services import Study

Format = Literal["csv", "parquet", "jsonl"]
FORMATS: tuple[Format, ...] = get_args(Format)

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
    """Every vote so far, in the order stored; columns `COLUMNS`, `created_at` in UTC.

    Nothing is left out: `gold` (the right side, or empty), `repeat_of` (the assignment asked
    again), `excluded` (a rule's reason) and `revised` (the answer was taken back) say what each is.
    """
    with study.database.reading() as session:
        rows = OwnerRepository(session).votes()
    frame = pd.DataFrame.from_records(
        [tuple(row) for row in rows],
        columns=[name for name in COLUMNS if name not in ("study", "excluded")],
    )
    frame.insert(0, "study", study.info.name)
    frame["seconds"] = frame["seconds"].astype("float64").round(3)
    frame["revised"] = frame["revised"].astype(bool)
    reasons = exclusions(frame, study.info.exclude)
    excluded = [reasons.get(rater, "") for rater in frame["rater"]]
    frame.insert(len(COLUMNS) - 2, "excluded", excluded)
    frame["created_at"] = pd.to_datetime(frame["created_at"], utc=True)
    return frame


def to_csv(votes: pd.DataFrame) -> bytes:
    """votes.csv as UTF-8; times in ISO 8601 with their zone, truth as true and false."""
    revised = ["true" if one else "false" for one in votes["revised"]]
    return _stamped(votes).assign(revised=revised).to_csv(index=False, lineterminator="\n").encode()


def to_jsonl(votes: pd.DataFrame) -> bytes:
    """One JSON object a line, UTF-8; an unknown time is null."""
    stamped = _stamped(votes)
    if stamped.empty:
        return b""
    text = stamped.to_json(orient="records", lines=True, force_ascii=False, double_precision=3)
    return str(text).encode()


def to_parquet(votes: pd.DataFrame) -> bytes:
    """Apache Parquet; `created_at` a timestamp in UTC."""
    return votes.to_parquet(index=False)


def write_votes(study: Study, path: Path, format: Format = "csv") -> int:
    """Write the votes whole or not at all; the number of votes in the file.

    Raises:
        StorageError: the disk is full or read-only; an older file is as it was.
    """
    votes = votes_frame(study)
    content = {"csv": to_csv, "parquet": to_parquet, "jsonl": to_jsonl}[format](votes)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return len(votes)


def _stamped(votes: pd.DataFrame) -> pd.DataFrame:
    times = [time.isoformat(timespec="milliseconds") for time in votes["created_at"]]
    return votes.assign(created_at=times)
