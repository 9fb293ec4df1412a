"""What an owner wants to know of the votes so far; plain functions of the votes table.

They take the columns of votes.csv. Answers taken back never count; gold and repeated pairs, and
excluded raters, count where a function says so.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from analysis.ballots import RATER_KINDS, RaterKind
from study_app.rules import counted, of_kind, repeats_alike, scored, standing


def votes_by_question(votes: pd.DataFrame) -> Counter[str]:
    """How many of the votes wanted each question has."""
    return Counter(counted(votes)["question"])


def median_seconds(votes: pd.DataFrame) -> float:
    """The median time a vote took; NaN when no time is known."""
    known = standing(votes)["seconds"].dropna().to_numpy()
    return float(np.median(known)) if len(known) else math.nan


def response_times(votes: pd.DataFrame) -> pd.DataFrame:
    """One row a (rater_kind, question): `n` known times, their `p10`, `p50`, `p90` in seconds."""
    known = standing(votes).dropna(subset=["seconds"])
    rows = [
        (kind, question, len(own), *np.percentile(own["seconds"], [10, 50, 90]))
        for (kind, question), own in known.groupby(["rater_kind", "question"])
    ]
    return pd.DataFrame(rows, columns=["rater_kind", "question", "n", "p10", "p50", "p90"])


def votes_per_hour(votes: pd.DataFrame, rater_kind: RaterKind) -> pd.DataFrame:
    """Columns `hour` (UTC, its start) and `votes`, empty hours between included."""
    votes = standing(votes)
    times = votes.loc[votes["rater_kind"] == rater_kind, "created_at"]
    if times.empty:
        return pd.DataFrame({"hour": [], "votes": []})
    counts = times.dt.floor("h").value_counts()
    hours = pd.date_range(counts.index.min(), counts.index.max(), freq="h")
    return pd.DataFrame({"hour": hours, "votes": counts.reindex(hours, fill_value=0).to_numpy()})


@dataclass(frozen=True, slots=True)
class TimeToFinish:
    """How long the study will take at its present pace.

    Attributes:
        votes: that are still wanted.
        per_hour: pace; NaN when there is none to go by.
        remaining: at that pace; None with `reason`.
        reason: why there is no forecast.
    """

    votes: int
    per_hour: float
    remaining: timedelta | None
    reason: str = ""


def time_to_finish(
    votes: pd.DataFrame, wanted: Mapping[str, int], now: datetime, hours: float = 24.0
) -> TimeToFinish:
    """When people will have given the votes wanted, at the pace of the last `hours`.

    The pace is that of the time since the first vote in those hours, at least a quarter of an
    hour, so that a study just begun is not measured by the silence before it.
    """
    people = counted(of_kind(votes, "person"))
    done = votes_by_question(people)
    left = sum(max(0, goal - done[question]) for question, goal in wanted.items())
    if not left:
        return TimeToFinish(0, math.nan, timedelta(0))
    recent = people.loc[people["created_at"] > pd.Timestamp(now) - pd.Timedelta(hours=hours)]
    if recent.empty:
        return TimeToFinish(left, math.nan, None, f"no votes in the last {hours:g} hours")
    since = (pd.Timestamp(now) - recent["created_at"].min()) / pd.Timedelta(hours=1)
    per_hour = len(recent) / max(float(since), 0.25)
    return TimeToFinish(left, per_hour, timedelta(hours=left / per_hour))


def side_bias(votes: pd.DataFrame) -> pd.DataFrame:
    """How often the left image was chosen, ties aside; half and half means no bias.

    Returns:
        One row a (rater_kind, question): `left`, `tie`, `right` as counts, `left_share` of the
        decided votes with its 95% Wilson interval `ci_low`, `ci_high`; NaN without decided votes.
    """
    votes = counted(votes)
    counts = Counter(zip(votes["rater_kind"], votes["question"], votes["answer"], strict=True))
    rows = []
    for kind in RATER_KINDS:
        for question in sorted(set(votes["question"])):
            left, right, tie = (
                counts[kind, question, answer] for answer in ("left", "right", "tie")
            )
            tie += counts[kind, question, "both_bad"]
            if left + right + tie:
                share = left / (left + right) if left + right else math.nan
                rows.append((kind, question, left, tie, right, share, *wilson(left, left + right)))
    names = ["rater_kind", "question", "left", "tie", "right", "left_share", "ci_low", "ci_high"]
    return pd.DataFrame(rows, columns=names)


def gold_accuracy(votes: pd.DataFrame) -> pd.DataFrame:
    """How often gold pairs were answered rightly.

    Returns:
        One row a (rater_kind, question): `n`, `right`, `accuracy` with its 95% Wilson interval
        `ci_low`, `ci_high`.
    """
    votes = standing(votes)
    gold = votes.loc[votes["gold"] != ""]
    rows = []
    for (kind, question), own in gold.groupby(["rater_kind", "question"]):
        right = int((own["answer"] == own["gold"]).sum())
        rows.append((kind, question, len(own), right, right / len(own), *wilson(right, len(own))))
    names = ["rater_kind", "question", "n", "right", "accuracy", "ci_low", "ci_high"]
    return pd.DataFrame(rows, columns=names)


def repeat_agreement(votes: pd.DataFrame) -> pd.DataFrame:
    """How often a repeated pair was answered as before.

    Returns:
        One row a rater_kind: `n`, `alike`, `share` with its 95% Wilson interval.
    """
    rows = []
    for kind in RATER_KINDS:
        alike = repeats_alike(standing(of_kind(votes, kind)))
        n, same = len(alike), int(alike.sum())
        if n:
            rows.append((kind, n, same, same / n, *wilson(same, n)))
    return pd.DataFrame(rows, columns=["rater_kind", "n", "alike", "share", "ci_low", "ci_high"])


def agreement(votes: pd.DataFrame) -> pd.DataFrame:
    """How far raters agree on pairs that several of them answered.

    Returns:
        One row a (rater_kind, question, measure), the measures being `raw_agreement` and
        `krippendorff_alpha`: `value`, NaN with a `reason`; `n` pairs.
    """
    from analysis import read_votes
    from analysis.raters import agreement as measures_of

    rows = []
    for (kind, question), own in scored(votes).groupby(["rater_kind", "question"]):
        for measure in measures_of(read_votes(own)):
            rows.append((kind, question, measure.name, measure.value, measure.n, measure.reason))
    return pd.DataFrame(rows, columns=["rater_kind", "question", "measure", "value", "n", "reason"])


def rater_table(votes: pd.DataFrame) -> pd.DataFrame:
    """One row a rater who voted: how much, how fast, how one-sided, and when last.

    `gold` is the accuracy on gold pairs, `repeats` the agreement with themselves, NaN without any;
    `excluded` the reason by a rule of the study, empty for none.
    """
    names = ["rater", "rater_kind", "votes", "median_seconds", "left", "ties", "last_vote"]
    votes = standing(votes)
    if votes.empty:
        return pd.DataFrame(columns=[*names, "gold", "repeats", "excluded"])
    no_side = votes["answer"].isin(["tie", "both_bad"])
    marked = votes.assign(left=votes["answer"] == "left", ties=no_side)
    table = marked.groupby(["rater", "rater_kind"], as_index=False).agg(
        votes=("answer", "size"),
        median_seconds=("seconds", "median"),
        left=("left", "mean"),
        ties=("ties", "mean"),
        last_vote=("created_at", "max"),
    )
    raters = table["rater"]
    if {"gold", "repeat_of", "excluded"} <= set(votes.columns):
        gold = votes.loc[votes["gold"] != ""]
        accuracy = (gold["answer"] == gold["gold"]).groupby(gold["rater"]).mean()
        alike = repeats_alike(votes)
        table["gold"] = raters.map(accuracy).astype("float64")
        table["repeats"] = raters.map(alike.groupby(level=0).mean()).astype("float64")
        table["excluded"] = raters.map(votes.groupby("rater")["excluded"].first())
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
