"""Votes: reading them, refusing bad ones by row, and coding them as integers for counting."""

# pyarrow has no type stubs.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from analysis.errors import VotesError, some_of

from .answers import ANSWERS, TIED
from .columns import COLUMNS, RATER_KINDS
from .counting import GRADES, WINS_OF_LEFT, counted, set_aside
from .csv_file import id_hashes, refuse_doubled
from .files import frame_of, read_file
from .layouts import LAYOUTS, in_our_columns
from .names import require_readable

REQUIRED_COLUMNS = tuple(column.name for column in COLUMNS if column.needed)
_LABELS = tuple(column.name for column in COLUMNS if column.kind == "label")
_OPTIONAL = ("rater_kind", "prompt_id", "assignment")
_LONG = 200_000  # votes whose columns are coded at the same time
_EARLY = 10_000  # votes whose labels are often all there are
_FEW = 256  # labels
_MANY = 4_000_000  # values from which doubles are looked for by hash


@dataclass(frozen=True)
class Ballot:
    """The votes on one question by one kind of rater: what one Elo fit is made of.

    Attributes:
        question: what was asked.
        rater_kind: `person` or `simulated`; the two are never pooled.
        arms: K arm names; every code below indexes them.
        left: (N,) int64, the arm shown on the left.
        right: (N,) int64, the arm shown on the right, never equal to `left`.
        left_wins: (N,) float64, the share of a win that each answer gives the arm on the left
            (`Answer.left_wins`; the paper's protocol, A.1).
        rater: (N,) int64 in 0 … raters − 1.
        prompt: (N,) int64 in 0 … prompts − 1, or None when votes carry no prompt ids.
        neutral: (N,) whether a vote has no side term; None where every vote has one.
        grade: (N,) int64, how much better the left image is, 2 … −2 (`Answer.grade`); None where a
            vote has no grade. "Both bad" is 0, as a tie is.
    """

    question: str
    rater_kind: str
    arms: tuple[str, ...]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    left_wins: NDArray[np.float64]
    rater: NDArray[np.int64]
    prompt: NDArray[np.int64] | None = None
    neutral: NDArray[np.bool_] | None = None
    grade: NDArray[np.int64] | None = None

    @property
    def votes(self) -> int:
        """How many votes."""
        return len(self.left)

    @property
    def raters(self) -> int:
        """How many raters gave them."""
        return int(self.rater.max()) + 1 if self.votes else 0

    @property
    def tied(self) -> NDArray[np.bool_]:
        """(N,) whether each vote names no winner."""
        return self.left_wins == TIED

    @property
    def simulated(self) -> bool:
        """Whether simulated raters gave them."""
        return self.rater_kind == "simulated"


