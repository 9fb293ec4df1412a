"""The files that votes are written to."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from glide_eval.files import replacing
from study_app.rating import Study
from study_app.store import vote_table

Format = Literal["csv", "parquet", "jsonl"]
FORMATS: tuple[Format, ...] = get_args(Format)


def votes_frame(study: Study) -> pd.DataFrame:
    """Every vote of a study so far (see `vote_table`)."""
    return vote_table(study.database, study.info)


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
