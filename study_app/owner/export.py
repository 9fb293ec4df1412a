"""The files that votes are written to."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from analysis.ballots import csv_of, csv_text, times_as_text
from glide_eval.files import replacing
from study_app.rating import Study
from study_app.store import OwnerRepository, vote_table

Format = Literal["csv", "parquet", "jsonl"]
FORMATS: tuple[Format, ...] = get_args(Format)


def votes_frame(study: Study) -> pd.DataFrame:
    """Return every vote of a study so far (see `vote_table`)."""
    return vote_table(study.database, study.info)


def to_csv(votes: pd.DataFrame) -> bytes:
    """Return votes.csv in UTF-8: times in ISO 8601 with their zone, truth as true and false."""
    return csv_text(votes).encode()


def to_jsonl(votes: pd.DataFrame) -> bytes:
    """Return one JSON object per vote and line, in UTF-8; unknown seconds are null."""
    if votes.empty:
        return b""
    text = times_as_text(votes).to_json(
        orient="records", lines=True, force_ascii=False, double_precision=3
    )
    return str(text).encode()


def to_parquet(votes: pd.DataFrame) -> bytes:
    """Return the votes as Apache Parquet; `created_at` is a timestamp in UTC."""
    return votes.to_parquet(index=False)


def write_comments(study: Study, path: Path) -> int:
    """Write what raters wrote about pairs as a CSV, the last first; return how many there are.

    Raises:
        StorageError: the disk is full or read-only; an older file is as it was.
    """
    with study.database.reading() as session:
        names, rows = OwnerRepository(session).comments()
    table = pd.DataFrame.from_records([tuple(row) for row in rows], columns=names)
    with replacing(path, private=True) as temporary:
        temporary.write_bytes(csv_of(times_as_text(table)).encode())
    return len(table)


def write_votes(study: Study, path: Path, format: Format = "csv") -> int:
    """Write the votes whole or not at all, and return how many there are.

    Raises:
        StorageError: the disk is full or read-only; an older file is as it was.
    """
    votes = votes_frame(study)
    content = {"csv": to_csv, "parquet": to_parquet, "jsonl": to_jsonl}[format](votes)
    with replacing(path, private=True) as temporary:
        temporary.write_bytes(content)
    return len(votes)
