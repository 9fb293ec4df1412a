"""How a study was conducted: its votes, sides, ties, times and how far raters agree.

Every number is of the votes that count for scores (`counted`), gold accuracy of gold pairs under
the same rules (`on_gold`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.ballots import counted, left_wins, tied
from analysis.scores import Interval

from .agreement import agreement, gold_accuracy, repeat_consistency
from .limits import TOO_FAST
from .measure import Measure, share_of


@dataclass(frozen=True, slots=True)
class Sides:
    """Which side raters chose, on one question.

    Attributes:
        left: votes for the image on the left.
        tie: votes that name no winner, "both bad" among them.
        right: votes for the image on the right.
        bias: share of left among decided votes, its interval clustered by rater; ½ is no bias.
    """

    left: int
    tie: int
    right: int
    bias: Measure


@dataclass(frozen=True, slots=True)
class ResponseTimes:
    """How long votes on one question took, in seconds; NaN where no time is known.

    Attributes:
        n: votes whose time is known.
        p10: a tenth of them took less.
        p50: the median.
        p90: a tenth of them took longer.
    """

    n: int
    p10: float
    p50: float
    p90: float


def study_conduct(votes: pd.DataFrame) -> pd.DataFrame:
    """Return the conduct of each question and kind of rater.

    Args:
        votes: what `read_votes` returned.

    Returns:
        One row per measure: question, rater_kind, measure, value, low, high, n, reason. Measures:
        votes, raters, votes_per_rater (median), tie_share, side_bias (share of left among
        decided votes; ½ is none), seconds_p10, seconds_p50, seconds_p90, fast_share (votes given
        in less than `TOO_FAST` seconds), raw_agreement and krippendorff_alpha (over pairs that
        several raters answered), repeat_consistency, gold_accuracy. Shares are clustered by
        rater; low and high are NaN for counts and times.

    Examples:
        >>> conduct = study_conduct(votes).set_index("measure")["value"]
        >>> conduct[["votes", "raters", "seconds_p50"]].tolist()
        [36.0, 6.0, 2.5]
    """
    columns = ["question", "rater_kind", "measure", "value", "low", "high", "n", "reason"]
    rows: list[tuple[Any, ...]] = []
    for (question, kind), of_ballot in votes.groupby(["question", "rater_kind"], observed=True):
        for measure in _measures(of_ballot):
            bounds = measure.interval or Interval.undefined("")
            reason = measure.reason or bounds.reason
            rows.append(
                (question, kind, measure.name, measure.value, bounds.low, bounds.high, measure.n,
                 reason)
            )  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def side_bias(votes: pd.DataFrame) -> Sides:
    """Count which side was chosen.

    The bias is left / (left + right), with Wilson's interval clustered by rater
    (`analysis.scores.clustered_share`).

    Args:
        votes: votes on one question by one kind of rater; only those that count are taken.

    Examples:
        >>> sides = side_bias(votes)
        >>> sides.left, sides.tie, sides.right, sides.bias.value
        (16, 4, 16, 0.5)
    """
    votes = votes[counted(votes)]
    wins, decided = left_wins(votes), ~tied(votes)
    reason = "every vote is a tie" if len(votes) else "no votes"
    bias = share_of("side_bias", wins[decided] == 1, _raters(votes)[decided], reason)
    return Sides(int((wins == 1).sum()), int((~decided).sum()), int((wins == 0).sum()), bias)


def response_times(votes: pd.DataFrame) -> ResponseTimes:
    """Return the 10th, 50th and 90th percentile of the seconds that votes took.

    Args:
        votes: votes on one question; only those that count are taken.

    Examples:
        >>> response_times(votes)
        ResponseTimes(n=36, p10=2.5, p50=2.5, p90=2.5)
    """
    seconds = _known_seconds(votes[counted(votes)])
    if seconds.empty:
        return ResponseTimes(0, np.nan, np.nan, np.nan)
    return ResponseTimes(len(seconds), *map(float, np.percentile(seconds, [10, 50, 90])))


def _measures(votes: pd.DataFrame) -> list[Measure]:
    kept = votes[counted(votes)]
    each = np.unique(_raters(kept), return_counts=True)[1]
    return [
        Measure("votes", len(kept), len(kept)),
        Measure("raters", len(each), len(each)),
        _votes_per_rater(each),
        share_of("tie_share", tied(kept), _raters(kept), "no votes"),
        side_bias(kept).bias,
        *_time_measures(kept),
        *agreement(kept),
        repeat_consistency(kept),
        gold_accuracy(votes),
    ]


def _votes_per_rater(each: NDArray[np.int64]) -> Measure:
    if not len(each):
        return Measure.undefined("votes_per_rater", "no votes")
    return Measure("votes_per_rater", float(np.median(each)), len(each))


def _time_measures(votes: pd.DataFrame) -> list[Measure]:
    times, seconds = response_times(votes), _known_seconds(votes)
    if not times.n:
        return [Measure.undefined("seconds_p50", "votes carry no response times")]
    fast = (seconds < TOO_FAST).to_numpy()
    return [
        Measure("seconds_p10", times.p10, times.n),
        Measure("seconds_p50", times.p50, times.n),
        Measure("seconds_p90", times.p90, times.n),
        share_of("fast_share", fast, _raters(votes.loc[seconds.index]), "no times"),
    ]


def _known_seconds(votes: pd.DataFrame) -> pd.Series[float]:
    if "seconds" not in votes:
        return pd.Series(dtype=np.float64)
    return votes["seconds"].dropna().astype(np.float64)


def _raters(votes: pd.DataFrame) -> NDArray[np.int64]:
    return np.asarray(votes["rater"].cat.codes, np.int64)
