"""Elo scores by the paper's objective, and plain answers where the votes can't give one.

Nichol et al. 2021, appendix A.1, minimise

    L(σ) = −Σ_ij A_ij log P(i beats j),   P(i beats j) = 1 / (1 + 10^((σ_j − σ_i) / 400)),

with A_ij the times i beat j, ties half each, and σ of mean zero. The paper prints σ_i − σ_j in
the exponent, which taken literally ranks losers first: see
docs/explanation/decisions/elo-sign-and-scale.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import pandas as pd
from jaxtyping import Float64, Num
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import (  # pyright: ignore[reportMissingTypeStubs]
    coo_array,
    diags_array,  # pyright: ignore[reportUnknownVariableType]
)
from scipy.sparse.linalg import (  # pyright: ignore[reportMissingTypeStubs]
    cg,  # pyright: ignore[reportUnknownVariableType]
)
from scipy.special import expit  # pyright: ignore[reportMissingTypeStubs]

from analysis.ballots import one_group, reachable, strong_groups
from analysis.errors import AnalysisError

from .shown import Shown

ELO_PER_NAT = 400 / np.log(10)
"""Elo points in one unit of log-odds: 173.7."""

MANY = 70
"""Arms above which not every two are compared: 2,415 pairs are as many as anyone reads."""

LARGE = 300
"""Arms above which fits and covariances use sparse or triangular solvers."""

_MOST_NAMED = 6  # groups in a sentence

TIED_ELO = 1e-6
"""Scores that differ by less are tied: a fit settles to about this many Elo points."""

_CACHED = 1 << 16  # counts fitted together, so that what is made of them stays in the cache


@dataclass(frozen=True)
class EloFit(Shown):
    """Scores of K arms, and where the votes leave them without one.

    Attributes:
        arms: K names.
        scores: (K,) float64 in Elo points, mean zero within each group of several arms; +inf for
            an arm that only won, −inf for one that only lost, NaN where not even that is known.
        groups: (K,) int64; only arms of one group have finite differences.
        reasons: K sentences, empty where the score is finite.
        notes: how the groups relate, one sentence each, and what a prior alone links; empty when
            votes link all arms.
        wins: (K, K) float64, the counts fitted.
    """

    arms: tuple[str, ...]
    scores: NDArray[np.float64]
    groups: NDArray[np.int64]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    wins: NDArray[np.float64]

    def to_frame(self) -> pd.DataFrame:
        """Return arm, elo, group and reason, one row per arm in the order of the fit."""
        columns = {"arm": self.arms, "elo": self.scores, "group": self.groups}
        return pd.DataFrame({**columns, "reason": self.reasons})

    @property
    def comparisons(self) -> NDArray[np.float64]:
        """(K, K) votes between each two arms."""
        return self.wins + self.wins.T

    def differences(self) -> NDArray[np.float64]:
        """(K, K) σ_i − σ_j: ±inf where wins lead one way only, NaN where no chain links the two."""
        finite = np.where(np.isfinite(self.scores), self.scores, 0.0)
        gaps = finite[:, None] - finite[None, :]
        if (self.groups == self.groups[:1]).all():
            return gaps
        apart = self.groups[:, None] != self.groups[None, :]
        down = reachable(self.wins)
        gaps[apart] = np.nan
        gaps[apart & down] = np.inf
        gaps[apart & down.T] = -np.inf
        return gaps

    def win_probabilities(self) -> NDArray[np.float64]:
        """(K, K) P(i beats j) on a vote without ties; NaN where the two can't be compared."""
        return win_probability(self.differences())


