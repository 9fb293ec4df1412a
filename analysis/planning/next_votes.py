"""What more votes would buy: narrower intervals, or the first arm told from the second.

The variance of a difference has a part that shrinks as raters and their votes come in (chance and
taste, 1/N), and, where votes are clustered by prompt too, a part that only more prompts shrink: the
two-way variance less the rater's. No model is fitted for it, so with few clusters it is rough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from analysis.scores.ballot_result import BallotResult
from analysis.scores.intervals import difference_contrast

_POWER = 0.8
_FEWEST = 9  # degrees of freedom, below which an error is too rough to plan by
_MOST = 50  # times the votes so far; more is as good as never


@dataclass(frozen=True)
class NextVotes:
    """Votes in all that a ballot would need, from raters like its own.

    Attributes:
        votes: that it has.
        halved: for intervals of differences half as wide; NaN where `_MOST` times as many on the
            same prompts are not enough.
        gap: Elo points between the first and the second arm.
        found: to find that gap in 80% of studies, were it the true one; NaN as for `halved`.
        settled: whether the first two arms are apart already.
    """

    votes: int
    halved: float
    gap: float
    found: float
    settled: bool


def next_votes(result: BallotResult) -> NextVotes | None:
    """What more votes would buy; None without intervals of two linked arms by ten raters or so."""
    fit, intervals = result.fit, result.intervals
    scored = np.flatnonzero(np.isfinite(fit.scores))
    if intervals.reason or len(scored) < 2:
        return None
    order = scored[np.argsort(-fit.scores[scored], kind="stable")]
    together = order[fit.groups[order] == fit.groups[order[0]]]
    if len(together) < 2:
        return None
    K, votes = len(fit.arms), result.ballot.votes
    first, second = int(together[0]), int(together[1])
    interval, leading = intervals.difference(first, second), difference_contrast(K, first, second)
    if interval.reason or intervals.covariance.df(leading) < _FEWEST:
        return None
    pairs = [difference_contrast(K, int(i), int(j)) for i in together for j in together if i < j]
    parts = np.mean([_parts(result, pair) for pair in pairs], axis=0)
    lead = _parts(result, leading)
    gap = float(fit.scores[first] - fit.scores[second])
    error = gap / (ndtri((1 + interval.level) / 2) + ndtri(_POWER))
    return NextVotes(
        votes,
        _needed(votes, parts, parts.sum() / 4),
        gap,
        _needed(votes, lead, float(error**2)),
        bool(interval.low > 0),
    )


def next_votes_words(found: NextVotes | None, labels: tuple[str, str]) -> str:
    """The answer in a sentence or two; empty without one.

    Args:
        found: what `next_votes` returned.
        labels: of the first and the second arm.
    """
    if found is None:
        return ""
    told = "With more raters like these, intervals half as wide need "
    if np.isnan(found.halved):
        told += "more prompts: more votes on the same ones are not enough"
    else:
        told += f"about {_round(found.halved)} votes in all (now {found.votes:,})"
    if found.settled or found.gap <= 0:
        return told + "."
    pair = f"{labels[0]} from {labels[1]}, {found.gap:.0f} Elo apart"
    if np.isnan(found.found):
        return f"{told}. Even {_MOST} times the votes would not tell {pair}, on the same prompts."
    if found.found <= found.votes:
        return f"{told}."
    return f"{told}; to tell {pair}, about {_round(found.found)}."


def _parts(result: BallotResult, contrast: np.ndarray) -> np.ndarray:
    """(2,) variance that shrinks with votes, and that of the prompts."""
    covariance = result.intervals.covariance
    whole = covariance.variance(contrast)
    if len(covariance.covariances) == 1:
        return np.array([whole, 0.0])
    rater = float(contrast @ covariance.covariances[0] @ contrast)
    return np.array([min(rater, whole), max(whole - rater, 0.0)])


def _needed(votes: int, parts: np.ndarray, variance: float) -> float:
    """Votes in all for that variance; NaN where `_MOST` times those given are not enough."""
    shrinking, fixed = parts
    if variance <= fixed:
        return np.nan
    needed = votes * shrinking / (variance - fixed)
    return float(needed) if needed <= _MOST * votes else np.nan


def _round(votes: float) -> str:
    """Two digits are all there is to know: `4,300`."""
    digits = max(int(np.floor(np.log10(votes))) - 1, 0)
    return f"{round(votes / 10**digits) * 10**digits:,}"
