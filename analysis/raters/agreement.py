"""How far raters agree with each other, with themselves and with known answers.

A unit is one pair of samples: question, kind of rater, prompt, replica and two arms, whichever
side they stood on. Answers are about arms: "the arm that comes first in the arms' order", "the
other", "tie", "both bad". Grades of an answer ("slightly", "strongly") count as that answer.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Bool
from numpy.typing import NDArray

from analysis.ballots import ANSWERS, counted, on_gold
from analysis.scores import Interval

from .measure import Measure, share_of

_OUTCOMES = len(ANSWERS)
_PLAIN = np.array([list(ANSWERS).index(answer.plain) for answer in ANSWERS.values()])
_MIRRORED = np.array([_PLAIN[list(ANSWERS).index(answer.mirrored)] for answer in ANSWERS.values()])
_BLOCK = 4_000_000  # resampled units held at once
_FEWEST_UNITS = 10  # before resampling them says anything
_LOST = 0.01  # share of resamples without a value that an interval bears


def agreement(votes: pd.DataFrame, rounds: int = 1000, seed: int = 0) -> tuple[Measure, Measure]:
    """Measure how far raters agree on pairs that several of them answered.

    With o the disagreement observed within units and e the one expected by chance,

        raw agreement = mean over units of the share of agreeing pairs of raters,
        α = 1 − o / e

    (nominal alpha: Krippendorff 2011, "Computing Krippendorff's alpha-reliability"). A rater who
    answered a unit twice counts with the first answer. The intervals are percentiles of `rounds`
    resamples of units (Zapf et al. 2016, doi:10.1186/s12874-016-0200-9).

    Args:
        votes: votes on one question; those set aside are left out.
        rounds: of the bootstrap; 0 for no intervals.
        seed: of the bootstrap.

    Returns:
        raw_agreement: share of agreeing answers among pairs of raters, 0 to 1.
        krippendorff_alpha: 1 is perfect agreement, 0 is what chance gives; it may be negative.

    Examples:
        >>> raw, alpha = agreement(votes)
        >>> round(raw.value, 2), round(alpha.value, 2)
        (0.53, 0.19)
    """
    counts = _answers_by_unit(votes[counted(votes)])
    counts = counts[counts.sum(axis=1) > 1]
    if not len(counts):
        reason = "no pair was answered by two raters"
        return (
            Measure.undefined("raw_agreement", reason),
            Measure.undefined("krippendorff_alpha", reason),
        )
    parts = _unit_parts(counts)
    raw, alpha = (float(v[0]) for v in _coefficients(parts.sum(axis=0)[None]))
    draws = _coefficients(_resampled(parts, rounds, seed))
    measures: list[Measure] = []
    for name, value, drawn in zip(("raw_agreement", "krippendorff_alpha"), (raw, alpha), draws,
                                  strict=True):  # fmt: skip
        reason = ""
        # Alpha compares with chance, which has nothing to disagree about where answers are equal.
        if np.isnan(value):
            reason = "every answer is the same, so chance can't be told from agreement"
        measures.append(Measure(name, value, len(counts), _percentiles(drawn, len(counts)), reason))
    return measures[0], measures[1]


def repeat_consistency(votes: pd.DataFrame) -> Measure:
    """Return the share of repeated pairs that their raters answered alike, whatever the sides.

    The interval is Wilson's, clustered by rater (`analysis.scores.clustered_share`).

    Args:
        votes: votes on one question; only those that count are taken (`counted`).

    Examples:
        >>> twice = pd.concat([votes, votes.head(6)], ignore_index=True)  # one rater answers again
        >>> repeat_consistency(twice).value
        1.0
    """
    found = repeats(votes)
    return share_of(
        "repeat_consistency", found["alike"].to_numpy(bool), found["code"].to_numpy(np.int64),
        "no rater saw a pair twice",
    )  # fmt: skip


def repeats(votes: pd.DataFrame) -> pd.DataFrame:
    """Return one row per pair that a rater was shown again: rater, code, alike.

    Repeats are found by the column `repeat_of` (the assignment repeated) where votes carry it,
    else as a rater's second vote on a unit. Where the first vote does not count, neither does its
    repeat.

    Args:
        votes: votes on one question; only those that count are taken (`counted`).

    Examples:
        >>> repeats(pd.concat([votes, votes.head(1)], ignore_index=True))
          rater  code  alike
        0    r0     0   True
    """
    votes = votes[counted(votes)]
    answers, raters = _turned(votes), _codes(votes["rater"])
    if "repeat_of" in votes and "assignment" in votes:
        again, original = _named_repeats(votes)
    else:
        again, original = _second_votes(_units(votes), raters)
    return pd.DataFrame(
        {
            "rater": votes["rater"].to_numpy()[again],
            "code": raters[again],
            "alike": answers[again] == answers[original],
        }
    )


def gold_accuracy(votes: pd.DataFrame) -> Measure:
    """Return the share of right answers to pairs whose right answer is known (column `gold`).

    The interval is Wilson's, clustered by rater (`analysis.scores.clustered_share`).

    Args:
        votes: votes on one question, gold pairs among them; those of `on_gold` are taken.

    Examples:
        >>> gold_accuracy(votes.assign(gold=votes["answer"])).value  # every answer is the right one
        1.0
    """
    asked, right = gold_answers(votes)
    return share_of("gold_accuracy", right, _codes(asked["rater"]), "votes hold no gold pairs")


def gold_answers(votes: pd.DataFrame) -> tuple[pd.DataFrame, Bool[NDArray[np.bool_], "asked"]]:
    """Return the votes on gold pairs (`on_gold`), and (N,) whether each answer is right.

    Examples:
        >>> asked, right = gold_answers(votes.assign(gold=["left"] + [""] * 35))
        >>> len(asked), right.tolist()
        (1, [False])
    """
    asked = votes[on_gold(votes)]
    if asked.empty:
        return asked, np.zeros(0, bool)
    given = np.array(list(ANSWERS), object)[_PLAIN[_codes(asked["answer"])]]
    return asked, asked["gold"].astype(str).to_numpy(object) == given


def _named_repeats(votes: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(R,) rows of votes whose `repeat_of` names an assignment here, and (R,) that one's rows."""
    # Through object: `astype(str)` of a column of missing numbers would make a name of "nan".
    first = pd.Series(np.arange(len(votes)), index=votes["assignment"].astype(str))
    named = votes["repeat_of"].astype(object).where(votes["repeat_of"].notna(), "").astype(str)
    again = np.flatnonzero((named.str.strip() != "").to_numpy())
    original = first.reindex(named.to_numpy()[again]).to_numpy()
    known = ~np.isnan(original)  # the original may be set aside, or left out of the file
    return again[known], original[known].astype(np.int64)


