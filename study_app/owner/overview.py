"""What an owner wants to know of the votes so far, beside what `analysis` says of any votes.

Functions of the columns of votes.csv. How raters did (sides, times, agreement, attention) is
`analysis.raters.study_conduct`, the report's own numbers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from analysis.ballots import RaterKind, read_votes
from analysis.raters import rater_screens
from study_app.rules import filling_quota, of_kind

from .limits import PACE_HOURS, SHORTEST_PACE


def votes_by_question(votes: pd.DataFrame) -> Counter[str]:
    """Return how many of the votes wanted each question has."""
    counts = filling_quota(votes)["question"].value_counts()
    return Counter({str(question): int(n) for question, n in counts.items()})


def votes_per_hour(votes: pd.DataFrame, rater_kind: RaterKind) -> pd.DataFrame:
    """Return votes that stand by `hour` (its start, UTC), empty hours between included."""
    standing = of_kind(votes, rater_kind)
    times = standing.loc[~standing["revised"].astype(bool), "created_at"]
    if times.empty:
        return pd.DataFrame({"hour": [], "votes": []})
    counts = times.dt.floor("h").value_counts()
    hours = pd.date_range(counts.index.min(), counts.index.max(), freq="h")
    return pd.DataFrame({"hour": hours, "votes": counts.reindex(hours, fill_value=0).to_numpy()})


@dataclass(frozen=True, slots=True)
class TimeToFinish:
    """How long the study will take at its present pace.

    Attributes:
        votes: votes still wanted.
        per_hour: the pace; NaN when there is none to go by.
        remaining: the time left at that pace; None with `reason`.
        reason: why there is no forecast.
    """

    votes: int
    per_hour: float
    remaining: timedelta | None
    reason: str = ""


def time_to_finish(
    votes: pd.DataFrame, wanted: Mapping[str, int], now: datetime, hours: float = PACE_HOURS
) -> TimeToFinish:
    """Return when people will have given the votes wanted, at the pace of the last `hours`.

    The pace counts from the first vote in those hours, so that a study just begun is not measured
    by the silence before it.
    """
    people = filling_quota(of_kind(votes, "person"))
    done = votes_by_question(people)
    left = sum(max(0, goal - done[question]) for question, goal in wanted.items())
    if not left:
        return TimeToFinish(0, math.nan, timedelta(0))
    recent = people.loc[people["created_at"] > pd.Timestamp(now) - pd.Timedelta(hours=hours)]
    if recent.empty:
        return TimeToFinish(left, math.nan, None, f"no votes in the last {hours:g} hours")
    since = (pd.Timestamp(now) - recent["created_at"].min()) / pd.Timedelta(hours=1)
    per_hour = len(recent) / max(float(since), SHORTEST_PACE)
    return TimeToFinish(left, per_hour, timedelta(hours=left / per_hour))


def rater_table(votes: pd.DataFrame) -> pd.DataFrame:
    """Return the habits of each rater, excluded ones too, those with most votes first.

    Returns:
        The columns of `analysis.raters.rater_screens`, `last_vote` (UTC) and `excluded` (the rule
        that leaves the rater out; empty for none).
    """
    table = rater_screens(read_votes(votes), with_excluded=True)
    by_rater = votes.groupby("rater")
    table["last_vote"] = table["rater"].map(by_rater["created_at"].max())
    table["excluded"] = table["rater"].map(by_rater["excluded"].first())
    return table.sort_values(["rater_kind", "votes", "rater"], ascending=[True, False, True])