def read_votes(
    source: Any,
    arms: Sequence[str] | None = None,
    columns: Mapping[str, str] | None = None,
    pairs: Any = None,
) -> pd.DataFrame:
    """Votes from a table or a file, checked and ready to count.

    Tables of other tools and data sets are recognised by their columns (`LAYOUTS`). Of others,
    needed columns: question, arm_left, arm_right, answer (one of `ANSWERS`), rater.
    Used when present: study, prompt_id, replica, rater_kind (person | simulated; without it raters
    are taken to be people), seconds (≥ 0), created_at, assignment (unique but for revised
    answers), neutral (votes without sides, `fit_outcomes`), and the columns that set a vote aside
    (`counted`): gold, practice, revised, excluded.
    Others are kept as they are. No votes at all is a legal answer.

    Args:
        source: a table of pandas, polars or Arrow, left as it is, or the path of a file
            (`read_file`).
        arms: the arms that may occur, in the order to report; None takes those that do, sorted.
        columns: our column → the source's, where no layout knows it.
        pairs: a table, or its path, with columns of each pair by its `id`, for votes that name
            only the id.

    Returns:
        A new frame with the votes' order and a fresh index, votes set aside among them; label
        columns are categorical, and `arm_left` and `arm_right` share the categories `arms`. Gold
        and practice pairs may show what is no arm, or an arm twice: unknown names are NaN there.

    Raises:
        VotesError: the file is missing or not a table, a column is missing, or rows hold an empty
            or unknown label, an arm against itself, an impossible time or a repeated assignment,
            or a name can't be read.

    Warns:
        AnalysisWarning: names differ only by spaces, capitals or invisible characters, or rows of
            another tool's table compare nothing.
    """
    where = str(source) if isinstance(source, (str, Path)) else "votes"
    beside = None if pairs is None else _table_of(pairs)
    raw = in_our_columns(_table_of(source), where, columns, beside)
    _check_columns(raw, where)
    columns = {str(name): raw[name].array for name in raw.columns}
    size = len(raw)
    del raw
    for name in _OPTIONAL:  # a column that says nothing is as good as none
        if name in columns and size and bool(np.all(pd.isna(columns[name]))):
            del columns[name]
    known = set_aside(columns, size, ("gold", "practice"))
    labels = _categoricals({name: columns.pop(name) for name in _LABELS if name in columns}, size)
    sides = {*labels["arm_left"].categories, *labels["arm_right"].categories}
    for names in (sides, labels["rater"].categories, labels["question"].categories):
        require_readable(where, sorted(names))
    for name, column in labels.items():
        _refuse(where, column.codes < 0, f"an empty {name}", "a value in every vote")
    if "rater_kind" not in labels:
        labels["rater_kind"] = pd.Categorical(["person"]).repeat(size)
    _check_labels(labels, where, arms, known)
    if "assignment" in columns:
        _refuse_repeats(where, columns["assignment"], set_aside(columns, size, ("revised",)))
    if "seconds" in columns:
        columns["seconds"] = _seconds(where, columns["seconds"])
    return pd.DataFrame({**labels, **columns}, copy=False)


def _table_of(source: Any) -> pd.DataFrame:
    return read_file(Path(source)) if isinstance(source, (str, Path)) else frame_of(source)


def ballots(votes: pd.DataFrame) -> list[Ballot]:
    """Return one ballot per question and kind of rater, people's first; none without votes.

    Args:
        votes: what `read_votes` returned; only those that count are taken.

    Examples:
        >>> [(ballot.question, ballot.rater_kind, ballot.votes) for ballot in ballots(votes)]
        [('photorealism', 'person', 36)]
    """
    kept = counted(votes)
    kinds, questions = _codes(votes["rater_kind"]), _codes(votes["question"])
    found: list[Ballot] = []
    for kind, kind_name in enumerate(RATER_KINDS):
        for question, question_name in enumerate(votes["question"].cat.categories):
            chosen = kept & (kinds == kind) & (questions == question)
            if chosen.any():
                rows = slice(None) if chosen.all() else np.flatnonzero(chosen)
                found.append(_ballot(votes, rows, question_name, kind_name))
    return found


def _ballot(
    votes: pd.DataFrame, rows: slice | NDArray[np.int64], question: str, kind: str
) -> Ballot:
    has_prompts = "prompt_id" in votes
    return Ballot(
        question=question,
        rater_kind=kind,
        arms=tuple(votes["arm_left"].cat.categories),
        left=_codes(votes["arm_left"])[rows].astype(np.int64),
        right=_codes(votes["arm_right"])[rows].astype(np.int64),
        left_wins=WINS_OF_LEFT.take(_codes(votes["answer"])[rows]),
        rater=_dense(_codes(votes["rater"])[rows]),
        prompt=_dense(_codes(votes["prompt_id"])[rows]) if has_prompts else None,
        neutral=set_aside(votes, len(votes), ("neutral",))[rows] if "neutral" in votes else None,
        grade=_grade(_codes(votes["answer"])[rows]),
    )


def _grade(answers: NDArray[np.integer]) -> NDArray[np.int64] | None:
    """(N,) the grades of coded answers; None where one has none, or all are ties."""
    grades = GRADES.take(answers)
    if np.isnan(grades).any() or not grades.any():
        return None
    return grades.astype(np.int64)