def _second_votes(
    units: NDArray[np.int64], raters: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(R,) rows of second votes of one rater on one unit, and (R,) rows of the first ones."""
    frame = pd.DataFrame({"unit": units, "rater": raters})
    keys = ["unit", "rater"]
    again = np.flatnonzero(frame.groupby(keys, sort=False).cumcount().to_numpy() == 1)
    start = frame.reset_index().drop_duplicates(keys).set_index(keys)["index"]
    wanted = pd.MultiIndex.from_frame(frame.iloc[again])
    return again, start.reindex(wanted).to_numpy(np.int64)


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
    turned = _codes(votes["arm_left"]) > _codes(votes["arm_right"])
    return np.where(turned, _MIRRORED[answer], _PLAIN[answer])


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
    """(R, …) sums of unit parts over units drawn with replacement.

    How often each unit is drawn is multinomial, so sums are products with counts and no resample
    is ever built.
    """
    rng = np.random.default_rng(seed)
    units = len(parts)
    block = max(1, _BLOCK // units)
    sums = [
        rng.multinomial(units, np.full(units, 1 / units), min(block, rounds - start)) @ parts
        for start in range(0, rounds, block)
    ]
    return np.concatenate(sums) if sums else np.empty((0, parts.shape[1]))


def _percentiles(drawn: NDArray[np.float64], units: int, level: float = 0.95) -> Interval:
    if units < _FEWEST_UNITS:
        return Interval.undefined(f"only {units} pairs to resample", level)
    if not len(drawn) or np.isnan(drawn).mean() > _LOST or np.ptp(drawn) == 0:
        return Interval.undefined("resamples show no variation", level)
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level)


def _codes(column: pd.Series) -> NDArray[np.int64]:
    return np.asarray(column.cat.codes, np.int64)
