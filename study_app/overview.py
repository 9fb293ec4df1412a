"""What an owner wants to know of the votes so far; plain functions of the votes table."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pandas as pd

from .domain import RATER_KINDS, USUAL_ANSWERS, RaterKind


def of_kind(votes: pd.DataFrame, rater_kind: RaterKind) -> pd.DataFrame:
    """The votes of people, or of simulated raters."""
    return votes.loc[votes["rater_kind"] == rater_kind]


def votes_by_question(votes: pd.DataFrame) -> Counter[str]:
    """How many votes each question has."""
    return Counter(votes["question"])


def median_seconds(votes: pd.DataFrame) -> float:
    """The median time a vote took; NaN when no time is known."""
    known = votes["seconds"].dropna().to_numpy()
    return float(np.median(known)) if len(known) else math.nan


def votes_per_hour(votes: pd.DataFrame, rater_kind: RaterKind) -> pd.DataFrame:
    """Columns `hour` (UTC, its start) and `votes`, empty hours between included."""
    times = votes.loc[votes["rater_kind"] == rater_kind, "created_at"]
    if times.empty:
        return pd.DataFrame({"hour": [], "votes": []})
    counts = times.dt.floor("h").value_counts()
    hours = pd.date_range(counts.index.min(), counts.index.max(), freq="h")
    return pd.DataFrame({"hour": hours, "votes": counts.reindex(hours, fill_value=0).to_numpy()})


def side_bias(votes: pd.DataFrame) -> pd.DataFrame:
    """How often the left image was chosen, ties aside; half and half means no bias.

    Returns:
        One row a (rater_kind, question): `left`, `tie`, `right` as counts, `left_share` of the
        decided votes with its 95% Wilson interval `ci_low`, `ci_high`; NaN without decided votes.
    """
    counts = Counter(zip(votes["rater_kind"], votes["question"], votes["answer"], strict=True))
    rows = []
    for kind in RATER_KINDS:
        for question in sorted(set(votes["question"])):
            left, right, tie = (counts[kind, question, answer] for answer in USUAL_ANSWERS)
            if left + right + tie:
                share = left / (left + right) if left + right else math.nan
                rows.append((kind, question, left, tie, right, share, *wilson(left, left + right)))
    names = ["rater_kind", "question", "left", "tie", "right", "left_share", "ci_low", "ci_high"]
    return pd.DataFrame(rows, columns=names)


def rater_table(votes: pd.DataFrame) -> pd.DataFrame:
    """One row a rater who voted: how much, how fast, how one-sided, and when last."""
    if votes.empty:
        names = ["rater", "rater_kind", "votes", "median_seconds", "left", "ties", "last_vote"]
        return pd.DataFrame(columns=names)
    marked = votes.assign(left=votes["answer"] == "left", ties=votes["answer"] == "tie")
    table = marked.groupby(["rater", "rater_kind"], as_index=False).agg(
        votes=("answer", "size"),
        median_seconds=("seconds", "median"),
        left=("left", "mean"),
        ties=("ties", "mean"),
        last_vote=("created_at", "max"),
    )
    return table.sort_values(["rater_kind", "votes", "rater"], ascending=[True, False, True])


def wilson(successes: int, n: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's score interval of a share; (NaN, NaN) when n is 0.

    Wilson, E. B. (1927), J. Am. Stat. Assoc. 22, 209-212. It treats votes as independent, so for
    many votes of few raters it is too narrow: good enough for a glance.
    """
    if n == 0:
        return math.nan, math.nan
    share = successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, middle - half), min(1.0, middle + half)
