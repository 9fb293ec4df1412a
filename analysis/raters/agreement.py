"""How far raters agree with each other, with themselves and with known answers.

A unit is one pair of samples: question, kind of rater, prompt, replica and two arms, whichever
side they stood on. Answers are about arms: "the arm that comes first in the arms' order", "the
other", "tie", "both bad".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.ballots import ANSWERS, counted
from analysis.scores import Interval, clustered_mean

_OUTCOMES = len(ANSWERS)
_BLOCK = 4_000_000  # resampled units held at once


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


def agreement(votes: pd.DataFrame, rounds: int = 1000, seed: int = 0) -> tuple[Measure, Measure]:
    """How far raters agree on pairs that several of them answered.

    A rater who answered a unit twice counts with the first answer. Intervals resample units
    (Zapf et al. 2016, doi:10.1186/s12874-016-0200-9), percentiles of `rounds` rounds.

    Args:
        votes: votes on one question; those set aside are left out.
        rounds: of the bootstrap; 0 for no intervals.
        seed: of the bootstrap.

    Returns:
        raw_agreement: share of agreeing answers among pairs of raters, units weighted equally.
        krippendorff_alpha: nominal alpha (Krippendorff 2011, "Computing Krippendorff's
            alpha-reliability"): 1 perfect, 0 as by chance.
    """
    counts = _answers_by_unit(votes[counted(votes)])
    counts = counts[counts.sum(axis=1) > 1]
    if not len(counts):
        reason = "no pair was answered by two raters"
        return (
            Measure("raw_agreement", np.nan, 0, reason=reason),
            Measure("krippendorff_alpha", np.nan, 0, reason=reason),
        )
    parts = _unit_parts(counts)
    raw, alpha = (float(v[0]) for v in _coefficients(parts.sum(axis=0)[None]))
    draws = _coefficients(_resampled(parts, rounds, seed))
    measures = []
    for name, value, drawn in zip(("raw_agreement", "krippendorff_alpha"), (raw, alpha), draws,
                                  strict=True):  # fmt: skip
        reason = ""
        if np.isnan(value):
            reason = "every answer is the same, so chance can't be told from agreement"
        measures.append(Measure(name, value, len(counts), _percentiles(drawn, len(counts)), reason))
    return measures[0], measures[1]


def repeat_consistency(votes: pd.DataFrame) -> Measure:
    """Share of pairs that a rater was shown again and answered alike (sides may have changed).

    Repeats are found by the column `repeat_of` (the assignment repeated) where votes carry it,
    else as a rater's second vote on a unit. Clustered by rater.

    Args:
        votes: votes on one question.
    """
    votes = votes[counted(votes)]
    frame = pd.DataFrame(
        {"unit": _units(votes), "answer": _turned(votes), "rater": _codes(votes["rater"])}
    )
    if "repeat_of" in votes and "assignment" in votes:
        first = pd.Series(np.arange(len(votes)), index=votes["assignment"].astype(str))
        again = np.flatnonzero(_said(votes["repeat_of"]))
        original = first.reindex(votes["repeat_of"].astype(str).to_numpy()[again]).to_numpy()
        again, original = again[~np.isnan(original)], original[~np.isnan(original)].astype(int)
    else:
        order = frame.groupby(["unit", "rater"], sort=False).cumcount().to_numpy()
        again = np.flatnonzero(order == 1)
        start = frame.reset_index().drop_duplicates(["unit", "rater"]).set_index(["unit", "rater"])
        keys = pd.MultiIndex.from_frame(frame.iloc[again][["unit", "rater"]])
        original = start["index"].reindex(keys).to_numpy(np.int64)
    if not len(again):
        return Measure("repeat_consistency", np.nan, 0, reason="no rater saw a pair twice")
    answers = frame["answer"].to_numpy()
    same = (answers[again] == answers[original]).astype(np.float64)
    raters = frame["rater"].to_numpy(np.int64)[again]
    return Measure(
        "repeat_consistency", float(same.mean()), len(same), clustered_mean(same, raters)
    )


def gold_accuracy(votes: pd.DataFrame) -> Measure:
    """Share of right answers to pairs whose right answer is known (column `gold`).

    Args:
        votes: votes on one question, gold pairs among them.
    """
    if "gold" not in votes or not (known := _said(votes["gold"])).any():
        return Measure("gold_accuracy", np.nan, 0, reason="votes hold no gold pairs")
    asked = votes[known]
    same = asked["gold"].astype(str) == asked["answer"].astype(str)
    right = np.asarray(same, np.float64)
    raters = _codes(asked["rater"])
    return Measure("gold_accuracy", float(right.mean()), len(right), clustered_mean(right, raters))


def _answers_by_unit(votes: pd.DataFrame) -> NDArray[np.float64]:
    """(units, answers) how many raters gave each answer to each pair of samples."""
    unit = _units(votes)
    first = ~pd.DataFrame({"unit": unit, "rater": _codes(votes["rater"])}).duplicated().to_numpy()
    cells = (unit * _OUTCOMES + _turned(votes))[first]
    counts = np.bincount(cells, minlength=_OUTCOMES * (unit.max(initial=-1) + 1))
    return counts.reshape(-1, _OUTCOMES).astype(np.float64)


def _units(votes: pd.DataFrame) -> NDArray[np.int64]:
    """(N,) which unit each vote is about."""
    left, right = _codes(votes["arm_left"]), _codes(votes["arm_right"])
    units = pd.DataFrame({"low": np.minimum(left, right), "high": np.maximum(left, right)})
    for name in ("prompt_id", "replica"):
        if name in votes:
            units[name] = votes[name].to_numpy()
    groups = units.groupby(list(units.columns), observed=True, sort=False)
    return np.asarray(groups.ngroup(), np.int64)


def _turned(votes: pd.DataFrame) -> NDArray[np.int64]:
    """(N,) answers as if the arm first in order stood on the left."""
    answer = _codes(votes["answer"])
    turned = (_codes(votes["arm_left"]) > _codes(votes["arm_right"])) & (answer < 2)
    return np.where(turned, 1 - answer, answer)


def _unit_parts(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """(units, …) what each adds: 1, agreement, disagreement, raters, and each answer's count."""
    raters = counts.sum(axis=1)
    same = (counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))
    observed = (raters**2 - (counts**2).sum(axis=1)) / (raters - 1)
    return np.column_stack([np.ones(len(counts)), same, observed, raters, counts])