def ranks_of(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return (K,) ranks of scores, 1 for the highest; tied scores share the smaller rank.

    Scores closer than `TIED_ELO` to a neighbour are tied with it: what is left between them is
    rounding.

    Args:
        scores: (K,) finite.

    Examples:
        >>> ranks_of(np.array([0.0, 50, 1e-9, -20]))
        array([2, 1, 2, 4])
    """
    order = np.argsort(-scores, kind="stable")
    apart = np.diff(scores[order]) < -TIED_ELO
    first = np.r_[True, apart][: len(scores)]
    ranks = np.empty(len(scores), np.int64)
    ranks[order] = np.maximum.accumulate(np.where(first, np.arange(len(scores)), 0)) + 1
    return ranks


@overload
def win_probability(difference: float | np.number[Any]) -> np.float64: ...


@overload
def win_probability(
    difference: Num[NDArray[Any], "*shape"],
) -> Float64[NDArray[np.float64], "*shape"]: ...


def win_probability(
    difference: float | np.number[Any] | Num[NDArray[Any], "*shape"],
) -> np.float64 | Float64[NDArray[np.float64], "*shape"]:
    """Return P(winning) = 1 / (1 + 10^(−difference / 400)), elementwise.

    The logistic curve of Elo's rating (Elo 1978), as GLIDE uses it (Nichol et al. 2021, A.1).

    Args:
        difference: σ_winner − σ_loser in Elo points, of any shape; ±inf give 1 and 0.

    Examples:
        >>> win_probability(np.array([0.0, 400.0])).round(4)
        array([0.5   , 0.9091])
    """
    return expit(np.asarray(difference, np.float64) / ELO_PER_NAT)


def with_prior(
    wins: Float64[NDArray[np.float64], "arms arms"], votes: float
) -> Float64[NDArray[np.float64], "arms arms"]:
    """Return the counts with `votes` more tied comparisons for each arm, spread over the others.

    Pseudo-comparisons are the conjugate prior of the Bradley–Terry model (Davidson & Solomon
    1973, doi:10.1093/biomet/60.3.477). They link all arms and keep every score finite. One such
    vote pulls the score of an arm with 100 votes by about 1%.

    Args:
        wins: (K, K) counts.
        votes: ≥ 0.

    Examples:
        >>> with_prior(np.zeros((2, 2)), 1.0)
        array([[0. , 0.5],
               [0.5, 0. ]])
    """
    K = len(wins)
    each = votes / (2 * max(K - 1, 1))
    return wins + each * (1 - np.eye(K))


def fit_elo(wins: ArrayLike, arms: Sequence[str] | None = None, prior: float = 0.0) -> EloFit:
    """Return the scores σ that minimise the paper's loss (Nichol et al. 2021, appendix A.1),

        L(σ) = −Σ_ij A_ij log 1 / (1 + 10^((σ_j − σ_i) / 400)),

    with A_ij how often i beat j. The paper prints σ_i − σ_j in the exponent, which would rank
    losers first. Each group of arms that the votes link has a scale of its own, with mean zero.

    Arms of different groups are only ordered (one always beat the other, directly or through
    others) or not comparable at all; their votes don't move scores within a group, exactly as in
    the limit of the loss.

    Args:
        wins: (K, K) counts, entry (i, j) how often i beat j; finite, ≥ 0, zero diagonal.
        arms: K names; `0`, `1`, … by default.
        prior: tied votes each arm is taken to have had beforehand (`with_prior`), for small
            studies; 0, the default, is the paper's objective. The fit's `wins` hold them too.

    Raises:
        AnalysisError: `wins` is not such a matrix, or `prior` is negative.

    Examples:
        >>> fit_elo(np.array([[0, 10], [1, 0]])).scores.round()
        array([ 200., -200.])
    """
    wins = np.asarray(wins, np.float64)
    names = tuple(arms) if arms is not None else tuple(map(str, range(len(wins))))
    _check_counts(wins, len(names))
    if not 0 <= prior < np.inf:
        raise AnalysisError(f"prior: expected a number of votes ≥ 0, found {prior}.")
    linked = strong_groups(wins)
    if prior:
        wins = with_prior(wins, prior)
    groups = strong_groups(wins)
    scores = np.full(len(wins), np.nan)
    reasons = [""] * len(wins)
    for group in range(groups.max(initial=-1) + 1):
        members = np.flatnonzero(groups == group)
        if len(members) > 1:
            scores[members] = fit_batch(wins[None, members][:, :, members])[0]
        else:
            (i,) = members
            scores[i], reasons[i] = _unbounded(wins[i].sum(), wins[:, i].sum())
    notes = _group_notes(wins, groups, names) + _prior_notes(linked, groups, names, prior)
    return EloFit(names, scores, groups, tuple(reasons), notes, wins)


def fit_batch(
    wins: Float64[NDArray[np.float64], "rounds arms arms"],
    start: Float64[NDArray[np.float64], "arms"] | None = None,
) -> Float64[NDArray[np.float64], "rounds arms"]:
    """Return mean-zero Elo scores of many win matrices at once; NaN rows where no fit is finite.

    Newton's method with the step ln(1 + d)/d, d the largest change of a difference: the loss is
    generalised self-concordant, so each such step lowers it and the last ones are full steps
    (Sun & Tran-Dinh 2019, doi:10.1007/s10107-018-1282-4).

    Args:
        wins: (R, K, K) counts.
        start: (K,) scores to begin at, where they are known about; zeros by default.

    Returns:
        (R, K) float64, Elo points.

    Raises:
        AnalysisError: counts so lopsided that float64 cannot settle on scores.

    Examples:
        >>> fit_batch(np.array([[[0.0, 10], [1, 0]], [[0, 1], [0, 0]]])).round()
        array([[ 200., -200.],
               [  nan,   nan]])
    """
    R, K, _ = wins.shape
    scores = np.full((R, K), np.nan)
    begin = np.zeros(K) if start is None else start / ELO_PER_NAT
    if K > LARGE:
        for row in wins_of_one_group(wins):
            scores[row] = _sparse_newton(wins[row], begin) * ELO_PER_NAT
        return scores
    finite = np.flatnonzero(one_group(wins))
    together = max(1, _CACHED // (K * K))
    for first in range(0, len(finite), together):
        rows = finite[first : first + together]
        scores[rows] = _newton(wins[rows], begin) * ELO_PER_NAT
    return scores


def _newton(wins: NDArray[np.float64], start: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R, K) minimisers in log-odds for (R, K, K) counts known to have one."""
    R, K, _ = wins.shape
    counts = wins + wins.transpose(0, 2, 1)
    won = wins.sum(axis=2)
    theta = np.asarray(np.tile(start, (R, 1)), np.float64)
    diagonal = np.asarray(np.arange(K), np.int64)
    for _ in range(200):
        p = expit(theta[:, :, None] - theta[:, None, :])
        expected = counts * p
        gradient = won - expected.sum(axis=2)
        hessian = -expected * (1 - p)
        curvature = -hessian.sum(axis=2)
        hessian[:, diagonal, diagonal] = curvature
        # The loss is flat along (1, …, 1); this term keeps the mean where it is.
        hessian += curvature.mean(axis=1)[:, None, None] / K
        solved = np.asarray(np.linalg.solve(hessian, gradient[:, :, None]), np.float64)
        step = solved[:, :, 0]
        # The spread and not the size: scores matter by their differences alone.
        largest = np.ptp(step, axis=1)
        theta += step * (np.log1p(largest) / np.maximum(largest, 1e-300))[:, None]
        if largest.max(initial=0.0) < 1e-9:
            return theta - theta.mean(axis=1, keepdims=True)
    raise AnalysisError(  # unreachable for counts that pass `one_group`, but never a silent number
        "The Elo fit did not settle in 200 steps: the counts are too lopsided for float64. "
        "Leave out arms that win or lose nearly every vote."
    )


def wins_of_one_group(wins: NDArray[np.float64]) -> list[int]:
    """Return the rounds, of (R, K, K) wins of many arms, that link all arms in both directions."""
    return [row for row, counts in enumerate(wins) if not strong_groups(counts).any()]


def _sparse_newton(wins: NDArray[np.float64], start: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K,) minimiser in log-odds for (K, K) counts known to have one, pair by pair.

    The steps are those of `_newton`. Each solves its Laplacian by conjugate gradients
    (Hestenes & Stiefel 1952), whose cost is linear in the pairs that votes compare.
    """
    K = len(wins)
    i, j = np.nonzero(np.triu(wins + wins.T))
    counts = wins[i, j] + wins[j, i]
    won, theta = wins.sum(axis=1), np.array(start, np.float64)
    for _ in range(200):
        p = expit(theta[i] - theta[j])
        expected = np.bincount(i, counts * p, K) + np.bincount(j, counts * (1 - p), K)
        weight = counts * p * (1 - p)
        both = np.bincount(i, weight, K) + np.bincount(j, weight, K)
        curvature = np.asarray(both, np.float64)
        graph: Any = coo_array((weight, (i, j)), (K, K)).tocsr()
        laplacian: Any = diags_array(curvature) - graph - graph.T
        step = _solve_laplacian(laplacian, won - expected, curvature)
        largest = float(np.ptp(step))
        theta += step * np.log1p(largest) / max(largest, 1e-300)
        if largest < 1e-9:
            return theta - theta.mean()
    raise AnalysisError(  # as in `_newton`
        "The Elo fit did not settle in 200 steps: the counts are too lopsided for float64. "
        "Leave out arms that win or lose nearly every vote."
    )


def _solve_laplacian(
    laplacian: Any, values: NDArray[np.float64], diagonal: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Solution of mean zero, by conjugate gradients with the diagonal as preconditioner."""
    scale = float(np.abs(values).max(initial=0.0))
    if not scale > 1e-12:
        return np.zeros(len(values))
    inverse: Any = diags_array(1 / diagonal)
    solver: Any = cg  # pyright: ignore[reportUnknownVariableType]
    found, left = solver(laplacian, values - values.mean(), rtol=1e-10, atol=1e-13, M=inverse,
                         maxiter=20_000)  # fmt: skip
    if left:
        raise AnalysisError(
            "The Elo fit did not settle: chains of comparisons between arms are too long. Compare "
            "arms of different parts of the chain."
        )
    return np.asarray(found - found.mean(), np.float64)


def _check_counts(wins: NDArray[np.float64], arms: int) -> None:
    if wins.ndim != 2 or wins.shape != (arms, arms):
        raise AnalysisError(
            f"Expected a square matrix of wins for {arms} arms, found shape {wins.shape}."
        )
    if not np.isfinite(wins).all() or (wins < 0).any() or np.diagonal(wins).any():
        raise AnalysisError(
            "Expected finite counts of wins, none negative and none of an arm against itself."
        )


def _unbounded(won: float, lost: float) -> tuple[float, str]:
    """Score and reason of an arm that no chain of wins leads back to."""
    if won == lost == 0:
        return np.nan, "no votes"
    if lost == 0:
        return np.inf, f"won {_all_of(won)}: its score has no upper bound"
    if won == 0:
        return -np.inf, f"lost {_all_of(lost)}: its score has no lower bound"
    return np.nan, (
        "always beat the arms below it and always lost to those above: its distance to them has "
        "no bound"
    )


def _all_of(comparisons: float) -> str:
    return "its only comparison" if comparisons == 1 else f"all of its {comparisons:g} comparisons"


def _group_notes(
    wins: NDArray[np.float64], groups: NDArray[np.int64], arms: tuple[str, ...]
) -> tuple[str, ...]:
    """Return how each two groups with several arms relate; single arms have their own reasons."""
    several = [g for g in range(groups.max(initial=-1) + 1) if (groups == g).sum() > 1]
    if len(several) < 2:
        return ()
    reach = reachable(wins)
    named = {g: ", ".join(arms[i] for i in np.flatnonzero(groups == g)) for g in several}
    notes: list[str] = []
    for a, first in enumerate(several):
        for second in several[a + 1 :]:
            i, j = int(np.argmax(groups == first)), int(np.argmax(groups == second))
            if reach[i, j] or reach[j, i]:
                above, below = (first, second) if reach[i, j] else (second, first)
                notes.append(
                    f"{named[above]} never lost, directly or through others, to {named[below]}: "
                    "scored apart, the distance between the two groups has no bound."
                )
            else:
                notes.append(
                    f"No chain of wins links {named[first]} with {named[second]}: scored apart, "
                    "their scores can't be compared."
                )
    return tuple(notes)


def _prior_notes(
    linked: NDArray[np.int64], groups: NDArray[np.int64], arms: tuple[str, ...], prior: float
) -> tuple[str, ...]:
    """Return which groups of arms are linked by the prior alone."""
    if not prior or len(np.unique(linked)) == len(np.unique(groups)):
        return ()
    names = [", ".join(arms[i] for i in np.flatnonzero(linked == g)) for g in np.unique(linked)]
    return (
        f"The prior of {prior:g} tied vote{'' if prior == 1 else 's'} per arm alone links "
        f"{_told(names)}: differences between these groups rest on it and not "
        "on votes.",
    )


def _told(groups: list[str]) -> str:
    more = len(groups) - _MOST_NAMED
    return "; ".join(groups[:_MOST_NAMED]) + (f"; and {more:,} more" if more > 0 else "")
