"""A CSV of votes in whatever encoding a spreadsheet wrote it, and in little memory."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import union_categoricals

from analysis.errors import NoVotesError, VotesError

from .cells import restored_column
from .columns import COLUMNS

_CHUNK = 50_000  # votes read at a time
_FEW_VALUES = tuple(c.name for c in COLUMNS if c.kind in ("label", "text", "whole", "truth"))
_IDS = tuple(c.name for c in COLUMNS if c.kind == "id")
_OWN = frozenset(c.name for c in COLUMNS if c.kind not in ("time", "detail"))
_LARGE = 1 << 30  # bytes of a file of which only what is needed is kept, ids as hashes
_GZIP = b"\x1f\x8b"
_PACKED = 8  # bytes of text in one byte of gzip, about
_TOLD = re.compile(r'"?sep=.?"?', re.IGNORECASE)
_BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def read_csv(path: Path, needed: frozenset[str] | None = None) -> pd.DataFrame:
    """Return a CSV's columns as text, and seconds as numbers if all are; empty fields are missing.

    The file may be gzipped, and in UTF-8 with or without a byte order mark, in UTF-16 with one
    (Excel's "Unicode text"), or, where the bytes are not UTF-8, in Windows-1252 (Excel's "CSV" in
    Europe and America).
    Fields are separated by commas, semicolons or tabs, as the header line shows. Columns of few
    different values are categorical. Of a file above 1 GiB (some 7 million exported votes) only the
    columns that scores and conduct need are kept, ids of assignments as `id_hashes`.

    Args:
        path: of the file.
        needed: columns to keep of a large file; None keeps those of votes.csv.

    Raises:
        VotesError: no such file, or no CSV.
    """
    try:
        encoding = _encoding(path)
        with io.TextIOWrapper(opened(path), encoding, newline="") as file:
            header, told = file.readline(), 0
            if _TOLD.fullmatch(header.strip()):  # Excel's own line on how fields are parted
                header, told = file.readline(), 1
            separator = _separator(path, header)
        return _in_chunks(path, encoding, separator, told, needed or _OWN)
    except FileNotFoundError as error:
        raise NoVotesError(
            f"{path}: no such file. Export a study's votes with `glide-eval study export`, "
            "or name another CSV."
        ) from error
    except pd.errors.EmptyDataError as error:
        raise VotesError(
            f"{path}: found an empty file, expected a CSV of votes with a header line. Export the "
            "votes again."
        ) from error
    except (UnicodeError, pd.errors.ParserError, OSError, EOFError) as error:
        raise VotesError(
            f"{path}: expected a UTF-8 CSV of votes with a header line, found something else "
            f"({str(error).strip()}). Save it as CSV in UTF-8 and try again."
        ) from error


def opened(path: Path) -> IO[bytes]:
    """Open a file to read its bytes; those inside, if it is gzipped."""
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
    return cast("IO[bytes]", gzip.open(path)) if packed else path.open("rb")


def refuse_doubled(where: str, names: list[str]) -> None:
    """Raise `VotesError` where two columns have one name; nameless ones are nobody's."""
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise VotesError(
            f"{where}: found column{'s' * (len(twice) > 1)} {', '.join(twice)} more than once, "
            "expected each once. Rename or remove one of them."
        )


def id_hashes(column: pd.Series) -> NDArray[np.uint64]:
    """Return (N,) 64-bit hashes of text.

    Among 10 million different texts two share a hash once in 400,000 such columns.
    """
    parts = [np.empty(0, np.uint64)]
    for start in range(0, len(column), _CHUNK):
        texts = column.iloc[start : start + _CHUNK].to_numpy(object)
        parts.append(pd.util.hash_array(texts, categorize=False))
    return np.concatenate(parts)


def _encoding(path: Path) -> str:
    with opened(path) as file:
        start = file.read(4)
        for mark, encoding in _BYTE_ORDER_MARKS:
            if start.startswith(mark):
                return encoding
    # The whole file is decoded: one stray byte in the last line would stop pandas there.
    decoder, is_utf8 = codecs.getincrementaldecoder("utf-8")(), True
    with opened(path) as file:
        while block := file.read(1 << 20):
            if b"\0" in block:
                raise UnicodeError("a zero byte: a binary file, or UTF-16 without its mark")
            try:
                decoder.decode(block) if is_utf8 else None
            except UnicodeDecodeError:
                is_utf8 = False
    return "utf-8" if is_utf8 else "cp1252"


def _separator(path: Path, header: str) -> str:
    """Return the mark that parts the header line into most fields; no two may share a name."""
    parted: dict[str, list[str]] = {
        mark: next(csv.reader([header], delimiter=mark), list[str]()) for mark in ",;\t"
    }
    mark = max(parted, key=lambda mark: len(parted[mark]))
    refuse_doubled(str(path), parted[mark])
    return mark


def _in_chunks(
    path: Path, encoding: str, separator: str, skipped: int, needed: frozenset[str]
) -> pd.DataFrame:
    # Any: the stubs of read_csv match no call with options by name in a dictionary.
    options: dict[str, Any] = {
        "sep": separator, "encoding": encoding, "keep_default_na": False, "na_values": [""],
        "skiprows": skipped,
    }  # fmt: skip
    with opened(path) as file:
        packed = isinstance(file, gzip.GzipFile)
        empty = pd.DataFrame(pd.read_csv(file, nrows=0, **options))  # pyright: ignore[reportUnknownArgumentType]
    names = [str(name) for name in empty.columns]
    large = path.stat().st_size * (_PACKED if packed else 1) > _LARGE
    if large:
        names = [name for name in names if name in needed]
    parts: dict[str, list[pd.Series]] = {name: [] for name in names}
    with opened(path) as file, pd.read_csv(file, dtype=str, chunksize=_CHUNK, **options) as chunks:
        for chunk in chunks:
            if not isinstance(chunk.index, pd.RangeIndex):  # pandas takes the first for an index
                raise pd.errors.ParserError("rows of more fields than the header has")
            if separator == ";" and "seconds" in names:  # where Excel writes 3,5 for 3.5
                chunk["seconds"] = chunk["seconds"].str.replace(",", ".")
            for name in names:
                parts[name].append(_compact(chunk[name], name, large))
    whole: dict[str, Any] = {}
    # Each column's parts are freed before the next column, so only one is in memory twice.
    for name in names:
        found = parts.pop(name)
        if name in _FEW_VALUES:
            whole[name] = union_categoricals([part.array for part in found]) if found else []
        else:
            whole[name] = pd.concat(found, ignore_index=True) if found else []
        del found
    return pd.DataFrame(whole, copy=False)


def _compact(column: pd.Series, name: str, large: bool) -> pd.Series:
    """Return a chunk's column, its texts restored, in as little memory as its use allows."""
    if name != "seconds":
        column = restored_column(column)
    if name in _FEW_VALUES:
        return column.astype("category")
    if name == "seconds":
        numbers = pd.to_numeric(column, errors="coerce")
        return numbers if (numbers.notna() | column.isna()).all() else column
    if large and name in _IDS:
        missing = column.isna()
        return pd.Series(id_hashes(column.fillna("")), dtype="UInt64").mask(missing.to_numpy())
    return column
