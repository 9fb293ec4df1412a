"""Intervals that hold when raters differ and prompts repeat.

`sandwich` clusters votes by rater, and by prompt too where prompts repeat
(`analysis.scores.covariance`):

- the variance by rater and prompt is rater + prompt − both (Cameron, Gelbach & Miller 2011), never
  below the mean of the two one-way variances. The true one can't be below that, its estimate can;
- the quantile is t's with G* − 1 degrees of freedom, G* the effective number of clusters behind
  the contrast, the smaller of the two.

`analysis.scores.bootstrap` resamples raters instead. docs/explanation/statistics.md has
simulations of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64
from numpy.typing import NDArray
from scipy.linalg import lapack  # pyright: ignore[reportMissingTypeStubs]
from scipy.sparse import csr_array  # pyright: ignore[reportMissingTypeStubs]
from scipy.special import stdtrit  # pyright: ignore[reportMissingTypeStubs]

from analysis.ballots import Ballot

from .covariance import Column, Concentration, Linearised
from .elo import ELO_PER_NAT, LARGE, MANY, EloFit, win_probability
from .interval import Interval
from .shown import Shown

Clustering = Literal["auto", "two-way", "rater", "vote"]

Contrasts = Any  # an array, or a csr_array, whose methods are typed as unknown
"""(Q, P) weights of parameters."""

_ROWS = 1024  # sparse contrasts multiplied at a time

ROUNDING = 1e-9
"""A half-width below this is nothing but rounding errors."""

NO_VARIATION = "raters show no variation to estimate it from"
ONE_RATER = "one rater: nothing shows how much raters differ"
CONCENTRATED = "nearly all its votes come from one rater or prompt: nothing shows how they differ"


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
    """Return the interval of P(winning) for that of a difference in Elo points.

    P is monotone in the difference, so its ends are P of the difference's ends, with the same
    coverage.

    Examples:
        >>> probability_interval(Interval(0.0, 400.0))
        Interval(low=0.5, high=0.909..., level=0.95, reason='')
    """
    low, high = win_probability(np.array([difference.low, difference.high]))
    return Interval(float(low), float(high), difference.level, difference.reason)


@dataclass(frozen=True)
class RobustCovariance:
    """Covariance of P parameters, clustered one way or two.

    Attributes:
        covariances: (1, P, P) of one clustering, or (3, P, P): rater, prompt, both at once.
        concentrations: of each clustering (not of both at once).
        method: how votes were clustered, in words.
        reason: why there is none; empty when there is.
    """

    covariances: NDArray[np.float64]
    concentrations: tuple[Concentration, ...]
    method: str
    reason: str = ""

    def variance(self, contrast: NDArray[np.float64]) -> float:
        """Of Σ_p contrast_p · parameter_p."""
        return max(float(self.matrix(contrast[None])[0, 0]), 0.0)  # 0 may round to below

    def matrix(self, contrasts: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """(Q, Q) covariance of (Q, P) contrasts; of two clusterings no less than their mean.

        Without contrasts it is that of the parameters.
        """
        each = self.covariances
        if contrasts is not None:
            each = contrasts @ each @ contrasts.T
        if len(each) == 1:
            return each[0]
        mean = (each[0] + each[1]) / 2
        excess = mean - each[2]  # rater + prompt − both, over the mean of rater and prompt
        if len(mean) == 1:
            return mean + np.maximum(excess, 0.0)
        # A difference of covariances may have negative eigenvalues; a variance cannot.
        values, vectors = np.linalg.eigh((excess + excess.T) / 2)
        return mean + (vectors * np.maximum(values, 0.0)) @ vectors.T

    def variances(self, contrasts: Contrasts) -> NDArray[np.float64]:
        """(Q,) variance of each of (Q, P) contrasts; sparse ones take one product for all."""
        if isinstance(contrasts, np.ndarray):
            return np.array([self.variance(c) for c in contrasts])
        each = np.stack([_quadratic(contrasts, covariance) for covariance in self.covariances])
        each = np.maximum(each, 0.0)  # as `variance`
        if len(each) == 1:
            return each[0]
        mean = (each[0] + each[1]) / 2
        return mean + np.maximum(mean - each[2], 0.0)

    def dfs(self, contrasts: Contrasts) -> NDArray[np.float64]:
        """(Q,) degrees of freedom of each of (Q, P) contrasts."""
        if isinstance(contrasts, np.ndarray):
            return np.array([self.df(c) for c in contrasts])
        squares = contrasts.multiply(contrasts).tocsr()
        effective = [
            (squares @ (1 / np.where(c.votes, c.votes, 1))) ** 2
            / np.maximum(_quadratic(squares, c.overlap), 1e-300)
            for c in self.concentrations
        ]
        return np.min(np.array(effective, np.float64), axis=0) - 1

    def df(self, contrast: NDArray[np.float64]) -> float:
        """Degrees of freedom of the contrast's t: G* − 1, the smaller where there are two."""
        return min(c.effective_clusters(contrast) for c in self.concentrations) - 1

    def interval(self, value: float, contrast: NDArray[np.float64], level: float) -> Interval:
        """Of a contrast whose estimate is `value`."""
        if self.reason:
            return Interval.undefined(self.reason, level)
        return _student(value, float(np.sqrt(self.variance(contrast))), self.df(contrast), level)


