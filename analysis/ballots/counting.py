"""Which votes count for what: the one place that says so.

| number | votes it is made of |
| --- | --- |
| scores, side bias, ties, response times, agreement, repeat consistency | `counted` |
| gold accuracy | `on_gold` |
| progress towards the votes a study wants | the study's own rule, which leaves out repeats too |

Votes on a repeated pair count for scores like any other: the rater looked at the images anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .answers import ANSWERS, TIED
from .columns import COLUMNS

ASIDE = tuple(
    column.name for column in sorted(COLUMNS, key=lambda column: column.aside) if column.aside
)
"""The columns that set a vote aside, in the order in which `left_out` looks at them."""

WINS_OF_LEFT = np.array([answer.left_wins for answer in ANSWERS.values()])
"""The share of a win that each answer's code gives the arm on the left."""

GRADES = np.array(
    [0 if answer.name == "both_bad" else answer.grade for answer in ANSWERS.values()], np.float64
)
"""The grade of each answer's code; NaN for answers without one. "Both bad" is as good as a tie."""

_NO = ("", "false", "0", "0.0", "nan", "none", "no", "n", "f", "<na>")


def counted(votes: pd.DataFrame) -> NDArray[np.bool_]:
    """Return (N,): which votes count for scores and conduct.

    A vote counts unless a column of `ASIDE` sets it aside: gold and practice pairs have a known
    answer, revised votes were answered anew, and excluded ones fell under a rule of the study. A
    column sets a vote aside by any value but an empty one, 0, false or no.

    Examples:
        >>> counted(pd.DataFrame({"gold": ["", "left"], "revised": [False, False]}))
        array([ True, False])
    """
    return ~set_aside(votes, len(votes))


def on_gold(votes: pd.DataFrame) -> NDArray[np.bool_]:
    """Return (N,): the votes on gold pairs that gold accuracy is made of.

    Practice, revised and excluded votes are left out, as they are for scores.
    """
    size = len(votes)
    others = [name for name in ASIDE if name != "gold"]
    return set_aside(votes, size, ("gold",)) & ~set_aside(votes, size, others)


def left_out(votes: pd.DataFrame) -> dict[str, int]:
    """Return how many votes each column of `ASIDE` sets aside; a vote set aside twice counts once.

    It counts for the first of the columns. Columns that set nothing aside are not listed, so the
    counts add up to the votes that are not `counted`.
    """
    first = _first_aside(votes)
    return {name: int(mine.sum()) for name in ASIDE if (mine := first == name).any()}


def exclusions(votes: pd.DataFrame) -> dict[str, int]:
    """Return how many votes each reason of the column `excluded` leaves out, the largest first.

    The counts add up to `left_out(votes)["excluded"]`.
    """
    reasons = votes.loc[_first_aside(votes) == "excluded", "excluded"]
    return dict(Counter(map(str, reasons)).most_common())


def left_wins(votes: pd.DataFrame) -> NDArray[np.float64]:
    """Return (N,) float64: the share of a win that each vote gives the arm on the left."""
    return WINS_OF_LEFT.take(pd.Categorical(votes["answer"], list(ANSWERS)).codes)


def tied(votes: pd.DataFrame) -> NDArray[np.bool_]:
    """Return (N,): which votes name no winner: ties, and "both bad" among them."""
    return left_wins(votes) == TIED


def set_aside(
    columns: pd.DataFrame | Mapping[str, Any], size: int, names: Sequence[str] = ASIDE
) -> NDArray[np.bool_]:
    """Return (size,): which votes one of these columns sets aside; absent columns set none."""
    aside = np.zeros(size, bool)
    for name in names:
        if name in columns:
            found = pd.Categorical(columns[name])
            says = ~found.categories.astype(str).str.strip().str.lower().isin(_NO)
            # The last entry is for codes of −1: a missing value says nothing.
            aside |= np.append(np.asarray(says, bool), False)[found.codes]
    return aside


def _first_aside(votes: pd.DataFrame) -> NDArray[np.object_]:
    """(N,) the first column of `ASIDE` that sets each vote aside; empty for votes that count."""
    first = np.full(len(votes), "", object)
    for name in reversed(ASIDE):
        first[set_aside(votes, len(votes), (name,))] = name
    return first
