"""Votes: reading them, refusing bad ones by row, and coding them as integers for counting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .errors import VotesError

ANSWERS = ("left", "right", "tie")
RATER_KINDS = ("person", "simulated")
REQUIRED_COLUMNS = ("question", "arm_left", "arm_right", "answer", "rater")
_WIN_OF_LEFT = np.array([1.0, 0.0, 0.5])  # in the order of ANSWERS


@dataclass(frozen=True)
class Ballot:
    """The votes on one question by one kind of rater: what one Elo fit is made of.

    Attributes:
        question: what was asked.
        rater_kind: `person` or `simulated`; the two are never pooled.
        arms: K arm names; every code below indexes them.
        left: (N,) int64, the arm shown on the left.
        right: (N,) int64, the arm shown on the right, never equal to `left`.
        left_wins: (N,) float64: 1 left, 0 right, ½ tie (the paper's protocol, A.1).
        rater: (N,) int64 in 0 … raters − 1.
        prompt: (N,) int64 in 0 … prompts − 1, or None when votes carry no prompt ids.
    """

    question: str
    rater_kind: str
    arms: tuple[str, ...]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    left_wins: NDArray[np.float64]
    rater: NDArray[np.int64]
    prompt: NDArray[np.int64] | None = None

    @property
    def votes(self) -> int:
        """How many votes."""
        return len(self.left)

    @property
    def raters(self) -> int:
        """How many raters gave them."""
        return int(self.rater.max()) + 1 if self.votes else 0

    @property
    def simulated(self) -> bool:
        """Whether simulated raters gave them."""
        return self.rater_kind == "simulated"


def read_votes(
    source: pd.DataFrame | Path | str, arms: Sequence[str] | None = None
) -> pd.DataFrame:
    """Votes from a table or a CSV file, checked and ready to count.

    Needed columns: question, arm_left, arm_right, answer (left | right | tie), rater. Used when
    present: study, prompt_id, replica, rater_kind (person | simulated; without it raters are
    taken to be people), seconds (≥ 0), created_at, assignment (unique). Others are kept as they
    are. No votes at all is a legal answer.

    Args:
        source: a DataFrame, left as it is, or the path of a UTF-8 CSV file.
        arms: the arms that may occur, in the order to report; None takes those that do, sorted.

    Returns:
        A new frame with the votes' order and a fresh index; label columns are categorical, and
        `arm_left` and `arm_right` share the categories `arms`.

    Raises:
        VotesError: the file is missing or not a CSV, a column is missing, or rows hold an empty
            or unknown label, an arm against itself, an impossible time or a repeated assignment.
    """
    raw = _read_csv(Path(source)) if isinstance(source, (str, Path)) else source
    where = str(source) if isinstance(source, (str, Path)) else "votes"
    missing = [name for name in REQUIRED_COLUMNS if name not in raw.columns]
    if missing:
        raise VotesError(
            f"{where}: missing column{'s' * (len(missing) > 1)} {', '.join(missing)}; found "
            f"{', '.join(map(str, raw.columns)) or 'no columns'}. Votes need "
            f"{', '.join(REQUIRED_COLUMNS)}; `glide-eval study export` writes them all."
        )
    votes = raw.reset_index(drop=True)
    for name in (*REQUIRED_COLUMNS, "rater_kind", "prompt_id", "assignment"):
        if name in votes:
            _refuse(where, votes[name].isna(), f"an empty {name}", "a value in every vote")
            votes[name] = votes[name].astype(str)
    if "rater_kind" not in votes:
        votes["rater_kind"] = "person"
    votes = _with_categories(votes, where, arms)
    _refuse(
        where,
        votes["arm_left"].cat.codes == votes["arm_right"].cat.codes,
        "an arm compared with itself",
        "two different arms in a vote",
    )
    if "assignment" in votes:
        again = votes["assignment"].duplicated(keep="first")
        _refuse(where, again, "an assignment already answered", "one vote an assignment")
    if "seconds" in votes:
        seconds = pd.to_numeric(votes["seconds"], errors="coerce").astype(np.float64)
        wrong = votes["seconds"].notna() & ~(np.isfinite(seconds) & (seconds >= 0))
        _refuse(where, wrong, "seconds that are no time", "a number of seconds ≥ 0")
        votes["seconds"] = seconds
    return votes


def ballots(votes: pd.DataFrame) -> list[Ballot]:
    """One ballot a question and kind of rater, people's first; none when there are no votes.

    Args:
        votes: what `read_votes` returned.
    """
    kinds = [kind for kind in RATER_KINDS if (votes["rater_kind"] == kind).any()]
    found = []
    for kind in kinds:
        of_kind = votes[votes["rater_kind"] == kind]
        for question in of_kind["question"].cat.categories:
            chosen = of_kind[of_kind["question"] == question]
            if len(chosen):
                found.append(_ballot(chosen, question, kind))
    return found


def _ballot(votes: pd.DataFrame, question: str, kind: str) -> Ballot:
    return Ballot(
        question=question,
        rater_kind=kind,
        arms=tuple(votes["arm_left"].cat.categories),
        left=_codes(votes["arm_left"]),
        right=_codes(votes["arm_right"]),
        left_wins=_WIN_OF_LEFT[_codes(votes["answer"])],
        rater=_dense(_codes(votes["rater"])),
        prompt=_dense(_codes(votes["prompt_id"])) if "prompt_id" in votes else None,
    )


def _codes(column: pd.Series) -> NDArray[np.int64]:
    return np.asarray(column.cat.codes, np.int64)


def _dense(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The codes renumbered 0, 1, … without gaps, in their order."""
    present = np.bincount(codes) > 0
    return (np.cumsum(present) - 1)[codes]


def _with_categories(votes: pd.DataFrame, where: str, arms: Sequence[str] | None) -> pd.DataFrame:
    left, right = pd.Categorical(votes["arm_left"]), pd.Categorical(votes["arm_right"])
    if arms is None:
        arms = sorted({*left.categories, *right.categories})
    for name, column in (("arm_left", left), ("arm_right", right)):
        votes[name] = _known(column, votes[name], arms, name, where)
    for name, values in (("answer", ANSWERS), ("rater_kind", RATER_KINDS)):
        votes[name] = _known(pd.Categorical(votes[name]), votes[name], values, name, where)
    # In order of appearance, so tables follow the study rather than the alphabet.
    votes["question"] = pd.Categorical(
        votes["question"], categories=list(dict.fromkeys(votes["question"].unique()))
    )
    for name in ("rater", "prompt_id"):
        if name in votes:
            votes[name] = pd.Categorical(votes[name])
    return votes


def _known(
    column: Any, text: pd.Series, values: Sequence[str], name: str, where: str
) -> pd.Categorical:
    known = column.set_categories(list(values))
    unknown = np.asarray(known.codes) < 0
    if unknown.any():
        found = ", ".join(repr(value) for value in sorted(set(text[unknown]))[:5])
        _refuse(where, unknown, f"unknown {name} {found}", f"one of {_listed(values)}")
    return known


def _refuse(where: str, wrong: Iterable[bool] | pd.Series, found: str, expected: str) -> None:
    rows = np.flatnonzero(np.asarray(wrong)) + 1
    if len(rows):
        named = ", ".join(map(str, rows[:10]))
        more = f" and {len(rows) - 10} more" if len(rows) > 10 else ""
        raise VotesError(
            f"{where}: row{'s' * (len(rows) > 1)} {named}{more} (the first vote is row 1): "
            f"found {found}, expected {expected}. Correct or remove them and try again."
        )


def _listed(values: Sequence[str], most: int = 20) -> str:
    return ", ".join(values[:most]) + (f" and {len(values) - most} more" * (len(values) > most))


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(
            path, dtype=str, keep_default_na=False, na_values=[""], encoding="utf-8-sig"
        )
    except FileNotFoundError as error:
        raise VotesError(
            f"{path}: no such file. Export a study's votes with `glide-eval study export`, "
            "or name another CSV."
        ) from error
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError, OSError) as error:
        raise VotesError(
            f"{path}: expected a UTF-8 CSV of votes with a header line, found something else "
            f"({error}). Save it as CSV in UTF-8 and try again."
        ) from error
