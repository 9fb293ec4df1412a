"""Tables of a fit: arms by score, and how often one arm beats another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from .elo import MANY, EloFit, ranks_of
from .interval import Interval
from .intervals import EloIntervals, Sandwich, no_difference, probability_interval

READABLE = 30
"""Arms of a table of who beats whom, at most, where not all pairs are wanted."""


def elo_table(fit: EloFit, intervals: EloIntervals, anchor: str | None = None) -> pd.DataFrame:
    """Return the arms with their scores, best first; arms without a number come last.

    Scores of groups that the votes don't link aren't compared: each group has its own ranks.

    Args:
        fit: the scores.
        intervals: their intervals, by either method.
        anchor: an arm to measure from; None leaves scores with mean zero.

    Returns:
        rank (1 = highest of its group; 0 where there is no finite score), arm, elo, low, high (of
        σ_arm, or of σ_arm − σ_anchor), votes (comparisons the arm took part in), win_share (its
        share of them, ties half; NaN without votes), group, reason. Scores are in Elo points.

    Raises:
        ValueError: `anchor` is no arm of the fit.

    Examples:
        >>> table = elo_table(fit, intervals, anchor="unguided")
        >>> table[["rank", "arm", "elo"]].round().values.tolist()
        [[1, 'cfg-4', 165.0], [2, 'cfg-2', 144.0], [3, 'unguided', 0.0]]
    """
    against = None if anchor is None else fit.arms.index(anchor)
    values = fit.scores if against is None else fit.differences()[:, against]
    comparisons = fit.comparisons
    rows: list[tuple[Any, ...]] = []
    each = _many_bounds(fit, intervals, against)
    for i, arm in enumerate(fit.arms):
        if each is not None:
            bounds = each[i]
        else:
            bounds = intervals.score(i) if against is None else intervals.difference(i, against)
        votes = comparisons[i].sum()
        share = fit.wins[i].sum() / votes if votes else np.nan
        reason = "" if i == against else bounds.reason
        rows.append(
            (arm, values[i], bounds.low, bounds.high, int(votes), share, int(fit.groups[i]), reason)
        )
    columns = ["arm", "elo", "low", "high", "votes", "win_share", "group", "reason"]
    table = pd.DataFrame(rows, columns=columns)
    finite = np.isfinite(table["elo"])
    group = table["group"].where(finite, -1)
    order = np.lexsort([-table["elo"].fillna(-np.inf), group, ~finite])
    ranks = np.zeros(len(table), np.int64)
    for each in np.unique(group[finite]):
        own = np.flatnonzero(finite & (group == each))
        ranks[own] = ranks_of(table["elo"].to_numpy(np.float64)[own])
    table.insert(0, "rank", ranks)
    return table.iloc[order].reset_index(drop=True)


def _many_bounds(
    fit: EloFit, intervals: EloIntervals, against: int | None
) -> list[Interval] | None:
    """Return the intervals of many arms, all at once; None where they are few."""
    if len(fit.arms) <= MANY or not isinstance(intervals, Sandwich):
        return None
    every = range(len(fit.arms))
    if against is not None:
        return _many_differences(fit, intervals, [(i, against) for i in every])
    return intervals.contrasts(intervals.units(np.array(every)), fit.reasons)


def _many_differences(
    fit: EloFit, intervals: EloIntervals, pairs: list[tuple[int, int]]
) -> list[Interval] | None:
    """Return the intervals of pairs of many arms, all at once; None where they are few."""
    if len(fit.arms) <= MANY or not isinstance(intervals, Sandwich) or not pairs:
        return None
    i, j = np.array(pairs, np.int64).T
    reasons = [no_difference(fit, a, b) for a, b in pairs]
    found = intervals.contrasts(intervals.units(i) - intervals.units(j), reasons)
    return [
        Interval(0.0, 0.0, intervals.level) if a == b else own
        for (a, b), own in zip(pairs, found, strict=True)
    ]


def win_table(
    fit: EloFit, intervals: EloIntervals, arms: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return how often each arm beats each other one.

    Args:
        fit: the scores.
        intervals: their intervals, by either method.
        arms: whose pairs to return; None for all, or for the `READABLE` arms with the highest
            scores where there are more than `MANY`.

    The probability is 1 / (1 + 10^(−(σ_arm − σ_against) / 400)) (Nichol et al. 2021, A.1), and its
    interval is that of the difference, carried through the same curve.

    Returns:
        One row per ordered pair of arms:
        arm, against, probability (of the fit; 0, 1 or NaN where it has no finite difference),
        low, high, wins (ties half), n (votes between the two), observed (wins / n; NaN for
        n = 0), reason (why the probability has no interval).

    Examples:
        >>> win_table(fit, intervals)[["arm", "against", "wins", "n"]].head(1).values.tolist()
        [['unguided', 'cfg-2', 5.0, 12]]
    """
    probability, chosen = fit.win_probabilities(), range(len(fit.arms))
    if arms is None and len(fit.arms) > MANY:
        highest = np.argsort(-np.nan_to_num(fit.scores, nan=-np.inf), kind="stable")
        chosen = sorted(highest[:READABLE])
    elif arms is not None:
        chosen = [fit.arms.index(arm) for arm in arms]
    comparisons = fit.comparisons
    pairs = [(int(i), int(j)) for i in chosen for j in chosen if i != j]
    many = _many_differences(fit, intervals, pairs)
    rows: list[dict[str, Any]] = []
    for place, (i, j) in enumerate(pairs):
        arm, against = fit.arms[i], fit.arms[j]
        gap = intervals.difference(i, j) if many is None else many[place]
        bounds = probability_interval(gap)
        wins, n = fit.wins[i, j], comparisons[i, j]
        rows.append(
            {
                "arm": arm,
                "against": against,
                "probability": probability[i, j],
                "low": bounds.low,
                "high": bounds.high,
                "wins": wins,
                "n": int(n),
                "observed": wins / n if n else np.nan,
                "reason": bounds.reason,
            }
        )
    columns = ["arm", "against", "probability", "low", "high", "wins", "n", "observed", "reason"]
    return pd.DataFrame(rows, columns=columns)
