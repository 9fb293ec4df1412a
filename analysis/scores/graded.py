"""Elo of graded answers: an ordinal model of how much better an image is.

With η = (σ_left − σ_right + side) / 173.7 in log-odds and thresholds 0 < a < b, the grades −2 … 2
of an answer (`analysis.ballots.Answer.grade`) follow the cumulative logit model of paired
comparisons (Agresti 1992, Applied Statistics 41(2), doi:10.2307/2347562)

    P(grade ≤ g) = 1 / (1 + exp(η − τ_g)),   τ = (−b, −a, a, b) for g = −2 … 1,

whose thresholds lie symmetrically, since exchanging the sides must change nothing else. With two
grades and ties it is the model of Rao & Kupper (1967, doi:10.1080/01621459.1967.10482901), and
without ties that of `elo`: a difference of scores is the log-odds of being preferred at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit  # pyright: ignore[reportMissingTypeStubs]

from analysis.ballots import Ballot, win_matrix
from analysis.errors import AnalysisError

from .covariance import Column, Linearised
from .davidson import centred_inverse, largest_group
from .elo import ELO_PER_NAT, fit_elo
from .interval import Interval
from .intervals import Clustering, RobustCovariance, robust_covariance
from .shown import Shown

_ROUNDS = 200
_SETTLED = 1e-9  # nats
_SINGULAR = 1e12
THRESHOLDS = ("tie threshold", "strong threshold")


@dataclass(frozen=True)
class GradedFit(Shown):
    """Scores of K arms from graded answers, with the left side's advantage and the thresholds.

    Attributes:
        arms: K names.
        scores: (K,) Elo points, mean zero over the arms that the votes link; NaN for others.
        side: Elo points that standing on the left is worth.
        thresholds: (2,) Elo points: how far apart two arms are that are told apart as often as not,
            and those whose difference is called strong as often as not.
        covariance: of (scores, side, thresholds), Elo points.
        level: confidence level.
    """

    arms: tuple[str, ...]
    scores: NDArray[np.float64]
    side: float
    thresholds: NDArray[np.float64]
    covariance: RobustCovariance
    level: float

    def difference(self, arm: int, against: int) -> Interval:
        """Of σ_arm − σ_against."""
        value = float(self.scores[arm] - self.scores[against])
        if np.isnan(value):
            return Interval.undefined("one of the arms has no score", self.level)
        unit = np.eye(len(self.arms) + 3)
        return self.covariance.interval(value, unit[arm] - unit[against], self.level)

    @property
    def table(self) -> pd.DataFrame:
        """One row per parameter: parameter, value, low, high, reason.

        Parameters are the arms, `left side`, `tie threshold` and `strong threshold`.
        """
        names = [*self.arms, "left side", *THRESHOLDS]
        values = np.concatenate([self.scores, [self.side], self.thresholds])
        rows = [
            (name, value, *self._bounds(float(value), parameter))
            for parameter, (name, value) in enumerate(zip(names, values, strict=True))
        ]
        return pd.DataFrame(rows, columns=["parameter", "value", "low", "high", "reason"])

    def _bounds(self, value: float, parameter: int) -> tuple[float, float, str]:
        if np.isnan(value):
            return np.nan, np.nan, "not linked by wins in both directions with most arms"
        unit = np.eye(len(self.arms) + 3)[parameter]
        found = self.covariance.interval(value, unit, self.level)
        return found.low, found.high, found.reason


def fit_graded(ballot: Ballot, clustering: Clustering = "auto", level: float = 0.95) -> GradedFit:
    """Fit scores, a side term and two thresholds to graded answers by maximum likelihood.

    It maximises Σ log P(grade) under P(grade ≤ g) = 1 / (1 + exp(η − τ_g)) with
    τ = (−b, −a, a, b) (Agresti 1992). Arms that the votes don't link have no score.

    Args:
        ballot: the votes, each with a grade.
        clustering: as for `sandwich`.
        level: confidence level.

    Raises:
        AnalysisError: answers without a grade; a grade that is never given; no arms that are
            linked; or pairs that only ever stood one way round.

    Examples:
        >>> from dataclasses import replace
        >>> side = np.sign(2 * ballot.left_wins - 1).astype(int)
        >>> graded = replace(ballot, grade=side * (1 + np.arange(ballot.votes) % 2))
        >>> fit_graded(graded).scores.round()
        array([-97.,  65.,  32.])
    """
    grade = _grades(ballot)
    members = largest_group(fit_elo(win_matrix(ballot), ballot.arms))
    chosen = np.flatnonzero(np.isin(ballot.left, members) & np.isin(ballot.right, members))
    left, right, grade = ballot.left[chosen], ballot.right[chosen], grade[chosen]
    theta, bread = _newton(left, right, grade, len(ballot.arms), members)
    K = len(ballot.arms)
    scores = np.full(K, np.nan)
    scores[members] = theta[members] * ELO_PER_NAT
    _, residual, weight = _per_vote(theta, left, right, grade, K)
    columns = [
        Column(left), Column(right, -1.0), Column(np.full_like(left, K)),
        *(Column(np.full_like(left, K + n), component=n) for n in (1, 2)),
    ]  # fmt: skip
    at = Linearised(columns, residual, weight, bread, np.full(K + 3, ELO_PER_NAT))
    return GradedFit(
        ballot.arms,
        scores,
        float(theta[K] * ELO_PER_NAT),
        theta[K + 1 :] * ELO_PER_NAT,
        robust_covariance(at, ballot, clustering, chosen),
        level,
    )


def _grades(ballot: Ballot) -> NDArray[np.int64]:
    """(N,) 0 … 4 from the strongest for right to the strongest for left.

    Raises:
        AnalysisError: the model can't be fitted to them.
    """
    if ballot.grade is None:
        raise AnalysisError(
            f"Votes on {ballot.question!r} have answers without a grade; expected answers such as "
            "'left_slightly' in every vote. Fit them with fit_elo or fit_outcomes."
        )
    given = {int(abs(grade)) for grade in np.unique(ballot.grade)}
    names = {0: "tie", 1: "slight grade", 2: "strong grade"}
    if missing := [names[size] for size in (0, 1, 2) if size not in given]:
        raise AnalysisError(
            f"The answers have no {' and no '.join(missing)}, so its threshold has no bound; "
            "expected each of the grades. Fit them with fit_elo or fit_outcomes."
        )
    return ballot.grade + 2


def _newton(
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    grade: NDArray[np.int64],
    K: int,
    members: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(K + 3,) maximiser in nats: scores, side, a and b; and its inverse information."""
    cells, counts = np.unique((left * K + right) * 5 + grade, return_counts=True)
    left, right, grade = cells // 5 // K, cells // 5 % K, cells % 5
    fitted = np.ones(K + 3, bool)
    fitted[:K] = np.isin(np.arange(K), members)
    flat = np.where(fitted[:K], 1.0, 0.0) / len(members)
    theta = np.concatenate([np.zeros(K + 1), [0.5, 2.0]])
    likelihood, residual, weight = _per_vote(theta, left, right, grade, K)
    for _ in range(_ROUNDS):
        gradient = _gradient(residual * counts, left, right, K)
        information = _information(weight * counts, left, right, K)
        # The likelihood is flat along (1, …, 1): raised there, so that the step can be solved for.
        information[:K, :K] += np.outer(flat, flat) * np.trace(information)
        used = information[np.ix_(fitted, fitted)]
        if np.linalg.cond(used) > _SINGULAR:
            break
        step = np.zeros(K + 3)
        step[fitted] = np.linalg.solve(used, gradient[fitted])
        if np.abs(step).max() < _SETTLED:
            theta[:K] -= theta[:K] @ flat
            return theta, centred_inverse(used, fitted, flat)
        before = float(likelihood @ counts) * (1 + 1e-12)
        while True:  # shorter until it climbs and the thresholds keep their order
            tried = theta + step
            likelihood, residual, weight = _per_vote(tried, left, right, grade, K)
            in_order = 0 < tried[K + 1] < tried[K + 2]
            if (in_order and likelihood @ counts >= before) or np.abs(step).max() < _SETTLED:
                break
            step = step / 2
        theta = tried
    raise AnalysisError(
        "The side can't be told from the arms: pairs stood only one way round, or one side won "
        "every vote. Fit without grades (fit_elo)."
    )


