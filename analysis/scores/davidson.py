"""Elo beside what else moves a vote: ties as an outcome of their own, and the side.

With η = (σ_left − σ_right + side) / 173.7 in log-odds, Davidson's model (1970,
doi:10.1080/01621459.1970.10481082) with an order effect (Davidson & Beaver 1977,
doi:10.2307/2529467) is

    P(left) : P(tie) : P(right) = e^{η/2} : ν : e^{−η/2}.

A difference of scores has the same meaning as in `elo`: the odds of winning, now among decided
votes. Without ν and with ties as half a win each it is the paper's objective with a side term.
The side term is what keeps scores right when an arm stood on one side more often than the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.ballots import TIED, Ballot, win_matrix
from analysis.errors import AnalysisError

from .covariance import Column, Concentration, Linearised
from .elo import ELO_PER_NAT, EloFit, fit_elo
from .interval import Interval
from .intervals import Clustering, RobustCovariance, robust_covariance
from .shown import Shown

Ties = Literal["davidson", "half"]

_LARGEST = 30.0  # log-odds; beyond it a fit is running away


@dataclass(frozen=True)
class OutcomeFit(Shown):
    """Scores of K arms, the advantage of the left side and how readily raters tie.

    Attributes:
        arms: K names.
        scores: (K,) Elo points, mean zero over the arms that the votes link; NaN for others.
        reasons: K sentences, empty where there is a score.
        side: Elo points that standing on the left is worth; NaN when not fitted.
        tie_share: P(tie) between equal arms on no side, ν / (2 + ν); NaN when not fitted.
        log_ties: log ν.
        covariance: of (scores, side, log ν), Elo points and nats.
        level: confidence level.
    """

    arms: tuple[str, ...]
    scores: NDArray[np.float64]
    reasons: tuple[str, ...]
    side: float
    log_ties: float
    covariance: RobustCovariance
    level: float

    @property
    def tie_share(self) -> float:
        """P(tie) between equal arms on no side, ν / (2 + ν)."""
        return float(_tie_share(self.log_ties))

    def score(self, arm: int) -> Interval:
        """Of the arm's score."""
        return self._contrast({arm: 1.0})

    def difference(self, arm: int, against: int) -> Interval:
        """Of σ_arm − σ_against."""
        if arm == against:
            return Interval(0.0, 0.0, self.level)
        return self._contrast({arm: 1.0, against: -1.0})

    def side_interval(self) -> Interval:
        """Of the left side's worth, Elo points."""
        if np.isnan(self.side):
            return Interval.undefined("no side term was fitted", self.level)
        return self.covariance.interval(self.side, self._unit(len(self.arms)), self.level)

    def tie_interval(self) -> Interval:
        """Of `tie_share`."""
        if np.isnan(self.log_ties):
            return Interval.undefined("ties were not fitted", self.level)
        contrast = self._unit(len(self.arms) + 1)
        bounds = self.covariance.interval(self.log_ties, contrast, self.level)
        low, high = _tie_share(np.array([bounds.low, bounds.high]))
        return Interval(float(low), float(high), self.level, bounds.reason)

    @property
    def table(self) -> pd.DataFrame:
        """One row per parameter: parameter, value, low, high, reason.

        Parameters are the arms, `left side` and `tie share`; the last two only where fitted.
        """
        rows = [(a, self.scores[i], self.score(i)) for i, a in enumerate(self.arms)]
        if not np.isnan(self.side):
            rows.append(("left side", self.side, self.side_interval()))
        if not np.isnan(self.log_ties):
            rows.append(("tie share", self.tie_share, self.tie_interval()))
        return pd.DataFrame(
            [(name, value, b.low, b.high, b.reason) for name, value, b in rows],
            columns=["parameter", "value", "low", "high", "reason"],
        )

    def _contrast(self, weights: dict[int, float]) -> Interval:
        value, contrast = 0.0, np.zeros(len(self.arms) + 2)
        for arm, weight in weights.items():
            if self.reasons[arm]:
                return Interval.undefined(self.reasons[arm], self.level)
            value += weight * float(self.scores[arm])
            contrast[arm] = weight
        return self.covariance.interval(value, contrast, self.level)

    def _unit(self, parameter: int) -> NDArray[np.float64]:
        return np.eye(len(self.arms) + 2)[parameter]


