"""Text in CSV cells that a spreadsheet would take for a formula: escaped on export, restored here.

A spreadsheet computes a cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return, and a
name in such a cell can call programs. A leading apostrophe makes the cell text. A text that begins
with apostrophes before such a character gets one more, so that every text comes back as it was.
"""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_ESCAPED = re.compile(r"'+[=+\-@\t\r]")


def escaped(text: str) -> str:
    """Return a text as a cell that no spreadsheet computes."""
    return f"'{text}" if _FORMULA.match(text) else text


def restored(text: str) -> str:
    """Return the text that `escaped` made a cell of; other texts are unchanged."""
    return text[1:] if _ESCAPED.match(text) else text


def csv_of(table: pd.DataFrame) -> str:
    """Return a table as CSV with a header, its texts escaped."""
    told = table.assign(**{
        str(name): table[name].map(_cell) for name in table.columns if _may_hold_text(table[name])
    })  # fmt: skip
    return told.to_csv(index=False, lineterminator="\n")


def restored_column(column: pd.Series) -> pd.Series:
    """Return a column of texts as they were before `csv_of`; the same object if none differ."""
    if not column.str.startswith("'").fillna(False).any():
        return column
    return column.map(lambda value: restored(value) if isinstance(value, str) else value)


def _may_hold_text(column: pd.Series) -> bool:
    return not pd.api.types.is_numeric_dtype(column)


def _cell(value: Any) -> Any:
    return escaped(value) if isinstance(value, str) else value
