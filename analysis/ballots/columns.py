"""The columns of votes.csv, each declared once: writer, reader and documentation derive from them.

To add a column, add a record here and select it in `study_app/store/owner_repository.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pandas as pd

from .answers import ANSWERS
from .cells import csv_of

RaterKind = Literal["person", "simulated"]
RATER_KINDS: tuple[RaterKind, ...] = get_args(RaterKind)

Kind = Literal["label", "text", "id", "whole", "number", "time", "truth", "detail"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table of votes.

    Attributes:
        name: as in the header.
        kind: `label` (one of few names, which votes are counted by), `text` (one of few),
            `id` (text that differs from vote to vote), `whole` number, `number`, `time`, `truth` or
            `detail` (shown beside a vote, never counted).
        meaning: what it says, in one line.
        needed: votes without this column can't be read.
        aside: its turn among the columns that keep a vote out of scores; 0 for other columns.
        exported: a study writes it; other columns are only read.
    """

    name: str
    kind: Kind
    meaning: str
    needed: bool = False
    aside: int = 0
    exported: bool = True


COLUMNS = (
    Column("study", "text", "name of the study"),
    Column("question", "label", "key of the question", needed=True),
    Column("prompt_id", "label", "id of the prompt that both samples share"),
    Column("replica", "whole", "replica that both samples share"),
    Column("arm_left", "label", "arm of the image on the left", needed=True),
    Column("arm_right", "label", "arm of the image on the right", needed=True),
    Column("answer", "label", f"one of {', '.join(f'`{name}`' for name in ANSWERS)}", needed=True),
    Column("rater", "label", "opaque id of the rater; nobody can vote with it", needed=True),
    Column(
        "rater_kind", "label",
        f"one of {', '.join(f'`{kind}`' for kind in RATER_KINDS)}; without it, raters are people",
    ),
    Column(
        "seconds", "number",
        "seconds from the appearance of the pair to the click; empty after a reload between them",
    ),
    Column("created_at", "time", "when the vote was stored: ISO 8601, UTC"),
    Column(
        "assignment", "id",
        "the pair as given to this rater; a second row of it is the answer that replaced the first",
    ),
    Column("gold", "text", "the right answer to a gold pair; otherwise empty", aside=1),
    Column("repeat_of", "id", "the assignment that was asked again; otherwise empty"),
    Column(
        "excluded", "text", "the rule that excludes the rater; otherwise empty", aside=4
    ),
    Column("revised", "truth", "`true` if the answer was taken back and no longer counts",
           aside=3),
    Column(
        "neutral", "truth",
        "`true` where neither image stood on a side, for example one after the other: no side term",
        exported=False,
    ),
    Column(
        "practice", "truth", "`true` for a practice pair, which a study never exports",
        aside=2, exported=False,
    ),
    Column("caption", "detail", "text of the prompt", exported=False),
    Column("image_left", "detail", "file of the image on the left", exported=False),
    Column("image_right", "detail", "file of the image on the right", exported=False),
)  # fmt: skip
"""Every column that readers know, in the order in which a study writes them."""

EXPORTED = tuple(column.name for column in COLUMNS if column.exported)
"""The header of the votes.csv that a study writes."""


def typed(votes: pd.DataFrame) -> pd.DataFrame:
    """Return exported votes as the types of their columns, in the columns' order.

    Args:
        votes: the columns `EXPORTED` as a database gives them.

    Returns:
        Seconds as float64 with three decimals, NaN where unknown; times in UTC; truth as bool.
    """
    return pd.DataFrame({
        column.name: _typed(votes[column.name], column.kind)
        for column in COLUMNS
        if column.exported
    })  # fmt: skip


def times_as_text(votes: pd.DataFrame) -> pd.DataFrame:
    """Return the votes with times in ISO 8601, milliseconds and zone included."""
    return _replaced(votes, "time", lambda time: time.isoformat(timespec="milliseconds"))


def csv_text(votes: pd.DataFrame) -> str:
    """Return votes.csv: a header and one row per vote, times in ISO 8601, truth in small letters.

    Names that a spreadsheet would compute are escaped (`cells.escaped`).

    Args:
        votes: what `typed` returned.
    """
    told = _replaced(times_as_text(votes), "truth", lambda true: "true" if true else "false")
    return csv_of(told)


def _typed(values: pd.Series, kind: Kind) -> pd.Series:
    if kind == "number":
        return values.astype("float64").round(3)
    if kind == "truth":
        return values.astype(bool)
    return pd.to_datetime(values, utc=True) if kind == "time" else values


def _replaced(votes: pd.DataFrame, kind: Kind, text: Callable[[Any], str]) -> pd.DataFrame:
    names = [column.name for column in COLUMNS if column.kind == kind and column.name in votes]
    return votes.assign(**{name: [text(value) for value in votes[name]] for name in names})
