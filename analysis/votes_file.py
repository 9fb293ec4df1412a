"""A CSV of votes in whatever encoding a spreadsheet wrote it, and in little memory."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
from pandas.api.types import union_categoricals

from .errors import VotesError

_CHUNK = 500_000  # votes read at a time
_FEW_VALUES = (
    "study", "question", "prompt_id", "replica", "arm_left", "arm_right", "answer", "rater",
    "rater_kind", "gold", "practice", "revised", "excluded",
)  # fmt: skip
_NEEDED = (*_FEW_VALUES, "seconds", "assignment", "repeat_of")
_LARGE = 1 << 30  # bytes of a file whose other columns are left out
_BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def read_csv(path: Path) -> pd.DataFrame:
    """All columns as text, empty fields missing.

    UTF-8 with or without a byte order mark, UTF-16 with one (Excel's "Unicode text"), or, where
    the bytes are not UTF-8, Windows-1252 (Excel's "CSV" in Europe and America). Fields are
    separated by commas, semicolons or tabs, as the header line shows. Columns of few different
    values are categorical. Of a file above 1 GiB (some 7 million exported votes) only the columns
    that scores and conduct are made of are kept.

    Raises:
        VotesError: no such file, or no CSV.
    """
    try:
        encoding = _encoding(path)
        with path.open(encoding=encoding, newline="") as file:
            separator = _separator(file.readline())
        return _in_chunks(path, encoding, separator)
    except FileNotFoundError as error:
        raise VotesError(
            f"{path}: no such file. Export a study's votes with `glide-eval study export`, "
            "or name another CSV."
        ) from error
    except (UnicodeError, pd.errors.ParserError, pd.errors.EmptyDataError, OSError) as error:
        raise VotesError(
            f"{path}: expected a UTF-8 CSV of votes with a header line, found something else "
            f"({error}). Save it as CSV in UTF-8 and try again."
        ) from error


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
        for mark, encoding in _BYTE_ORDER_MARKS:
            if start.startswith(mark):
                return encoding
    try:
        with path.open(encoding="utf-8") as file:
            while file.read(1 << 24):
                pass
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _separator(header: str) -> str:
    fields = {mark: len(next(csv.reader([header], delimiter=mark), [])) for mark in ",;\t"}
    return max(fields, key=lambda mark: fields[mark])


def _in_chunks(path: Path, encoding: str, separator: str) -> pd.DataFrame:
    options = {
        "sep": separator, "encoding": encoding, "keep_default_na": False, "na_values": [""],
    }  # fmt: skip
    names = [str(name) for name in pd.read_csv(path, nrows=0, **options).columns]
    if path.stat().st_size > _LARGE:
        names = [name for name in names if name in _NEEDED]
    parts: dict[str, list[pd.Series]] = {name: [] for name in names}
    with pd.read_csv(path, dtype=str, usecols=names, chunksize=_CHUNK, **options) as chunks:
        for chunk in chunks:
            for name in names:
                few = name in _FEW_VALUES
                parts[name].append(chunk[name].astype("category") if few else chunk[name])
    whole = {}
    for name in names:
        found = parts.pop(name)
        if name in _FEW_VALUES:
            whole[name] = union_categoricals([part.array for part in found]) if found else []
        else:
            whole[name] = pd.concat(found, ignore_index=True) if found else []
        del found
    return pd.DataFrame(whole, copy=False)
