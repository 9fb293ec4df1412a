"""How a study was conducted: raters, their habits and how far they agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .intervals import Interval, clustered_mean


@dataclass(frozen=True)
class Measure:
    """One number about a study's conduct.

    Attributes:
        name: a short stable name, `side_bias`.
        value: NaN where undefined, with `reason`.
        interval: None for plain counts.
        n: what the value was made of (votes, raters or pairs).
        reason: why the value is missing; empty when it isn't.
    """

    name: str
    value: float
    n: int
    interval: Interval | None = None
    reason: str = ""


def study_conduct(votes: pd.DataFrame) -> pd.DataFrame:
    """Conduct of each question and kind of rater.

    Args:
        votes: what `read_votes` returned.

    Returns:
        A row a measure: question, rater_kind, measure, value, low, high, n, reason. Measures:
        votes, raters, votes_per_rater (median), tie_share, side_bias (share of left among
        decided votes; ½ is none), seconds_p10, seconds_p50, seconds_p90, raw_agreement and
        krippendorff_alpha (over pairs that several raters answered).
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


def _measures(votes: pd.DataFrame) -> list[Measure]:
    raters = np.asarray(votes["rater"].cat.codes, np.int64)
    each = np.unique(raters, return_counts=True)[1]
    answer = votes["answer"].cat.codes.to_numpy(np.int64)  # left, right, tie
    tied, left = answer == 2, (answer == 0).astype(np.float64)
    return [
        Measure("votes", len(votes), len(votes)),
        Measure("raters", len(each), len(each)),
        Measure("votes_per_rater", float(np.median(each)), len(each)),
        _share("tie_share", tied.astype(np.float64), raters, "no votes"),
        _share("side_bias", left[~tied], raters[~tied], "every vote is a tie"),
        *_response_times(votes),
        *agreement(votes),
    ]


def _share(
    name: str, values: NDArray[np.float64], raters: NDArray[np.int64], reason: str
) -> Measure:
    if not len(values):
        return Measure(name, np.nan, 0, reason=reason)
    return Measure(name, float(values.mean()), len(values), clustered_mean(values, raters))


def _response_times(votes: pd.DataFrame) -> list[Measure]:
    seconds = votes["seconds"].dropna().to_numpy() if "seconds" in votes else np.array([])
    if not len(seconds):
        return [Measure("seconds_p50", np.nan, 0, reason="votes carry no response times")]
    return [
        Measure(f"seconds_p{q}", float(np.percentile(seconds, q)), len(seconds))
        for q in (10, 50, 90)
    ]


def agreement(votes: pd.DataFrame) -> tuple[Measure, Measure]:
    """How far raters agree on pairs that several of them answered.

    A unit is one pair of samples: prompt, replica and two arms, whichever side they stood on. The
    answers are "the arm that comes first in the arms' order", "the other", "tie". A rater who
    answered a unit twice counts with the first answer.

    Args:
        votes: votes on one question.

    Returns:
        raw_agreement: share of agreeing answers among pairs of raters, units weighted equally.
        krippendorff_alpha: nominal alpha (Krippendorff 2011, "Computing Krippendorff's
            alpha-reliability"): 1 perfect, 0 as by chance.
    """
    counts = _answers_by_unit(votes)
    counts = counts[counts.sum(axis=1) > 1]
    if not len(counts):
        reason = "no pair was answered by two raters"
        return (
            Measure("raw_agreement", np.nan, 0, reason=reason),
            Measure("krippendorff_alpha", np.nan, 0, reason=reason),
        )
    raters = counts.sum(axis=1)
    same = (counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))
    raw = Measure("raw_agreement", float(same.mean()), len(counts))
    totals, n = counts.sum(axis=0), raters.sum()
    observed = (raters**2 - (counts**2).sum(axis=1)) / (raters - 1)
    expected = (n**2 - (totals**2).sum()) / (n - 1)
    if expected == 0:
        reason = "every answer is the same, so chance can't be told from agreement"
        return raw, Measure("krippendorff_alpha", np.nan, len(counts), reason=reason)
    alpha = float(1 - observed.sum() / expected)
    return raw, Measure("krippendorff_alpha", alpha, len(counts))


def _answers_by_unit(votes: pd.DataFrame) -> NDArray[np.float64]:
    """(units, 3) answers a pair of samples: first arm, second arm, tie."""
    left = votes["arm_left"].cat.codes.to_numpy(np.int64)
    right = votes["arm_right"].cat.codes.to_numpy(np.int64)
    answer = votes["answer"].cat.codes.to_numpy(np.int64)  # left, right, tie
    keys: Sequence[str] = [name for name in ("prompt_id", "replica") if name in votes]
    units = pd.DataFrame({"low": np.minimum(left, right), "high": np.maximum(left, right)})
    for name in keys:
        units[name] = votes[name].to_numpy()
    unit = units.groupby(list(units.columns), observed=True, sort=False).ngroup().to_numpy()
    turned = np.where((left > right) & (answer < 2), 1 - answer, answer)
    first = ~pd.DataFrame({"unit": unit, "rater": votes["rater"].to_numpy()}).duplicated()
    counts = np.bincount((unit * 3 + turned)[first], minlength=3 * (unit.max(initial=-1) + 1))
    return counts.reshape(-1, 3).astype(np.float64)