def _student(value: float, error: float, df: float, level: float) -> Interval:
    """Student's interval, or why there is none."""
    if df < 0.5:  # t's 97.5% quantile is above 160 there: a number, but no information
        return Interval.undefined(CONCENTRATED, level)
    half = float(stdtrit(df, (1 + level) / 2) * error)
    if not half > ROUNDING:  # every cluster fits perfectly: nothing shows how they differ
        return Interval.undefined(NO_VARIATION, level)
    return Interval(value - half, value + half, level)


def _quadratic(rows: Any, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """(Q,) r M rᵀ of each sparse row r."""
    found = np.empty(rows.shape[0])
    for start in range(0, len(found), _ROWS):
        block = rows[start : start + _ROWS]
        cells, product = block.tocoo(), block @ matrix
        values = cells.data * product[cells.row, cells.col]
        found[start : start + _ROWS] = np.bincount(cells.row, values, block.shape[0])
    return found


def robust_covariance(
    at: Linearised,
    ballot: Ballot,
    clustering: Clustering,
    votes: Int64[NDArray[np.int64], "votes"] | None = None,
) -> RobustCovariance:
    """Return a linearised fit's covariance, clustered as the ballot's votes are.

    One clustering gives B (Σ_g s_g s_gᵀ) B, with B the inverse information and s_g the pull of
    cluster g by the jackknife (`Linearised.covariance`). Two give V_rater + V_prompt − V_both
    (Cameron, Gelbach & Miller 2011, doi:10.1198/jbes.2010.07136).

    Args:
        at: of the ballot's votes, or of those in `votes`.
        ballot: gives raters and prompts.
        clustering: as for `sandwich`.
        votes: indices of the ballot's votes that `at` holds; None for all.
    """
    chosen = slice(None) if votes is None else votes
    raters, prompts = ballot.rater, ballot.prompt
    several = prompts is not None and ballot.votes > 0 and int(prompts.max()) > 0
    if clustering == "auto":
        clustering = "two-way" if several else "rater"
    nothing = np.zeros((1, len(at.bread), len(at.bread)))
    if clustering == "vote" and at.residual.shape[1] > 1:
        covariance, spread = at.independent()
        return RobustCovariance(covariance[None], (spread,), "votes taken as independent")
    clusters, method = [raters], "clustered by rater"
    if clustering == "two-way":
        method = "clustered by rater and prompt"
        if prompts is None or not several:
            reason = "two-way clustering needs votes on two or more prompts with ids"
            return RobustCovariance(nothing, (), method, reason)
        clusters = [raters, prompts]
    counts = [int(c.max(initial=-1)) + 1 for c in clusters]
    if min(counts) < 2:
        one = {0: "no votes", 1: ONE_RATER}[min(counts)]
        return RobustCovariance(nothing, (), method, one)
    found = [at.covariance(c[chosen], n) for c, n in zip(clusters, counts, strict=True)]
    covariances = [covariance for covariance, _ in found]
    if clustering == "two-way":
        both = (clusters[0][chosen], clusters[1][chosen])
        covariances.append(at.crossed(*both, (counts[0], counts[1])))
    return RobustCovariance(np.stack(covariances), tuple(c for _, c in found), method)


@dataclass(frozen=True)
class Sandwich(Shown):
    """Cluster-robust intervals of one Elo fit.

    Attributes:
        fit: the scores.
        covariance: of the scores, Elo points²; mean zero within each group.
        level: confidence level.
    """

    fit: EloFit
    covariance: RobustCovariance
    level: float

    @property
    def method(self) -> str:
        """How votes were clustered, in words."""
        return self.covariance.method

    @property
    def reason(self) -> str:
        """Why there are no intervals; empty when there are."""
        return self.covariance.reason

    def to_frame(self) -> pd.DataFrame:
        """Return `elo_table` of the fit with these intervals."""
        from .leaderboard import elo_table

        return elo_table(self.fit, self)

    @property
    def df(self) -> int:
        """The fewest degrees of freedom behind any arm's interval, rounded down; 0 without one."""
        if self.reason:
            return 0
        scored = np.flatnonzero(np.isfinite(self.fit.scores))
        units = np.eye(len(self.fit.arms))[scored] if len(scored) <= MANY else self.units(scored)
        return int(min(self.covariance.dfs(units), default=0.0))

    def units(self, arms: NDArray[np.int64]) -> Any:
        """(Q, K) sparse contrasts: the scores of these arms."""
        rows = np.arange(len(arms))
        return csr_array((np.ones(len(arms)), (rows, arms)), (len(arms), len(self.fit.arms)))

    def contrasts(self, weights: Any, reasons: Sequence[str] | None = None) -> list[Interval]:
        """Of each of (Q, K) sparse contrasts of scores, all at once.

        Args:
            weights: zero for arms without a finite score.
            reasons: Q, why a contrast has no interval; empty for those that have one.
        """
        told = list(reasons) if reasons is not None else [""] * weights.shape[0]
        if self.reason:
            return [Interval.undefined(reason or self.reason, self.level) for reason in told]
        values = weights @ np.where(np.isfinite(self.fit.scores), self.fit.scores, 0.0)
        df = self.covariance.dfs(weights)
        errors = np.sqrt(self.covariance.variances(weights))
        return [
            Interval.undefined(reason, self.level)
            if reason
            else _student(float(value), float(error), float(own), self.level)
            for value, error, own, reason in zip(values, errors, df, told, strict=True)
        ]

    def score(self, arm: int) -> Interval:
        """Of the arm's score, on its group's mean-zero scale."""
        if self.fit.reasons[arm]:
            return Interval.undefined(self.fit.reasons[arm], self.level)
        return self.contrast(np.eye(len(self.fit.arms))[arm])

    def difference(self, arm: int, against: int) -> Interval:
        """Of σ_arm − σ_against."""
        if arm == against:
            return Interval(0.0, 0.0, self.level)
        if reason := no_difference(self.fit, arm, against):
            return Interval.undefined(reason, self.level)
        return self.contrast(difference_contrast(len(self.fit.arms), arm, against))

    def contrast(self, weights: NDArray[np.float64]) -> Interval:
        """Of Σ weights_i σ_i, (K,) weights that are zero for arms without a finite score."""
        finite = np.where(np.isfinite(self.fit.scores), self.fit.scores, 0.0)
        return self.covariance.interval(float(weights @ finite), weights, self.level)


def difference_contrast(arms: int, arm: int, against: int) -> Float64[NDArray[np.float64], "arms"]:
    """Return the (K,) weights of scores whose sum is σ_arm − σ_against.

    Args:
        arms: K.
        arm: index of the arm with weight 1.
        against: index of the arm with weight −1.

    Examples:
        >>> difference_contrast(3, 0, 2)
        array([ 1.,  0., -1.])
    """
    weights = np.zeros(arms)
    weights[arm], weights[against] = 1.0, -1.0
    return weights


def no_difference(fit: EloFit, arm: int, against: int) -> str:
    """Return why two arms have no finite difference; empty where they have one."""
    if fit.groups[arm] == fit.groups[against]:
        return ""
    return (
        fit.reasons[arm]
        or fit.reasons[against]
        or "no chain of wins and losses links the two arms in both directions"
    )


def sandwich(
    fit: EloFit, ballot: Ballot, clustering: Clustering = "auto", level: float = 0.95
) -> Sandwich:
    """Return cluster-robust intervals for a fit of this ballot.

    The interval of a contrast c of scores is

        cᵀσ ± t_{(1 + level)/2, G* − 1} · √(cᵀ V c),

    with V the cluster jackknife covariance CV3 of MacKinnon, Nielsen & Webb 2023
    (doi:10.1002/jae.2969), two ways as in Cameron, Gelbach & Miller 2011, and G* the effective
    number of clusters of Carter, Schnepel & Steigerwald 2017.

    Args:
        fit: `fit_elo(win_matrix(ballot), ballot.arms)`, with or without a prior.
        ballot: the votes it was made of.
        clustering: `rater`; `two-way` by rater and prompt; `auto` two-way where two or more
            prompts have ids, else by rater; `vote` treats votes as independent (for comparison:
            too narrow whenever raters differ).
        level: confidence level, between 0 and 1.

    Returns:
        Intervals in Elo points, each undefined with a reason where the votes allow none.

    Examples:
        >>> sandwich(fit, ballot).difference(2, 0)  # cfg-4 less unguided
        Interval(low=-103.0..., high=432.1..., level=0.95, reason='')
    """
    gaps = fit.differences()
    kept = within_groups(fit, ballot)
    chosen = slice(None) if kept is None else kept
    left, right = ballot.left[chosen], ballot.right[chosen]
    p = win_probability(np.where(np.isfinite(gaps), gaps, 0.0))
    cell = left * len(p) + right
    at = Linearised(
        (Column(left), Column(right, -1.0)),
        (ballot.left_wins[chosen] - p.ravel().take(cell))[None],
        (p * (1 - p)).ravel().take(cell)[None, None],
        inverse_information(fit),
        ELO_PER_NAT,
    )
    return Sandwich(fit, robust_covariance(at, ballot, clustering, kept), level)


def within_groups(fit: EloFit, ballot: Ballot) -> NDArray[np.int64] | None:
    """Return the votes between arms of one group, None for all; others move no finite score."""
    if (fit.groups == fit.groups[:1]).all():
        return None
    return np.flatnonzero(fit.groups[ballot.left] == fit.groups[ballot.right])


def inverse_information(fit: EloFit) -> Float64[NDArray[np.float64], "arms arms"]:
    """Return the (K, K) pseudo-inverse of the loss's Hessian, in log-odds².

    The Hessian is the Laplacian of the graph whose edges weigh n_ij p_ij (1 − p_ij). Groups are
    inverted apart, and within each the scores keep mean zero.

    Examples:
        >>> np.allclose(inverse_information(fit).sum(axis=0), 0)  # scores keep mean zero
        True
    """
    together = fit.groups[:, None] == fit.groups[None, :]
    p = win_probability(np.where(together, fit.differences(), 0.0))
    laplacian = np.where(together, -fit.comparisons * p * (1 - p), 0.0)
    np.fill_diagonal(laplacian, 0.0)
    np.fill_diagonal(laplacian, -laplacian.sum(axis=1))
    inverse = np.zeros_like(laplacian)
    for group in range(fit.groups.max(initial=-1) + 1):
        members = np.flatnonzero(fit.groups == group)
        if len(members) > 1:
            # Flat along (1, …, 1): raised there for the inverse, and lowered again.
            own, flat = np.ix_(members, members), np.full((len(members),) * 2, 1 / len(members))
            height = np.trace(laplacian[own]) / len(members)
            inverse[own] = _inverted(laplacian[own] + height * flat) - flat / height
    return inverse


def _inverted(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of a positive definite matrix; of a large one by Cholesky's root, twice as fast."""
    if len(matrix) <= LARGE:
        return np.asarray(np.linalg.inv(matrix), np.float64)
    routines: Any = lapack
    root, failed = routines.dpotrf(matrix, lower=1)
    found, wrong = (root, failed) if failed else routines.dpotri(root, lower=1, overwrite_c=1)
    if wrong:  # lopsided beyond what rounding leaves of a positive definite matrix
        return np.asarray(np.linalg.inv(matrix), np.float64)
    lower = np.tril(found)
    return np.asarray(lower + np.tril(found, -1).T, np.float64)
