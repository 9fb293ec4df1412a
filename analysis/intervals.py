"""Intervals that hold when raters differ and prompts repeat.

Votes of one rater share that rater's taste, votes on one prompt that prompt's images, so votes
are not independent and the usual standard error is too small. Two answers, both clustered:

- `sandwich`: linearised fit, clusters' score sums for the middle (Liang & Zeger 1986), CR1's
  G/(G−1) and t with G−1 degrees of freedom. With prompts too, Cameron, Gelbach & Miller 2011's
  two-way form (rater + prompt − both), never below either one-way variance (MacKinnon, Nielsen &
  Webb 2024), since the difference of estimates can come out too small or negative.
- `bootstrap`: resamples raters whole and fits every resample (percentile intervals).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import stdtrit

from .elo import ELO_PER_NAT, EloFit, fit_batch, win_probability
from .votes import Ballot
from .win_matrix import cluster_wins

Clustering = Literal["auto", "two-way", "rater", "vote"]

_ROUNDING = 1e-9  # a half-width below this is nothing but rounding errors


@dataclass(frozen=True)
class Interval:
    """A confidence interval; both ends NaN, with a reason, where none can be given.

    Attributes:
        low: lower end.
        high: upper end.
        level: the share of such intervals meant to hold the true value.
        reason: why there is none; empty when there is.
    """

    low: float
    high: float
    level: float = 0.95
    reason: str = ""

    @classmethod
    def undefined(cls, reason: str, level: float = 0.95) -> Interval:
        """No interval, and why."""
        return cls(float("nan"), float("nan"), level, reason)


class EloIntervals(Protocol):
    """What both methods give: intervals of scores and of differences, in Elo points."""

    @property
    def method(self) -> str:
        """How they were made, in words."""
        ...

    def score(self, arm: int) -> Interval:
        """Of the arm's score, on its group's mean-zero scale."""
        ...

    def difference(self, arm: int, against: int) -> Interval:
        """Of σ_arm − σ_against."""
        ...


def probability_interval(difference: Interval) -> Interval:
    """The interval of P(winning) that belongs to one of a difference in Elo points."""
    low, high = win_probability(np.array([difference.low, difference.high]))
    return Interval(float(low), float(high), difference.level, difference.reason)


@dataclass(frozen=True)
class Sandwich:
    """Cluster-robust intervals of one fit.

    Attributes:
        fit: the scores.
        covariances: (V, K, K) float64 in Elo points²; a contrast's variance is its largest.
        df: degrees of freedom of t.
        level: confidence level.
        method: how votes were clustered, in words.
        reason: why there are no intervals; empty when there are.
    """

    fit: EloFit
    covariances: NDArray[np.float64]
    df: int
    level: float
    method: str
    reason: str = ""

    def score(self, arm: int) -> Interval:
        """Of the arm's score, on its group's mean-zero scale."""
        if self.fit.reasons[arm]:
            return Interval.undefined(self.fit.reasons[arm], self.level)
        return self._interval(float(self.fit.scores[arm]), np.eye(len(self.fit.arms))[arm])

    def difference(self, arm: int, against: int) -> Interval:
        """Of σ_arm − σ_against."""
        if arm == against:
            return Interval(0.0, 0.0, self.level)
        if reason := _no_difference(self.fit, arm, against):
            return Interval.undefined(reason, self.level)
        contrast = np.eye(len(self.fit.arms))[arm] - np.eye(len(self.fit.arms))[against]
        return self._interval(float(self.fit.scores[arm] - self.fit.scores[against]), contrast)

    def _interval(self, value: float, contrast: NDArray[np.float64]) -> Interval:
        if self.reason:
            return Interval.undefined(self.reason, self.level)
        variance = float(np.max(contrast @ self.covariances @ contrast))
        half = float(stdtrit(self.df, (1 + self.level) / 2) * np.sqrt(max(variance, 0.0)))
        if not half > _ROUNDING:  # every cluster fits perfectly: nothing shows how they differ
            return Interval.undefined("raters show no variation to estimate it from", self.level)
        return Interval(value - half, value + half, self.level)


def sandwich(
    fit: EloFit, ballot: Ballot, clustering: Clustering = "auto", level: float = 0.95
) -> Sandwich:
    """Cluster-robust intervals for a fit of this ballot.

    Args:
        fit: `fit_elo(win_matrix(ballot), ballot.arms)`.
        ballot: the votes it was made of.
        clustering: `rater`; `two-way` by rater and prompt; `auto` two-way where two or more
            prompts have ids, else by rater; `vote` treats votes as independent (for comparison:
            too narrow whenever raters differ).
        level: confidence level, between 0 and 1.
    """
    prompts = 0 if ballot.prompt is None or not ballot.votes else int(ballot.prompt.max()) + 1
    if clustering == "auto":
        clustering = "two-way" if prompts > 1 else "rater"
    empty = np.zeros((1, len(fit.arms), len(fit.arms)))
    if clustering == "vote":
        clusters, method = [np.arange(ballot.votes)], "votes taken as independent"
    else:
        clusters, method = [ballot.rater], "clustered by rater"
    if clustering == "two-way":
        if ballot.prompt is None or prompts < 2:
            reason = "two-way clustering needs votes on two or more prompts with ids"
            return Sandwich(fit, empty, 0, level, "clustered by rater and prompt", reason)
        clusters, method = [ballot.rater, ballot.prompt], "clustered by rater and prompt"
    counts = [int(c.max(initial=-1)) + 1 for c in clusters]
    if min(counts) < 2:
        one = {0: "no votes", 1: "one rater: nothing shows how much raters differ"}[min(counts)]
        return Sandwich(fit, empty, 0, level, method, one)
    scores = _VoteScores(fit, ballot)
    one_way = [scores.covariance(c, n) for c, n in zip(clusters, counts, strict=True)]
    covariances = one_way
    if clustering == "two-way":
        both = np.unique(clusters[0] * counts[1] + clusters[1], return_inverse=True)[1]
        overlap = scores.covariance(both, int(both.max()) + 1)
        covariances = [*one_way, one_way[0] + one_way[1] - overlap]
    return Sandwich(fit, np.stack(covariances), min(counts) - 1, level, method)


class _VoteScores:
    """Per-vote gradients of the log-likelihood and the inverse information, one group a block."""

    def __init__(self, fit: EloFit, ballot: Ballot) -> None:
        gaps = fit.differences()
        together = fit.groups[ballot.left] == fit.groups[ballot.right]
        self.kept = np.flatnonzero(together)  # votes between groups don't move finite scores
        self.left, self.right = ballot.left[together], ballot.right[together]
        p = win_probability(gaps[self.left, self.right])
        self.residual = ballot.left_wins[together] - p
        self.bread = _inverse_information(fit, gaps)

    def covariance(self, clusters: NDArray[np.int64], count: int) -> NDArray[np.float64]:
        """(K, K) CR1 covariance in Elo points² for (N,) clusters of all the ballot's votes."""
        K = len(self.bread)
        rows = np.concatenate([clusters[self.kept]] * 2)
        columns = np.concatenate([self.left, self.right])
        values = np.concatenate([self.residual, -self.residual])
        sums = csr_array((values, (rows, columns)), shape=(count, K))
        meat = (sums.T @ sums).toarray() * count / (count - 1)
        return self.bread @ meat @ self.bread * ELO_PER_NAT**2


