"""Whose columns are these? The catalogue of tables of votes that other tools and data sets write.

A table is recognised by its columns. To read another tool's, add a record to `LAYOUTS`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pandas as pd

from analysis.errors import AnalysisWarning, VotesError, some_of

from .columns import COLUMNS
from .nested import argilla_rows, label_studio_rows, potato_rows

QUESTION = "preference"
"""The question of votes that name none."""

UNNAMED = "vote "
"""Begins the made-up rater of a vote that names none."""

_MILLISECONDS = 1e11  # seconds since 1970 are fewer for 3,000 years

_NEEDED = tuple(column.name for column in COLUMNS if column.needed)
_WORDS = {
    "left": ("left", "a", "model_a", "model_1", "leftvote", "image_1", "first", "x"),
    "right": ("right", "b", "model_b", "model_2", "rightvote", "image_2", "second", "y"),
    "tie": ("tie", "draw", "tievote", "equal", "same", "no_preference", "neither"),
    "both_bad": ("both_bad", "bothbad", "tie_(bothbad)", "bothbad_vote"),
}
_ANSWERS = {word: answer for answer, words in _WORDS.items() for word in words}

_RATERS = ("rater", "judge", "user_id", "user", "annotator", "annotator_id", "worker_id",
           "evaluation_session_id")  # fmt: skip
_TIMES = ("created_at", "timestamp", "tstamp")
_PROMPTS = ("prompt_id", "question_id", "prompt", "caption")
_CAPTIONS = ("caption", "prompt")


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of one tool or data set.

    Attributes:
        name: what people call it.
        needs: the columns it is recognised by; `*` stands for any part of a name.
        names: our column → theirs that may stand for it, the first that is there. Raters, times,
            prompts and captions have the same few names everywhere.
        rows: from its table to one row per vote, before columns are renamed.
        nested: columns of lists or objects that `rows` needs.
        told: what is special about it, for the reference.
    """

    name: str
    needs: tuple[str, ...]
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    rows: Callable[[pd.DataFrame, str], pd.DataFrame] = lambda table, _: table
    nested: tuple[str, ...] = ()
    told: str = ""

    def fits(self, names: Iterable[str]) -> bool:
        """Return whether a table of these columns is of this layout."""
        there = list(names)
        return all(any(fnmatchcase(name, need) for name in there) for need in self.needs)


def layout_of(names: Iterable[str]) -> Layout | None:
    """Return the layout of a table with these columns; None for votes.csv and for unknown ones.

    Examples:
        >>> layout_of(["model_a", "model_b", "winner", "judge"]).name
        'LMArena, FastChat and arena-rank battles'
    """
    there = [str(name) for name in names]
    if set(_NEEDED) <= set(there):
        return None
    return next((layout for layout in LAYOUTS if layout.fits(there)), None)


def names_read() -> frozenset[str]:
    """Return every column that a layout or the votes themselves may need, of a table of texts."""
    theirs = {name for layout in LAYOUTS for names in layout.names.values() for name in names}
    needs = {name for layout in LAYOUTS for name in layout.needs}
    own = {column.name for column in COLUMNS if column.kind not in ("time", "detail")}
    return frozenset({*theirs, *needs, *own, *_RATERS, *_PROMPTS, "category", "language"})