def _coefficients(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Raw agreement and alpha of (R, …) sums of unit parts; alpha NaN where all answers agree."""
    units, same, observed, n, totals = *sums[:, :4].T, sums[:, 4:]
    expected = (n**2 - (totals**2).sum(axis=1)) / (n - 1)
    alpha = 1 - observed / np.where(expected > 0, expected, np.nan)
    return same / units, alpha


def _resampled(parts: NDArray[np.float64], rounds: int, seed: int) -> NDArray[np.float64]:
    """(R, …) sums of unit parts over units drawn with replacement."""
    rng = np.random.default_rng(seed)
    units = len(parts)
    block = max(1, _BLOCK // units)
    sums = [
        rng.multinomial(units, np.full(units, 1 / units), min(block, rounds - start)) @ parts
        for start in range(0, rounds, block)
    ]
    return np.concatenate(sums) if sums else np.empty((0, parts.shape[1]))


def _percentiles(drawn: NDArray[np.float64], units: int, level: float = 0.95) -> Interval:
    if units < 10:
        return Interval.undefined(f"only {units} pairs to resample", level)
    if not len(drawn) or np.isnan(drawn).mean() > 0.01 or np.ptp(drawn) == 0:
        return Interval.undefined("resamples show no variation", level)
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level)


def _said(column: pd.Series) -> NDArray[np.bool_]:
    text = column.astype(object).where(column.notna(), "").astype(str).str.strip()
    return (text != "").to_numpy()


def _codes(column: pd.Series) -> NDArray[np.int64]:
    return np.asarray(column.cat.codes, np.int64)