def _inverse_information(fit: EloFit, gaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K, K) pseudo-inverse of the loss's Hessian (log-odds), groups apart, mean zero in each."""
    together = fit.groups[:, None] == fit.groups[None, :]
    p = win_probability(np.where(together, gaps, 0.0))
    laplacian = np.where(together, -fit.comparisons * p * (1 - p), 0.0)
    np.fill_diagonal(laplacian, 0.0)
    np.fill_diagonal(laplacian, -laplacian.sum(axis=1))
    return np.linalg.pinv(laplacian, hermitian=True)


@dataclass(frozen=True)
class Bootstrap:
    """Percentile intervals from refits to resampled raters.

    Attributes:
        fit: the scores.
        draws: (R, K) float64 Elo points, mean zero in each group; NaN in rounds whose resample
            left the group without a finite fit.
        level: confidence level.
        method: how it was resampled, in words.
        reason: why there are no intervals; empty when there are.
    """

    fit: EloFit
    draws: NDArray[np.float64]
    level: float
    method: str
    reason: str = ""

    def score(self, arm: int) -> Interval:
        """Of the arm's score, on its group's mean-zero scale."""
        if self.fit.reasons[arm]:
            return Interval.undefined(self.fit.reasons[arm], self.level)
        return self._interval(self.draws[:, arm])

    def difference(self, arm: int, against: int) -> Interval:
        """Of σ_arm − σ_against."""
        if arm == against:
            return Interval(0.0, 0.0, self.level)
        if reason := _no_difference(self.fit, arm, against):
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
        return Interval(float(low), float(high), self.level)


