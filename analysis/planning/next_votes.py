"""What more votes would buy: narrower intervals, or the first arm told from the second.

The variance of a difference has a part that shrinks as raters and their votes come in (chance and
taste, 1/N), and, where votes are clustered by prompt too, a part that only more prompts shrink: the
two-way variance less the rater's. No model is fitted for it, so with few clusters it is rough.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri  # pyright: ignore[reportMissingTypeStubs]

from analysis.scores import MANY, BallotResult, difference_contrast

_POWER = 0.8
_FEWEST = 9  # degrees of freedom, below which an error is too rough to plan by
LIMIT = 50  # times the votes so far; more is as good as never


@dataclass(frozen=True)
class NextVotes:
    """Votes in all that a ballot would need, from raters like its own.

    Attributes:
        votes: that it has.
        halved: for intervals of differences half as wide; NaN where `LIMIT` times as many on the
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
    """Return what more votes would buy; None without intervals of two linked arms.

    A variance V = A + B, of which only A shrinks as 1/N, falls to V' at N' = N · A / (V' − B)
    votes. Halved intervals need V' = V / 4; a gap Δ is found in 80% of studies where
    V' = (Δ / (z_{(1 + level)/2} + z_{0.8}))². None too for fewer than about ten raters or prompts,
    whose variances are too rough to plan by.

    Examples:
        >>> from analysis.scores import analyse
        >>> next_votes(analyse(votes, rounds=50)[0]) is None  # six raters are too few
        True
    """
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
    every = itertools.combinations(map(int, sorted(together)), 2)
    if len(together) > MANY:  # neighbours in rank stand for all
        every = itertools.pairwise(map(int, together))
    pairs = [difference_contrast(K, i, j) for i, j in every]
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


def _parts(result: BallotResult, contrast: np.ndarray) -> np.ndarray:
    """(2,) variance that shrinks with votes, and that of the prompts."""
    covariance = result.intervals.covariance
    whole = covariance.variance(contrast)
    if len(covariance.covariances) == 1:
        return np.array([whole, 0.0])
    rater = float(contrast @ covariance.covariances[0] @ contrast)
    # The two-way variance may fall below the rater's own by chance; no part is negative.
    return np.array([min(rater, whole), max(whole - rater, 0.0)])


def _needed(votes: int, parts: np.ndarray, variance: float) -> float:
    """Votes in all for that variance; NaN where `LIMIT` times those given are not enough."""
    shrinking, fixed = parts
    if variance <= fixed:
        return np.nan
    needed = votes * shrinking / (variance - fixed)
    return float(needed) if needed <= LIMIT * votes else np.nan
