"""Tables whose columns are declared once, as the fields of a record that writes and reads.

    @dataclass(frozen=True, slots=True)
    class Height:
        name: str = column("of the plant")
        metres: float = column("NaN where nobody measured")

A record's fields are the columns, in order. NaN is an empty field in CSV.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from glide_eval.errors import RunError

from .reading import read_whole

Row = TypeVar("Row")
_PARSE: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": lambda text: float(text or "nan"),
}


def column(what: str, **options: Any) -> Any:
    """Declare a column: `dataclasses.field` with a one-line description."""
    return dataclasses.field(metadata={"what": what}, **options)


def columns(kind: type[Any]) -> list[str]:
    """Return the names of a table's columns, in order."""
    return [field.name for field in dataclasses.fields(kind)]


def described(kind: type[Any]) -> list[tuple[str, str, str]]:
    """Return each column's name, type and description, in order."""
    return [(f.name, str(f.type), f.metadata["what"]) for f in dataclasses.fields(kind)]


_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "None": (type(None),),
    "tuple[float, ...]": (tuple,),
}


def checked(record: Row) -> Row:
    """Return a record whose values came from a file, if all have the types it declares.

    Raises:
        TypeError: names the first value that has not.
    """
    for name, kinds, told in _kinds(type(record)):
        value = getattr(record, name)
        if type(value) not in kinds:
            raise TypeError(f"`{name}` is {value!r}, expected {told}")
    return record


@functools.cache  # a manifest has a line for each of up to millions of images
def _kinds(record: type) -> list[tuple[str, frozenset[type], str]]:
    """Return the name, the types and their description of each field."""
    fields = dataclasses.fields(record)
    told = [(field.name, str(field.type)) for field in fields]
    return [
        (name, frozenset(kind for one in types.split(" | ") for kind in _TYPES[one]), types)
        for name, types in told
    ]


def to_csv(kind: type[Any], rows: Iterable[Any]) -> str:
    """Return rows as CSV with a header; NaN is an empty field, and no text is a formula."""
    from analysis.ballots import escaped  # pandas takes a second

    names = columns(kind)
    lines = [_line(names)]
    for row in rows:
        values = [getattr(row, name) for name in names]
        values = [escaped(value) if isinstance(value, str) else value for value in values]
        lines.append(_line("" if isinstance(v, float) and math.isnan(v) else v for v in values))
    return "".join(lines)


def _line(values: Iterable[Any]) -> str:
    line = io.StringIO()
    # A field is quoted if it holds a character of the line's end, so both of them must be in it:
    # a bare carriage return would end the record for whoever reads the file.
    csv.writer(line, lineterminator="\r\n").writerow(values)
    return line.getvalue().removesuffix("\r\n") + "\n"


def read_csv(path: Path, kind: type[Row]) -> list[Row] | None:
    """Return the rows of a table that `to_csv` wrote, perhaps saved by a spreadsheet since.

    A byte-order mark and another order of the columns are fine, and so are semicolons or tabs
    between fields.

    Returns:
        The rows; none where there is no such file; None if the file has other columns, so that it
        is of another origin or version.

    Raises:
        RunError: the file can't be read, or a row is damaged.
    """
    try:
        text = read_whole(path).decode("utf-8-sig")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, f"expected text in UTF-8, found something else ({error})") from error
    fields = {field.name: str(field.type) for field in dataclasses.fields(kind)}  # pyright: ignore[reportArgumentType]
    separator = _separator(text, set(fields))
    if separator is None:
        return None
    lines = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        return [kind(**_parsed(line, fields)) for line in lines]
    except (ValueError, TypeError, csv.Error) as error:
        # The reader's own count: the other one stands still at a line that can't be parsed.
        line = lines.reader.line_num
        where = f"line {line} is no row of the columns {', '.join(fields)} ({error})"
        raise _damaged(path, where) from error


def _separator(text: str, names: set[str]) -> str | None:
    """What parts the header into these names."""
    header = text.partition("\n")[0].rstrip("\r")
    if "\r" in header:  # which the reader of a record takes for its end
        return None
    for mark in ",;\t":
        if {name for line in csv.reader([header], delimiter=mark) for name in line} == names:
            return mark
    return None


def _damaged(path: Path, found: str) -> RunError:
    return RunError(
        f"{path}: {found}. Nothing was changed in it. Mend it, or move it elsewhere and measure "
        "again."
    )


def _parsed(line: Mapping[str, str], fields: Mapping[str, str]) -> dict[str, Any]:
    from analysis.ballots import restored

    if None in line or None in line.values():
        raise ValueError("another number of fields")
    values = {name: _PARSE[kind](line[name]) for name, kind in fields.items()}
    return {n: restored(value) if isinstance(value, str) else value for n, value in values.items()}