def in_our_columns(
    table: pd.DataFrame,
    where: str,
    columns: Mapping[str, str] | None = None,
    pairs: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return a table of votes with the columns of votes.csv, whoever wrote it.

    Tables that no layout fits are returned as they are: `read_votes` then names what is missing.

    Args:
        table: as `read_file` returned it.
        where: for messages.
        columns: our column → theirs, where no layout knows it.
        pairs: columns to add to the votes on a pair, by its `id`.

    Raises:
        VotesError: a tool's export that does not say which arms are compared, or a map or a table
            of pairs that does not fit.

    Warns:
        AnalysisWarning: rows are left out that hold no comparison.
    """
    table = _mapped(table, where, columns or {})
    layout = layout_of(table.columns) or (_NAMED if columns or pairs is not None else None)
    if layout is None:
        return table
    rows = layout.rows(table, where)
    votes = _renamed(rows if pairs is None else _joined(rows, where, pairs), layout)
    missing = [name for name in ("arm_left", "arm_right", "answer") if name not in votes]
    if missing and len(votes):
        raise VotesError(
            f"{where}: found {layout.name} without {', '.join(missing)} (columns: "
            f"{some_of(map(str, rows.columns), 20)}), expected both arms and the answer of each "
            "vote. Add them to the table, name its own with --column, or name a table of pairs "
            "with --pairs."
        )
    votes = _compared(votes.reindex(columns=[*votes.columns, *missing]), where)
    votes["answer"] = _plain(votes["answer"])
    return _completed(votes)


def names_raters(votes: pd.DataFrame) -> bool:
    """Return whether votes say who gave them; otherwise each was given a rater of its own."""
    raters = votes["rater"]
    return not (len(raters) and str(raters.iloc[0]) == f"{UNNAMED}1" and raters.is_unique)


def _mapped(table: pd.DataFrame, where: str, columns: Mapping[str, str]) -> pd.DataFrame:
    known = {*(column.name for column in COLUMNS), "category"}
    there = [str(name) for name in table.columns]
    for wrong, found, of in (
        (set(columns) - known, "unknown column", known),
        (set(columns.values()) - set(there), "no column", there),
    ):
        if wrong:
            raise VotesError(
                f"{where}: a map of columns names {some_of(sorted(wrong))}: found {found} of that "
                f"name, expected one of {some_of(sorted(of), 30)}. Correct --column OURS=THEIRS."
            )
    own = table.drop(columns=[name for name in columns if name in there])
    return own.assign(**{ours: table[theirs] for ours, theirs in columns.items()})


def _joined(votes: pd.DataFrame, where: str, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the votes with the columns of their pairs beside them."""
    by = next((name for name in ("pair", "id", "instance_id") if name in votes), None)
    if by is None or "id" not in pairs or pairs["id"].astype(str).duplicated().any():
        raise VotesError(
            f"{where}: a table of pairs needs one row per pair with its id, and votes that name it "
            f"(pair, id or instance_id); found columns {some_of(map(str, pairs.columns), 20)} and "
            f"{some_of(map(str, votes.columns), 20)}. Correct the table named with --pairs."
        )
    ids = votes[by].astype(str)
    beside = pairs.assign(id=pairs["id"].astype(str)).set_index("id")
    unknown = sorted(set(ids) - set(beside.index))
    if unknown:
        raise VotesError(
            f"{where}: found votes on pairs {some_of(unknown)}, which the table of pairs does not "
            "have, expected a row for each. Add them to the table named with --pairs."
        )
    told = beside.reindex(ids).reset_index(drop=True)
    own = votes.reset_index(drop=True).drop(columns=list(told.columns), errors="ignore")
    return pd.concat([own, told], axis=1)


def _renamed(table: pd.DataFrame, layout: Layout) -> pd.DataFrame:
    common = {"rater": _RATERS, "created_at": _TIMES, "prompt_id": _PROMPTS, "caption": _CAPTIONS}
    votes = table.copy(deep=False)
    for ours, theirs in {**common, **layout.names}.items():
        found = next((name for name in theirs if name in table), None)
        if found is not None:
            votes[ours] = table[found]
    used = {name for names in layout.names.values() for name in names} - set(layout.names)
    known = {*_RATERS, *_TIMES, *_PROMPTS} - {column.name for column in COLUMNS} - {"caption"}
    return votes.drop(columns=[n for n in votes if n in used | known or _nested(votes[n])])


def _nested(column: pd.Series) -> bool:
    if column.dtype != object:
        return False
    return bool(column.map(lambda cell: isinstance(cell, dict | list)).any())


def _plain(answers: pd.Series) -> pd.Series:
    """Return answers in our words; a word that means nothing stays, to be refused by its row."""
    given = answers.astype("category")
    plain = {
        name: _ANSWERS.get("_".join(str(name).lower().split()), str(name))
        for name in given.cat.categories
    }
    return given.map(plain, na_action="ignore").astype(str).where(given.notna())


def _compared(votes: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return the votes that compare two arms; data sets hold pairs of one model, or unanswered."""
    same = (votes["arm_left"].astype(str) == votes["arm_right"].astype(str)).to_numpy(bool)
    empty = votes["answer"].isna().to_numpy(bool) & ~same
    told = [
        f"{count:,} {words}"
        for count, words in ((same.sum(), "pairs of one arm"), (empty.sum(), "without an answer"))
        if count
    ]
    if not told:
        return votes.reset_index(drop=True)
    kept = votes[~same & ~empty].reset_index(drop=True)
    warnings.warn(
        f"{where}: left out {' and '.join(told)} of {len(votes):,} rows, which compare nothing.",
        AnalysisWarning, stacklevel=4,
    )  # fmt: skip
    return kept


def _completed(votes: pd.DataFrame) -> pd.DataFrame:
    """Return votes with a question, a rater each where none is named, and prompts that repeat."""
    if "question" not in votes:
        votes["question"] = QUESTION
    if "created_at" in votes:
        votes["created_at"] = _times(votes["created_at"])
    if "rater" not in votes or votes["rater"].isna().all():
        votes["rater"] = [f"{UNNAMED}{number}" for number in range(1, len(votes) + 1)]
    if "prompt_id" in votes and (votes["prompt_id"].isna().any() or votes["prompt_id"].is_unique):
        return votes.drop(columns="prompt_id")  # ids of votes, and no prompts
    return votes


def _times(told: pd.Series) -> pd.Series:
    """Return times as they are, or seconds since 1970 as times."""
    seconds = pd.to_numeric(told, errors="coerce")
    if seconds.isna().all():
        return told
    return pd.to_datetime(
        seconds.where(seconds < _MILLISECONDS, seconds / 1000), unit="s", utc=True
    )


def _battles(table: pd.DataFrame, _: str) -> pd.DataFrame:
    """Set battles aside whose models were named, as FastChat's leaderboards do."""
    if "anony" not in table:
        return table
    blind = table["anony"].astype(str).str.lower().isin(["true", "1"])
    return table.assign(excluded=np.where(blind, "", "models were named"))


def _one_hot(table: pd.DataFrame, _: str) -> pd.DataFrame:
    """Return the winner of battles with a column of 0 and 1 for each outcome."""
    names = ["winner_model_a", "winner_model_b", "winner_tie"]
    won = table[names].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    words = np.array(["model_a", "model_b", "tie"], object)[np.nan_to_num(won).argmax(axis=1)]
    clear = (won == 1).sum(axis=1) == 1
    return table.drop(columns=names).assign(winner=pd.Series(words, table.index).where(clear))


def _labels(table: pd.DataFrame, _: str) -> pd.DataFrame:
    """Return Pick-a-Pic's answers: label_0 is 1, 0 or ½, and empty or unlabelled without one."""
    given = pd.to_numeric(table["label_0"], errors="coerce")
    if "has_label" in table:
        given = given.where(table["has_label"].astype(str).str.lower().isin(["true", "1"]))
    words = given.map({1.0: "left", 0.0: "right", 0.5: "tie"})
    return table.assign(answer=words.astype(object).where(words.notna(), None))


def _first_won(table: pd.DataFrame, _: str) -> pd.DataFrame:
    """Return pairs whose first image is the chosen one: nothing is known of their sides."""
    return table.assign(answer="left", neutral="true")


def _counts(table: pd.DataFrame, _: str) -> pd.DataFrame:
    """Return one row per vote of HPDv3's pairs: `choice_dist` counts the votes for each image."""
    if "choice_dist" not in table:
        return _first_won(table, _)
    pairs = [_two(cell) for cell in table["choice_dist"]]
    return _repeated(table.drop(columns="choice_dist"), pairs)


def _two(cell: Any) -> tuple[int, int]:
    """Return how many votes each image has; one for the first where that is not said."""
    try:
        first, second = (float(value) for value in cell)
    except (TypeError, ValueError):
        return 1, 0
    if first < 0 or second < 0 or first + second < 1 or not (first + second).is_integer():
        return 1, 0
    return int(first), int(second)


def _tallied(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return one row per vote of Rapidata's pairs."""
    both = table[["votes_image1", "votes_image2"]].apply(pd.to_numeric, errors="coerce")
    wrong = ~((both >= 0) & (both % 1 == 0)).all(axis=1)
    if wrong.any():
        rows = some_of(np.flatnonzero(wrong) + 1, 10)
        raise VotesError(
            f"{where}: row {rows}: found votes_image1 and votes_image2 that are no counts, "
            "expected whole numbers of votes. Correct or remove them and try again."
        )
    pairs = list(both.astype(int).itertuples(index=False, name=None))
    return _repeated(table.drop(columns=list(both)), pairs)


def _repeated(table: pd.DataFrame, pairs: list[tuple[int, int]]) -> pd.DataFrame:
    first, second = np.array(pairs, np.int64).reshape(-1, 2).T
    rows = np.repeat(np.arange(len(table)), first + second)
    for_first = np.concatenate([np.arange(n + m) < n for n, m in pairs] or [np.zeros(0, bool)])
    votes = table.iloc[rows].reset_index(drop=True)
    return votes.assign(answer=np.where(for_first, "left", "right"), neutral="true")


_SIDES = {"image_left": ("image_left",), "image_right": ("image_right",)}
_TOOL_NAMES = {
    "arm_left": ("arm_left", "model_a", "model_left", "left_model", "model_1", "model1"),
    "arm_right": ("arm_right", "model_b", "model_right", "right_model", "model_2", "model2"),
    "image_left": ("image_left", "image_a", "image_1", "image1"),
    "image_right": ("image_right", "image_b", "image_2", "image2"),
}

LAYOUTS = (
    Layout(
        "LMArena, FastChat and arena-rank battles", ("model_a", "model_b", "winner"),
        {"arm_left": ("model_a",), "arm_right": ("model_b",), "answer": ("winner",)}, _battles,
        told="`winner` is `model_a`, `model_b`, `tie`, `tie (bothbad)` or `both_bad`; battles "
        "with `anony` false are set aside",
    ),
    Layout(
        "LMSYS one-hot battles", ("model_a", "model_b", "winner_model_a", "winner_model_b",
                                  "winner_tie"),
        {"arm_left": ("model_a",), "arm_right": ("model_b",), "answer": ("winner",)}, _one_hot,
        told="a row without exactly one winner is left out",
    ),
    Layout(
        "evalica's pairs", ("left", "right", "winner"),
        {"arm_left": ("left",), "arm_right": ("right",), "answer": ("winner",)},
        told="`winner` is `left`, `right` or `tie`",
    ),
    Layout(
        "GenAI-Arena votes", ("left_model", "right_model", "vote_type"),
        {"arm_left": ("left_model",), "arm_right": ("right_model",), "answer": ("vote_type",)},
        told="`vote_type` is `leftvote`, `rightvote`, `tievote` or `bothbad_vote`",
    ),
    Layout(
        "Pick-a-Pic", ("model_0", "model_1", "label_0"),
        {"arm_left": ("model_0",), "arm_right": ("model_1",), "image_left": ("image_0_url",),
         "image_right": ("image_1_url",)}, _labels,
        told="`label_0` is 1, 0 or 0.5; pairs of one model are left out",
    ),
    Layout(
        "HPDv3", ("model1", "model2", "path1", "path2"),
        {"arm_left": ("model1",), "arm_right": ("model2",), "image_left": ("path1",),
         "image_right": ("path2",)}, _counts, ("choice_dist",),
        told="the first image is the chosen one; one vote per count of `choice_dist`",
    ),
    Layout(
        "Rapidata's tallies", ("model1", "model2", "votes_image1", "votes_image2"),
        {"arm_left": ("model1",), "arm_right": ("model2",), "image_left": ("image1_path",),
         "image_right": ("image2_path",)}, _tallied,
        told="one vote per count of `votes_image1` and `votes_image2`",
    ),
    Layout(
        "pairs of chosen and rejected images", ("chosen_model", "rejected_model"),
        {"arm_left": ("chosen_model",), "arm_right": ("rejected_model",)}, _first_won,
        told="as in open-image-preferences; pairs of one model are left out",
    ),
    Layout(
        "a Label Studio export (JSON)", ("data", "annotations"), _TOOL_NAMES, label_studio_rows,
        ("data", "annotations"),
        told="`Pairwise` or `Choices` controls, one question per control; arms stand in the data "
        "of each task",
    ),
    Layout(
        "a Label Studio export (CSV, JSON-MIN)", ("annotation_id", "annotator"),
        _TOOL_NAMES | {"seconds": ("lead_time",), "assignment": ("annotation_id",)},
        told="name the column of answers `answer`",
    ),
    Layout(
        "an Argilla export", ("fields", "responses"), _TOOL_NAMES, argilla_rows,
        ("fields", "metadata", "responses"),
        told="`to_json`; one question per label question; arms stand in fields or metadata",
    ),
    Layout(
        "a flat Argilla export", ("*.responses", "*.responses.users"), _TOOL_NAMES, argilla_rows,
        ("*.responses", "*.responses.users", "*.responses.status"),
        told="`to_list(flatten=True)` or `to_datasets`",
    ),
    Layout(
        "Potato's annotations", ("id", "label_annotations"), _TOOL_NAMES, potato_rows,
        ("label_annotations",),
        told="the folder `annotation_output`, or one `annotated_instances.jsonl`; the arms of "
        "each id stand in a table of pairs (`--pairs`)",
    ),
    Layout(
        "Potato's table", ("instance_id", "user", "*:::*"), _TOOL_NAMES, potato_rows,
        told="`annotated_instances.tsv` or CSV; the arms of each `instance_id` stand in a table "
        "of pairs (`--pairs`)",
    ),
)  # fmt: skip
"""Every layout, those with the most special columns before those with fewer."""

_NAMED = Layout("a table of votes", (), {})
