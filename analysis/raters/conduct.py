"""How a study was conducted: raters, their habits and how far they agree."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.ballots import counted
from analysis.scores import Interval, clustered_mean

from .agreement import Measure, agreement, gold_accuracy, repeat_consistency

TOO_FAST = 1.0
"""Seconds in which nobody compares two images."""

ONE_SIDED = 0.9
"""Share of decided votes for one side from which a rater is flagged."""

_FEWEST = 10  # votes before a rater's habits say anything


def study_conduct(votes: pd.DataFrame) -> pd.DataFrame:
    """Conduct of each question and kind of rater.

    Args:
        votes: what `read_votes` returned.

    Returns:
        A row a measure: question, rater_kind, measure, value, low, high, n, reason. Measures:
        votes, raters, votes_per_rater (median), tie_share, side_bias (share of left among
        decided votes; ½ is none), seconds_p10, seconds_p50, seconds_p90, fast_share (votes given
        in less than `TOO_FAST` seconds), raw_agreement and krippendorff_alpha (over pairs that
        several raters answered), repeat_consistency, gold_accuracy. The last one is of gold
        pairs, all others of votes that count.
    """
    columns = ["question", "rater_kind", "measure", "value", "low", "high", "n", "reason"]
    rows = []
    for (question, kind), of_ballot in votes.groupby(["question", "rater_kind"], observed=True):
        for measure in _measures(of_ballot):
            bounds = measure.interval or Interval.undefined("")
            reason = measure.reason or bounds.reason
            rows.append(
                (question, kind, measure.name, measure.value, bounds.low, bounds.high, measure.n,
                 reason)
            )  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def rater_screens(votes: pd.DataFrame) -> pd.DataFrame:
    """Each rater's habits beside limits, none of which looks at which arm won.

    Args:
        votes: what `read_votes` returned; votes set aside count only for gold.

    Returns:
        A row a rater: rater, rater_kind, votes, seconds (median; NaN without times), fast_share
        (of votes under `TOO_FAST` seconds), left_share (of decided votes), tie_share,
        gold_accuracy (NaN without gold pairs), flags (`too fast`, `one side`, `always ties`,
        `gold`, joined by commas; empty where none applies). Raters of fewer than ten votes are
        not flagged for sides or ties.
    """
    kept = votes[counted(votes)]
    answer = kept["answer"].astype(str)
    frame = pd.DataFrame(
        {
            "rater": kept["rater"].astype(str),
            "rater_kind": kept["rater_kind"].astype(str),
            "left": (answer == "left").where(answer.isin(["left", "right"])).astype(float),
            "tied": (~answer.isin(["left", "right"])).astype(float),
            "seconds": kept.get("seconds", np.nan),
        }
    )
    frame["fast"] = (frame["seconds"] < TOO_FAST).where(frame["seconds"].notna()).astype(float)
    of_rater = frame.groupby(["rater", "rater_kind"])
    table = pd.DataFrame(
        {
            "votes": of_rater.size(),
            "seconds": of_rater["seconds"].median(),
            "fast_share": of_rater["fast"].mean(),
            "left_share": of_rater["left"].mean(),
            "tie_share": of_rater["tied"].mean(),
        }
    ).reset_index()
    table["gold_accuracy"] = table["rater"].map(_gold_by_rater(votes))
    enough = table["votes"] >= _FEWEST
    side = table["left_share"].clip(lower=0) * 2 - 1
    flags = {
        "too fast": table["seconds"] < TOO_FAST,
        "one side": enough & (side.abs() >= 2 * ONE_SIDED - 1),
        "always ties": enough & (table["tie_share"] >= ONE_SIDED),
        "gold": table["gold_accuracy"] < 0.5,
    }
    marks = np.column_stack([np.where(flagged, name, "") for name, flagged in flags.items()])
    table["flags"] = [", ".join(mark for mark in row if mark) for row in marks.tolist()]
    return table


def _gold_by_rater(votes: pd.DataFrame) -> dict[str, float]:
    if "gold" not in votes:
        return {}
    gold = votes["gold"].astype(object).where(votes["gold"].notna(), "").astype(str)
    asked = votes[(gold != "").to_numpy()]
    right = asked["answer"].astype(str).to_numpy() == gold[gold != ""].to_numpy()
    shares = pd.Series(right.astype(float), index=asked["rater"].astype(str))
    return {str(name): float(share) for name, share in shares.groupby(level=0).mean().items()}


def _measures(votes: pd.DataFrame) -> list[Measure]:
    kept = votes[counted(votes)]
    raters = np.asarray(kept["rater"].cat.codes, np.int64)
    each = np.unique(raters, return_counts=True)[1]
    answer = kept["answer"].astype(str).to_numpy()
    decided = np.isin(answer, ["left", "right"])
    left, tied = (answer == "left").astype(np.float64), (~decided).astype(np.float64)
    return [
        Measure("votes", len(kept), len(kept)),
        Measure("raters", len(each), len(each)),
        _votes_per_rater(each),
        _share("tie_share", tied, raters, "no votes"),
        _share(
            "side_bias",
            left[decided],
            raters[decided],
            "every vote is a tie" if len(kept) else "no votes",
        ),
        *_response_times(kept, raters),
        *agreement(kept),
        repeat_consistency(kept),
        gold_accuracy(votes),
    ]


def _votes_per_rater(each: NDArray[np.int64]) -> Measure:
    if not len(each):
        return Measure("votes_per_rater", np.nan, 0, reason="no votes")
    return Measure("votes_per_rater", float(np.median(each)), len(each))


def _share(
    name: str, values: NDArray[np.float64], raters: NDArray[np.int64], reason: str
) -> Measure:
    if not len(values):
        return Measure(name, np.nan, 0, reason=reason)
    return Measure(name, float(values.mean()), len(values), clustered_mean(values, raters))


def _response_times(votes: pd.DataFrame, raters: NDArray[np.int64]) -> list[Measure]:
    known = votes["seconds"].notna().to_numpy() if "seconds" in votes else np.zeros(0, bool)
    if not known.any():
        return [Measure("seconds_p50", np.nan, 0, reason="votes carry no response times")]
    seconds = votes["seconds"].to_numpy(np.float64)[known]
    fast = (seconds < TOO_FAST).astype(np.float64)
    return [
        *(
            Measure(f"seconds_p{q}", float(np.percentile(seconds, q)), len(seconds))
            for q in (10, 50, 90)
        ),
        _share("fast_share", fast, raters[known], "no times"),
    ]
