"""Percentile intervals from refits to resampled raters: the alternative to `sandwich`.

With few raters these intervals are too narrow (docs/explanation/statistics.md). They need no
linearisation, so a large difference from `sandwich` means that an arm won or lost nearly all votes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.ballots import Ballot, cluster_wins

from .elo import EloFit, fit_batch
from .interval import Interval
from .intervals import NO_VARIATION, ONE_RATER, ROUNDING, no_difference
from .shown import Shown

_MOST_COUNTS = 50_000_000  # of raters' win matrices, 400 MB


@dataclass(frozen=True)
class Bootstrap(Shown):
    """Percentile intervals from refits to resampled raters.

    Attributes:
        fit: the scores.
        draws: (R, K) float64 Elo points, mean zero in each group; NaN in rounds whose resample
            left the group without a finite fit.
        level: confidence level.
        method: how it was resampled, in words.
        reason: why there are no intervals; empty when there are.
        seed: of the draws.
    """

    fit: EloFit
    draws: NDArray[np.float64]
    level: float
    method: str
    reason: str = ""
    seed: int = 0

    def to_frame(self) -> pd.DataFrame:
        """Return `elo_table` of the fit with these intervals."""
        from .leaderboard import elo_table

        return elo_table(self.fit, self)

    def score(self, arm: int) -> Interval:
        """Of the arm's score, on its group's mean-zero scale."""
        if self.fit.reasons[arm]:
            return Interval.undefined(self.fit.reasons[arm], self.level)
        return self._interval(self.draws[:, arm])

    def difference(self, arm: int, against: int) -> Interval:
        """Of σ_arm − σ_against."""
        if arm == against:
            return Interval(0.0, 0.0, self.level)
        if reason := no_difference(self.fit, arm, against):
            return Interval.undefined(reason, self.level)
        return self._interval(self.draws[:, arm] - self.draws[:, against])

    def _interval(self, draws: NDArray[np.float64]) -> Interval:
        if self.reason:
            return Interval.undefined(self.reason, self.level)
        unbounded, tail = int(np.isnan(draws).sum()), (1 - self.level) / 2
        if unbounded >= tail * len(draws):
            return Interval.undefined(
                f"{unbounded} of {len(draws)} resamples leave an arm without a bound", self.level
            )
        # A round without a finite fit may lie beyond either end, so it counts beyond both.
        low, high = (
            np.quantile(np.nan_to_num(draws, nan=end), q, method="inverted_cdf")
            for end, q in ((-np.inf, tail), (np.inf, 1 - tail))
        )
        if not high - low > ROUNDING:
            return Interval.undefined(NO_VARIATION, self.level)
        return Interval(float(low), float(high), self.level)


def bootstrap(
    fit: EloFit, ballot: Ballot, rounds: int = 1000, seed: int = 0, level: float = 0.95
) -> Bootstrap:
    """Resample raters with replacement, whole, and fit each resample.

    The interval of a score is from the (1 − level)/2 to the (1 + level)/2 quantile of its refits
    (the percentile interval, Efron & Tibshirani 1993, section 13.3), and raters are the clusters
    that are drawn (Field & Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x).

    Resampled votes are never built: raters' win matrices are summed with the counts of a
    multinomial draw, and all rounds are fitted together. Raters with equal matrices are drawn as
    one group, which has the same distribution and keeps raters with one vote cheap.

    Args:
        fit: `fit_elo(win_matrix(ballot), ballot.arms)`.
        ballot: the votes it was made of.
        rounds: resamples, R.
        seed: of the draws.
        level: confidence level, between 0 and 1.

    Examples:
        >>> resampled = bootstrap(fit, ballot, rounds=200)
        >>> bool(resampled.score(0).low < fit.scores[0] < resampled.score(0).high)
        True
    """
    method = f"bootstrap of raters, {rounds} rounds"
    K = len(fit.arms)
    draws = np.full((rounds, K), np.nan)
    if ballot.raters < 2:
        reason = ONE_RATER if ballot.votes else "no votes"
        return Bootstrap(fit, draws, level, method, reason, seed)
    if ballot.raters * K * K > _MOST_COUNTS:
        reason = f"too many raters and arms ({ballot.raters} and {K}); use `sandwich`"
        return Bootstrap(fit, draws, level, method, reason, seed)
    per_rater = cluster_wins(ballot, ballot.rater, ballot.raters).reshape(ballot.raters, K * K)
    # Pairs that nobody compared stay zero in every round, so the products skip them.
    used = per_rater.any(axis=0)
    resampled = np.zeros((rounds, K * K))
    resampled[:, used] = _resampled_sums(per_rater[:, used], rounds, np.random.default_rng(seed))
    resampled = resampled.reshape(rounds, K, K)
    for group in range(fit.groups.max(initial=-1) + 1):
        members = np.flatnonzero(fit.groups == group)
        if len(members) > 1:
            of_group = resampled[:, members][:, :, members]
            # Refits lie near the fit, so Newton's method needs few steps from there.
            draws[:, members] = fit_batch(of_group, fit.scores[members])
    return Bootstrap(fit, draws, level, method, seed=seed)


def _resampled_sums(
    values: NDArray[np.float64], rounds: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(R, C) sums of G rows of (G, C) drawn with replacement, R times."""
    G = len(values)
    # Rows are told apart by one random number each, so finding equal ones is one short sort.
    marks = np.asarray(values @ np.random.default_rng(0).random(values.shape[1]), np.float64)
    _, first, repeats = np.unique(marks, return_index=True, return_counts=True)
    # A multinomial draws one binomial number per distinct row, so it pays only if rows are few.
    if len(first) < G // 4:
        return rng.multinomial(G, repeats / G, rounds) @ values[first]
    sums = np.empty((rounds, values.shape[1]))
    block = max(1, 4_000_000 // G)  # rounds at a time, so that the draws take 32 MB
    for start in range(0, rounds, block):
        size = min(block, rounds - start)
        drawn = rng.integers(0, G, (size, G)) + G * np.arange(size)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=size * G).reshape(size, G)
        sums[start : start + size] = weights.astype(np.float64) @ values
    return sums