def _codes(column: pd.Series) -> NDArray[np.integer]:
    return np.asarray(column.cat.codes)


def _dense(codes: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the codes renumbered 0, 1, … without gaps, in their order."""
    wide = codes.astype(np.int64)
    present = np.bincount(wide) > 0
    return wide if present.all() else (np.cumsum(present) - 1)[wide]


def _categoricals(columns: dict[str, Any], size: int) -> dict[str, Any]:
    """Return each column's labels, several columns at a time where they are long.

    Threads help there, because Arrow codes texts without holding Python's lock.
    """
    if size < _LONG:
        return {name: _categorical(column) for name, column in columns.items()}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(columns, pool.map(_categorical, columns.values()), strict=True))


def _categorical(column: Any) -> Any:
    """Return labels as text with sorted categories, all of which occur; −1 codes missing ones."""
    codes, texts = _coded(column)
    names, place = np.unique(np.array(texts, object), return_inverse=True)  # 1 and "1" are one
    return _placed(codes, place, list(names))


def _recoded(column: Any, categories: Sequence[str]) -> Any:
    """Return the labels with these categories in this order; other labels become missing."""
    place = pd.Index(categories).get_indexer(column.categories)
    return _placed(column.codes, place, categories)


def _placed(
    codes: NDArray[np.integer], place: NDArray[np.integer], categories: Sequence[str]
) -> Any:
    """Return labels of these categories: `place` of each code; −1 stays missing."""
    names: Any = list(categories)
    if not np.array_equal(place, np.arange(len(place))):
        table = np.append(place, -1).astype(np.min_scalar_type(-len(names) - 1))
        codes = table.take(codes, mode="wrap")  # −1 is the last
    return pd.Categorical.from_codes(codes, names, validate=False)


def _coded(column: Any) -> tuple[NDArray[np.integer], list[str]]:
    """Return codes of a column's values, −1 where missing, and each code's text.

    All codes occur.
    """
    if isinstance(column.dtype, pd.StringDtype):
        # Arrow codes text twice as fast as pandas, whose own text columns are Arrow's.
        parts: Any = pa.array(column)
        parts = parts if isinstance(parts, pa.ChunkedArray) else pa.chunked_array([parts])
        # To look up a few labels is faster than to collect them: the first votes' may be all.
        early: Any = parts.slice(0, _EARLY).unique().drop_null()
        if len(early) <= _FEW:
            codes: Any = pc.call_function("index_in", [parts], pc.SetLookupOptions(early))
            if codes.null_count == parts.null_count:
                return codes.combine_chunks().fill_null(-1).to_numpy(), early.tolist()
        found: Any = parts.dictionary_encode().combine_chunks()
        return found.indices.fill_null(-1).to_numpy(zero_copy_only=False), found.dictionary.tolist()
    known = pd.Categorical(column).remove_unused_categories()
    return known.codes, list(known.categories.astype(str))


def _check_columns(raw: pd.DataFrame, where: str) -> None:
    names = [str(name) for name in raw.columns]
    missing = [name for name in REQUIRED_COLUMNS if name not in names]
    if missing:
        alike = [name for name in names if name not in missing and name.strip().lower() in missing]
        hint = " (names are lower case, without spaces)" if alike else ""
        raise VotesError(
            f"{where}: missing column{'s' * (len(missing) > 1)} {', '.join(missing)}; found "
            f"{some_of(names, 40) or 'no columns'}{hint}. Votes need "
            f"{', '.join(REQUIRED_COLUMNS)}; `glide-eval study export` writes them all. Other "
            f"tables that are read: {'; '.join(layout.name for layout in LAYOUTS)}. Name columns "
            "of others with --column OURS=THEIRS."
        )
    refuse_doubled(where, names)


def _check_labels(
    labels: dict[str, Any],
    where: str,
    arms: Sequence[str] | None,
    set_aside: NDArray[np.bool_],
) -> None:
    """Give labels their categories, in place, and refuse what is not among them."""
    sides = ("arm_left", "arm_right")
    if arms is None:
        arms = sorted({arm for name in sides for arm in _occurring(labels[name], ~set_aside)})
    for name in sides:
        labels[name] = _known(labels[name], arms, name, where, set_aside)
    labels["answer"] = _plain_answers(labels["answer"])
    for name, values in (("answer", tuple(ANSWERS)), ("rater_kind", RATER_KINDS)):
        labels[name] = _known(labels[name], values, name, where)
    labels["question"] = _by_appearance(labels["question"])
    twice = (labels["arm_left"].codes == labels["arm_right"].codes) & ~set_aside
    _refuse(where, twice, "an arm compared with itself", "two different arms in a vote")


def _plain_answers(column: Any) -> Any:
    """Return answers without capitals and spaces around them: `Both bad` is `both_bad`."""
    given = list(column.categories)
    plain = ["_".join(name.lower().split()) for name in given]
    told = [own if own in ANSWERS else name for own, name in zip(plain, given, strict=True)]
    if told == given:
        return column
    names = list(dict.fromkeys(told))
    return _placed(column.codes, np.array([names.index(name) for name in told]), names)


def _occurring(column: Any, rows: NDArray[np.bool_]) -> list[str]:
    """Return the labels in these rows of a column all of whose categories occur somewhere."""
    if rows.all():
        return list(column.categories)
    return list(
        column.categories[np.bincount(column.codes[rows], minlength=len(column.categories)) > 0]
    )


def _by_appearance(column: Any) -> Any:
    """Return the labels with categories in the order in which they first appear.

    Tables then follow the study and not the alphabet.
    """
    codes, names = column.codes, list(column.categories)
    first = [int((codes == code).argmax()) for code in range(len(names))]
    return _recoded(column, [names[code] for code in np.argsort(first)])


def _known(
    column: Any,
    values: Sequence[str],
    name: str,
    where: str,
    excused: NDArray[np.bool_] | None = None,
) -> Any:
    known = _recoded(column, values)
    unknown = np.asarray(known.codes) < 0
    if excused is not None:
        unknown &= ~excused
    if unknown.any():
        found = some_of(map(repr, sorted(set(column[unknown]))))
        _refuse(where, unknown, f"unknown {name} {found}", f"one of {some_of(values, 20)}")
    return known


def _refuse_repeats(where: str, assignments: Any, revised: NDArray[np.bool_]) -> None:
    """Refuse a second vote on an assignment, unless the first one was revised."""
    column = pd.Series(assignments, copy=False)
    _refuse(where, column.isna(), "an empty assignment", "a value in every vote")
    standing = column[~revised] if revised.any() else column
    if not _all_different(standing):
        again = np.zeros(len(column), bool)
        again[~revised] = standing.duplicated(keep="first")
        _refuse(where, again, "an assignment already answered", "one vote an assignment")


def _all_different(column: pd.Series) -> bool:
    if len(column) < _MANY:
        return column.is_unique
    # Hashes of many values take a tenth of the memory of the values' own table; where two are
    # equal the values decide.
    hashes = column.to_numpy(np.uint64) if column.dtype == "UInt64" else id_hashes(column)
    hashes = np.sort(hashes)
    return not (hashes[1:] == hashes[:-1]).any() or column.is_unique


def _seconds(where: str, column: Any) -> NDArray[np.float64]:
    values = pd.Series(column, copy=False)
    seconds = pd.to_numeric(values, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    wrong = values.notna().to_numpy() & ~(np.isfinite(seconds) & (seconds >= 0))
    if wrong.any():
        found = some_of(sorted({repr(value) for value in values[wrong]}))
        _refuse(where, wrong, f"seconds {found}", "a number ≥ 0")
    return seconds


def _refuse(where: str, wrong: NDArray[np.bool_] | pd.Series, found: str, expected: str) -> None:
    rows = np.flatnonzero(np.asarray(wrong)) + 1
    if len(rows):
        raise VotesError(
            f"{where}: row{'s' * (len(rows) > 1)} {some_of(rows, 10)} (the first vote is row 1): "
            f"found {found}, expected {expected}. Correct or remove them and try again."
        )
