"""A table of votes out of whatever holds it: a file, recognised by its content, or a frame.

`FORMATS` is the catalogue of files. Which columns mean what is another question: `layouts`.
"""

# pyarrow has no type stubs.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any, cast

import pandas as pd
import pyarrow as pa

from analysis.errors import NoVotesError, VotesError

from .csv_file import opened, read_csv, refuse_doubled
from .layouts import layout_of, names_read

_START = 64  # bytes that tell a format
_BLOCK = 1 << 26  # bytes of JSON parsed at a time: longer than any line
_MARK = b"\xef\xbb\xbf"
_POTATO = "annotated_instances.jsonl"


@dataclass(frozen=True, slots=True)
class FileFormat:
    """One kind of file.

    Attributes:
        name: what people call it.
        begins: its first bytes, after white space.
        read: from the path to its columns; None if it is only recognised.
        advice: what to do with a file that is only recognised.
    """

    name: str
    begins: tuple[bytes, ...]
    read: Callable[[Path], pd.DataFrame] | None = None
    advice: str = ""


def read_file(path: Path) -> pd.DataFrame:
    """Return the columns of a file of votes: CSV, Parquet, JSON or JSON Lines, gzipped or not.

    What is no known other format is read as CSV (`read_csv`). Of nested columns, such as images
    and conversations, only those are read that a layout needs. A folder is one of Potato's, with
    one folder per annotator.

    Raises:
        VotesError: no such file, a damaged one, or one of a format that holds no votes.
    """
    if path.is_dir():
        return _folder(path)
    try:
        with opened(path) as file:
            start = file.read(_START).removeprefix(_MARK).lstrip()
        if not start and path.name.removesuffix(".gz").endswith(".jsonl"):
            return _no_votes()
        found = next((each for each in FORMATS if start.startswith(each.begins)), None)
        if found is None:
            return read_csv(path, names_read())
        if found.read is not None:
            return found.read(path)
    except FileNotFoundError as error:
        raise NoVotesError(
            f"{path}: no such file. Export a study's votes with `glide-eval study export`, "
            "or name another file."
        ) from error
    except (OSError, EOFError, ValueError, pa.ArrowException) as error:
        raise VotesError(
            f"{path}: expected a whole file of votes, found one that can't be read "
            f"({' '.join(str(error).split())}). Export the votes again."
        ) from error
    raise VotesError(
        f"{path}: found {found.name}, expected votes as CSV, Parquet, JSON or JSON Lines. "
        f"{found.advice}"
    )


def frame_of(table: Any) -> pd.DataFrame:
    """Return a table as a pandas frame: polars' and Arrow's too, whatever exports an Arrow stream.

    Raises:
        VotesError: it is no table.
    """
    if isinstance(table, pd.DataFrame):
        return table
    if not hasattr(table, "__arrow_c_stream__"):
        raise VotesError(
            f"votes: found {type(table).__name__}, expected a path or a table (pandas, polars, "
            "Arrow). Make a table of it, one row per vote."
        )
    return _framed(cast("pa.Table", pa.table(table)))


def _folder(path: Path) -> pd.DataFrame:
    """Return the answers of every annotator in a folder of Potato's."""
    parts = [
        read_file(file).assign(user=file.parent.name) for file in sorted(path.glob(f"**/{_POTATO}"))
    ]
    if not parts:
        raise VotesError(
            f"{path}: found a folder without {_POTATO}, expected a file of votes or the folder "
            "annotation_output of Potato. Name a file."
        )
    return pd.concat(parts, ignore_index=True)


def _parquet(path: Path) -> pd.DataFrame:
    import pyarrow.parquet as pq

    with opened(path) as file, pq.ParquetFile(file) as whole:
        schema = whole.schema_arrow
        refuse_doubled(str(path), list(schema.names))
        return _framed(whole.read(_kept(schema)))


def _kept(schema: Any) -> list[str]:
    """Return the columns to read: those of plain values, and nested ones that a layout needs."""
    layout = layout_of(schema.names)
    nested = layout.nested if layout else ()
    return [
        field.name
        for field in schema
        if any(fnmatchcase(field.name, each) for each in nested)
        or not (pa.types.is_nested(field.type) or _is_bytes(field.type))
    ]


def _is_bytes(kind: Any) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _framed(table: Any) -> pd.DataFrame:
    # Whole numbers stay whole where some are missing: an id 7 is not 7.0.
    return table.select(_kept(table.schema)).to_pandas(integer_object_nulls=True)


def _json(path: Path) -> pd.DataFrame:
    """Return a JSON list of records, or JSON Lines."""
    with opened(path) as file:
        first = file.readline().removeprefix(_MARK)
        try:
            lines = isinstance(json.loads(first), dict)
        except ValueError:
            lines = False
    if lines:
        return _json_lines(path)
    with opened(path) as file:
        return _records(str(path), json.load(file))


def _json_lines(path: Path) -> pd.DataFrame:
    import pyarrow.json as pj

    try:
        with opened(path) as file:
            options = pj.ReadOptions(block_size=_BLOCK)
            return _framed(pj.read_json(_without_mark(file), read_options=options))
    except pa.ArrowException:
        # A column of numbers and texts, for example: slower, and more lenient.
        with opened(path) as file:
            found = [json.loads(line) for line in _without_mark(file) if line.strip()]
        return _records(str(path), found)


def _without_mark(file: IO[bytes]) -> IO[bytes]:
    if file.read(len(_MARK)) != _MARK:
        file.seek(0)
    return file


def _records(where: str, found: Any) -> pd.DataFrame:
    if isinstance(found, dict):  # one list in an object, under whatever name
        lists = [value for value in found.values() if isinstance(value, list)]
        found = lists[0] if len(lists) == 1 else found
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise VotesError(
            f"{where}: expected a JSON list with one object per vote or task, found something "
            "else. Export the votes again, as JSON or CSV."
        )
    return pd.DataFrame(found, dtype=object) if found else _no_votes()


def _no_votes() -> pd.DataFrame:
    """A study without votes: its export as JSON Lines has no line that could name a column."""
    return pd.DataFrame(columns=["question", "arm_left", "arm_right", "answer", "rater"], dtype=str)


FORMATS = (
    FileFormat("Parquet", (b"PAR1",), _parquet),
    FileFormat("JSON", (b"[", b"{"), _json),
    FileFormat("a workbook or a ZIP archive", (b"PK\3\4",), advice="Save the sheet as CSV."),
    FileFormat(
        "an SQLite database", (b"SQLite format 3\0",),
        advice="Export a study's votes with `glide-eval study export`.",
    ),
)  # fmt: skip
"""Every kind of file that is told by its first bytes; others are CSV."""