def _per_vote(
    theta: NDArray[np.float64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    grade: NDArray[np.int64],
    K: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(N,) log-likelihoods, (3, N) gradients by (η, a, b), and (3, 3, N) expected information."""
    eta, a, b = theta[left] - theta[right] + theta[K], theta[K + 1], theta[K + 2]
    below = expit(np.array([-b, -a, a, b])[:, None] - eta)
    slope, none = below * (1 - below), np.zeros_like(eta)
    moved = np.array([
        [none, *(-slope), none],
        [none, none, -slope[1], slope[2], none, none],
        [none, -slope[0], none, none, slope[3], none],
    ])  # fmt: skip
    share = np.diff(np.array([none, *below, none + 1]), axis=0).clip(1e-300)
    by = np.diff(moved, axis=1)
    votes = np.arange(len(eta))
    own = share[grade, votes]
    return np.log(own), by[:, grade, votes] / own, np.einsum("ign,jgn->ijn", by, by / share)


def _gradient(
    residual: NDArray[np.float64], left: NDArray[np.int64], right: NDArray[np.int64], K: int
) -> NDArray[np.float64]:
    gained, lost = (np.bincount(side, residual[0], K) for side in (left, right))
    return np.concatenate([gained - lost, residual.sum(axis=1)]).astype(np.float64)


def _information(
    weight: NDArray[np.float64], left: NDArray[np.int64], right: NDArray[np.int64], K: int
) -> NDArray[np.float64]:
    """(K + 3, K + 3) from (3, 3, cells)."""
    information = np.zeros((K + 3, K + 3))
    cells = np.bincount(left * K + right, weight[0, 0], K * K).reshape(K, K)
    both = cells + cells.T
    information[:K, :K] = np.diag(both.sum(axis=1)) - both
    for n in range(3):
        sums = np.bincount(left, weight[0, n], K) - np.bincount(right, weight[0, n], K)
        information[:K, K + n] = information[K + n, :K] = sums
    information[K:, K:] = weight.sum(axis=2)
    return information