def fit_outcomes(
    ballot: Ballot,
    ties: Ties = "davidson",
    side: bool = True,
    clustering: Clustering = "auto",
    level: float = 0.95,
) -> OutcomeFit:
    """Fit scores with a side term, and ties as an outcome or as half a win each.

    With η = (σ_left − σ_right + side) / 173.7, the fit maximises Σ log P(answer) under

        P(left) : P(tie) : P(right) = e^{η/2} : ν : e^{−η/2}

    (Davidson 1970; the order effect of Davidson & Beaver 1977). Votes marked `neutral` have no side
    in their η. With `ties="half"` it maximises
    the paper's objective, as `fit_elo` does, with the side term in the exponent.

    Arms that the votes don't link with the largest group of arms have no score.

    Args:
        ballot: the votes.
        ties: `davidson` fits ν; `half` counts a tie as half a win for each, as the paper does.
            A ballot without ties has no ν to fit.
        side: fit the worth of standing on the left.
        clustering: as for `sandwich`.
        level: confidence level.

    Raises:
        AnalysisError: no arms are linked; only ties, with `davidson`; or the side can't be told
            from the arms (each pair only ever stood one way round, or left always won).

    Examples:
        >>> outcomes = fit_outcomes(ballot)
        >>> outcomes.scores.round(), round(outcomes.tie_share, 3)
        (array([-117.,   47.,   70.]), 0.119)
    """
    plain = fit_elo(win_matrix(ballot), ballot.arms)
    members = largest_group(plain)
    chosen = np.flatnonzero(np.isin(ballot.left, members) & np.isin(ballot.right, members))
    left, right, won = ballot.left[chosen], ballot.right[chosen], ballot.left_wins[chosen]
    tied = won == TIED
    with_ties = ties == "davidson" and bool(tied.any())
    if with_ties and tied.all():
        raise AnalysisError(
            "Every vote is a tie: Davidson's ν has no bound. Count ties as half a win each "
            "(ties='half'), which leaves all arms equal."
        )
    K = len(ballot.arms)
    fitted = np.zeros(K + 2, bool)  # which of (scores, side, log ν) there are
    fitted[members], fitted[K], fitted[K + 1] = True, side, with_ties
    sided = np.ones(len(chosen), bool) if ballot.neutral is None else ~ballot.neutral[chosen]
    cells = [
        _Cells(left[rows], right[rows], won[rows], K, side)
        for rows, side in ((sided, 1.0), (~sided, 0.0)) if side or rows.any()
    ]  # fmt: skip
    theta, bread = _newton(cells, fitted)
    scores = np.full(K, np.nan)
    scores[members] = theta[members] * ELO_PER_NAT
    apart = "not linked by wins in both directions with the largest group of arms"
    return OutcomeFit(
        ballot.arms,
        scores,
        tuple("" if fitted[i] else plain.reasons[i] or apart for i in range(K)),
        float(theta[K] * ELO_PER_NAT) if side else np.nan,
        float(theta[K + 1]) if with_ties else np.nan,
        _of_parameters(
            robust_covariance(
                _linearised(theta, fitted, bread, left, right, won, sided),
                ballot,
                clustering,
                chosen,
            ),
            K + 2,
        ),
        level,
    )


def _tie_share(log_ties: float | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + 2 * np.exp(-np.asarray(log_ties, np.float64))))


def largest_group(fit: EloFit) -> NDArray[np.int64]:
    """Return the arms of the largest group that the votes link.

    Raises:
        AnalysisError: no two arms are linked.
    """
    sizes = np.bincount(fit.groups) if len(fit.groups) else np.zeros(1, int)
    if sizes.max() < 2:
        raise AnalysisError(
            "No two arms are linked by wins in both directions, so there is nothing to fit: "
            "collect more votes, or use fit_elo with a weak prior."
        )
    return np.flatnonzero(fit.groups == np.argmax(sizes)).astype(np.int64)


def _of_parameters(covariance: RobustCovariance, count: int) -> RobustCovariance:
    """Return the covariance without the parameter that stands in for the side of neutral votes."""
    return replace(
        covariance,
        covariances=covariance.covariances[:, :count, :count],
        concentrations=tuple(
            Concentration(c.votes[:count], c.overlap[:count, :count])
            for c in covariance.concentrations
        ),
    )


class _Cells:
    """Votes as counts of each outcome by (arm on the left, arm on the right).

    `side` is 1 for votes with a side term, and 0 for those without.
    """

    def __init__(
        self,
        left: NDArray[np.int64],
        right: NDArray[np.int64],
        won: NDArray[np.float64],
        arms: int,
        side: float = 1.0,
    ) -> None:
        self.side = side
        cell = left * arms + right
        shape, size = (arms, arms), arms * arms
        self.votes = np.bincount(cell, minlength=size).reshape(shape).astype(np.float64)
        self.won = np.bincount(cell, won, size).reshape(shape)
        self.tied = np.bincount(cell, won == TIED, size).reshape(shape)


def _outcome(
    eta: NDArray[np.float64], log_ties: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[NDArray[np.float64], ...]]:
    """Expected (left wins − ½ + half ties), P(tie), and their (co)variances: vv, vt, tt."""
    top = np.maximum(np.abs(eta) / 2, log_ties)  # so that no exponential overflows
    left, right, tie = np.exp(eta / 2 - top), np.exp(-eta / 2 - top), np.exp(log_ties - top)
    total = left + right + tie
    left, right, tied = left / total, right / total, tie / total
    mean, decided = (left - right) / 2, left + right
    return mean, tied, (left * right + decided * tied / 4, -mean * tied, tied * decided)