def bootstrap(
    fit: EloFit, ballot: Ballot, rounds: int = 1000, seed: int = 0, level: float = 0.95
) -> Bootstrap:
    """Resample raters with replacement, whole, and fit each resample.

    Resampled votes are never built: raters' win matrices are summed with the counts of a
    multinomial draw, and all rounds are fitted together. Raters of equal matrices are drawn as
    one, which is the same distribution and keeps one-vote raters cheap.

    Args:
        fit: `fit_elo(win_matrix(ballot), ballot.arms)`.
        ballot: the votes it was made of.
        rounds: resamples, R.
        seed: of the draws.
        level: confidence level, between 0 and 1.
    """
    method = f"bootstrap of raters, {rounds} rounds"
    K = len(fit.arms)
    draws = np.full((rounds, K), np.nan)
    if ballot.raters < 2:
        reason = "one rater: nothing shows how much raters differ" if ballot.votes else "no votes"
        return Bootstrap(fit, draws, level, method, reason)
    per_rater = cluster_wins(ballot, ballot.rater, ballot.raters).reshape(ballot.raters, K * K)
    used = per_rater.any(axis=0)
    resampled = np.zeros((rounds, K * K))
    resampled[:, used] = _resampled_sums(per_rater[:, used], rounds, np.random.default_rng(seed))
    resampled = resampled.reshape(rounds, K, K)
    for group in range(fit.groups.max(initial=-1) + 1):
        members = np.flatnonzero(fit.groups == group)
        if len(members) > 1:
            draws[:, members] = fit_batch(resampled[:, members][:, :, members])
    return Bootstrap(fit, draws, level, method)


def _resampled_sums(
    values: NDArray[np.float64], rounds: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(R, C) sums of G rows of (G, C) drawn with replacement, R times."""
    G = len(values)
    # Rows are told apart by one random number each, so finding equal ones is one short sort.
    marks = values @ np.random.default_rng(0).random(values.shape[1])
    _, first, repeats = np.unique(marks, return_index=True, return_counts=True)
    if len(first) < G // 4:
        return rng.multinomial(G, repeats / G, rounds) @ values[first]
    sums = np.empty((rounds, values.shape[1]))
    block = max(1, 4_000_000 // G)
    for start in range(0, rounds, block):
        size = min(block, rounds - start)
        drawn = rng.integers(0, G, (size, G)) + G * np.arange(size)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=size * G).reshape(size, G)
        sums[start : start + size] = weights.astype(np.float64) @ values
    return sums


def clustered_mean(
    values: NDArray[np.float64], clusters: NDArray[np.int64], level: float = 0.95
) -> Interval:
    """The interval of a mean of (N,) values whose clusters, (N,) codes, share something.

    CR1 with t(G − 1), like `sandwich`.
    """
    if not len(values):
        return Interval.undefined("no votes", level)
    G = len(np.unique(clusters))
    if G < 2:
        return Interval.undefined("one rater: nothing shows how much raters differ", level)
    mean = float(values.mean())
    sums = np.bincount(clusters, values - mean)
    error = np.sqrt(G / (G - 1) * (sums**2).sum()) / len(values)
    if not error > _ROUNDING:
        return Interval.undefined("no variation to estimate it from", level)
    half = float(stdtrit(G - 1, (1 + level) / 2) * error)
    return Interval(mean - half, mean + half, level)


def _no_difference(fit: EloFit, arm: int, against: int) -> str:
    if fit.groups[arm] == fit.groups[against]:
        return ""
    return (
        fit.reasons[arm]
        or fit.reasons[against]
        or "no chain of wins and losses links the two arms in both directions"
    )
