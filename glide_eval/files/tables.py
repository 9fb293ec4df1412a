"""Reading the small tables users hand us: `.csv` with a header, or `.jsonl`, one object a line."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, cast

from glide_eval.errors import ConfigError

from .reading import parse_json, read_whole


def read_lines(path: Path) -> list[str]:
    """A UTF-8 text file's lines, a byte-order mark tolerated.

    Raises:
        ConfigError: the file is missing or not text.
    """
    try:
        return read_whole(path).decode("utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path}: no such file. Relative paths start at the folder of the file that names them."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: expected text in UTF-8, found something else ({error})."
        ) from error


def read_table(path: Path, needs: str) -> list[dict[str, str]]:
    """Rows of a `.csv` or `.jsonl` file, every value as text.

    Args:
        path: the file; its ending says which of the two it is.
        needs: a column every row must fill.

    Raises:
        ConfigError: the file is missing, of another kind, damaged, or lacks the column.
    """
    lines = read_lines(path)
    if path.suffix == ".csv":
        rows = _read_csv(path, lines)
    elif path.suffix == ".jsonl":
        rows = [
            _read_json(f"{path}:{number}", line)
            for number, line in enumerate(lines, 1)
            if line.strip()
        ]
    else:
        raise ConfigError(
            f"{path}: expected a file ending in .csv or .jsonl, found {path.suffix or 'no ending'}."
        )
    for number, row in enumerate(rows, 1):
        if not row.get(needs, "").strip():
            found = ", ".join(f"`{key}`" for key in row) or "nothing"
            raise ConfigError(
                f"{path}: row {number} has no `{needs}` (found {found}). Every row needs one."
            )
    return rows


def _read_csv(path: Path, lines: list[str]) -> list[dict[str, str]]:
    try:
        rows = list(csv.DictReader((line + "\n" for line in lines), strict=True))
    except csv.Error as error:
        raise ConfigError(f"{path}: expected CSV with a header line, found {error}.") from error
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise ConfigError(
                f"{path}: row {number - 1} has another number of fields than the header. "
                "Put captions with commas in double quotes."
            )
    return rows


def _read_json(where: str, line: str) -> dict[str, str]:
    try:
        found: Any = parse_json(line)
    except ValueError as error:
        raise ConfigError(f"{where}: expected one JSON object, found {line[:60]!r}.") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{where}: expected one JSON object, found {line[:60]!r}.")
    row = cast("dict[str, Any]", found)
    return {key: str(value) for key, value in row.items() if value is not None}