def _newton(
    cells: Sequence[_Cells], fitted: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(P,) maximiser in log-odds and nats, and the (P, P) inverse information there."""
    P, K = len(fitted), len(cells[0].votes)
    theta = np.zeros(P)
    theta[K + 1] = 0.0 if fitted[K + 1] else -np.inf
    flat = np.where(fitted[:K], 1.0, 0.0) / max(fitted[:K].sum(), 1)
    for _ in range(200):
        gradient, information = np.zeros(P), np.zeros((P, P))
        for part in cells:
            eta = theta[:K, None] - theta[None, :K] + theta[K] * part.side
            mean, tied, (vv, vt, tt) = _outcome(eta, theta[K + 1])
            wins, ties = part.won - part.votes * (mean + 0.5), part.tied - part.votes * tied
            moved = _carry(wins, ties)
            known = _information(*(part.votes * v for v in (vv, vt, tt)))
            moved[K] *= part.side
            known[K, :] *= part.side
            known[:, K] *= part.side
            gradient += moved
            information += known
        # The likelihood is flat along (1, …, 1): raised there, so that the step can be solved for.
        information[:K, :K] += np.outer(flat, flat) * np.trace(information)
        used = information[np.ix_(fitted, fitted)]
        # Beyond this float64 leaves the step fewer than four digits: the data say nothing of it.
        if np.linalg.cond(used) > 1e12:
            break
        step = np.zeros(P)
        step[fitted] = np.linalg.solve(used, gradient[fitted])
        largest = max(np.ptp(step[:K]) + abs(step[K]), abs(step[K + 1]))
        # The damped step of `elo.fit_batch`, which a self-concordant loss never overshoots.
        theta[fitted] += step[fitted] * np.log1p(largest) / max(largest, 1e-300)
        if np.ptp(theta[:K]) + abs(theta[K]) > _LARGEST:
            break
        if largest < 1e-9:
            theta[:K] -= theta[:K] @ flat
            return theta, centred_inverse(used, fitted, flat)
    raise AnalysisError(
        "The side can't be told from the arms: pairs stood only one way round, or one side won "
        "every vote. Fit without the side term (side=False)."
    )


def centred_inverse(
    used: NDArray[np.float64], fitted: NDArray[np.bool_], flat: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the (P, P) inverse information where the likelihood is flat along the first K scores.

    The raised direction must not show in the covariance: scores are projected on mean zero.

    Args:
        used: information of the fitted parameters, raised along the flat direction.
        fitted: (P,) which of the parameters those are.
        flat: (K,) the weights of the scores' mean.
    """
    P, K = len(fitted), len(flat)
    bread, centre = np.zeros((P, P)), np.eye(P)
    bread[np.ix_(fitted, fitted)] = np.linalg.inv(used)
    centre[:K, :K] -= np.outer(np.where(fitted[:K], 1.0, 0.0), flat)
    return centre @ bread @ centre.T


def _carry(wins: NDArray[np.float64], ties: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P,) gradient from (K, K) residuals of cells."""
    return np.concatenate([wins.sum(1) - wins.sum(0), [wins.sum(), ties.sum()]])


def _information(
    vv: NDArray[np.float64], vt: NDArray[np.float64], tt: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(P, P) from (K, K) weights of cells."""
    K = len(vv)
    both = vv + vv.T
    information = np.zeros((K + 2, K + 2))
    information[:K, :K] = np.diag(both.sum(axis=1)) - both
    information[:K, K] = information[K, :K] = vv.sum(1) - vv.sum(0)
    information[:K, K + 1] = information[K + 1, :K] = vt.sum(1) - vt.sum(0)
    information[K, K] = vv.sum()
    information[K, K + 1] = information[K + 1, K] = vt.sum()
    information[K + 1, K + 1] = tt.sum()
    return information


def _linearised(
    theta: NDArray[np.float64],
    fitted: NDArray[np.bool_],
    bread: NDArray[np.float64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    won: NDArray[np.float64],
    sided: NDArray[np.bool_],
) -> Linearised:
    K = len(theta) - 2
    eta = theta[left] - theta[right] + theta[K] * sided
    if not sided.all():  # a neutral vote's side is a parameter that moves nothing
        bread = np.pad(bread, (0, 1))
    mean, tied, (vv, vt, tt) = _outcome(eta, theta[K + 1])
    columns = [Column(left), Column(right, -1.0), Column(np.where(sided, K, K + 2))]
    residual, weight = [won - 0.5 - mean], [[vv]]
    if fitted[K + 1]:
        columns.append(Column(np.full_like(left, K + 1), component=1))
        residual.append((won == TIED) - tied)
        weight = [[vv, vt], [vt, tt]]
    unit = np.r_[np.full(K + 1, ELO_PER_NAT), np.ones(len(bread) - K - 1)]
    return Linearised(columns, np.array(residual), np.array(weight), bread, unit)
