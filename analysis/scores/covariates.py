"""Elo at equal properties of the pictures: how arms compare where their images are equally sharp.

With x_l − x_r the difference of a vote's two images in P properties,

    η = (σ_left − σ_right + side + βᵀ(x_l − x_r)) / 173.7

in log-odds, ties half a win each: the Bradley–Terry model with covariates of the compared objects
(Springall 1973, doi:10.2307/2346301; as "style control" in arenas of language models). σ is then
what an arm is worth beside another with images of the same properties. What is common to both
images of a pair, as their prompt and language are, cancels: score categories apart for that
(`by_category`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64
from numpy.typing import NDArray
from scipy.special import expit  # pyright: ignore[reportMissingTypeStubs]

from analysis.ballots import Ballot, win_matrix
from analysis.errors import AnalysisError

from .covariance import Concentration
from .davidson import largest_group
from .elo import ELO_PER_NAT, fit_elo
from .interval import Interval
from .intervals import ONE_RATER, RobustCovariance
from .shown import Shown

_STEPS = 100
_LARGEST = 30 * ELO_PER_NAT  # beyond it a fit is running away
_SINGULAR = 1e12


@dataclass(frozen=True)
class CovariateFit(Shown):
    """Scores of K arms at equal properties, and what the properties are worth.

    Attributes:
        arms: K names.
        scores: (K,) Elo points, mean zero over the arms that the votes link; NaN for others.
        side: Elo points that standing on the left is worth.
        names: P properties.
        effects: (P,) Elo points that one unit more of each is worth.
        votes: how many votes have all properties of both images.
        covariance: of (scores, side, effects), Elo points.
        level: confidence level.
    """

    arms: tuple[str, ...]
    scores: NDArray[np.float64]
    side: float
    names: tuple[str, ...]
    effects: NDArray[np.float64]
    votes: int
    covariance: RobustCovariance
    level: float

    def score(self, arm: int) -> Interval:
        """Of the arm's score at equal properties."""
        return self._interval(float(self.scores[arm]), arm)

    def effect(self, name: str) -> Interval:
        """Of what one unit more of a property is worth, Elo points."""
        at = self.names.index(name)
        return self._interval(float(self.effects[at]), len(self.arms) + 1 + at)

    @property
    def table(self) -> pd.DataFrame:
        """One row per arm or property: kind (one of the two), name, elo, low, high, reason."""
        rows = [("arm", a, self.scores[i], self.score(i)) for i, a in enumerate(self.arms)]
        rows += [("property", n, self.effects[i], self.effect(n)) for i, n in enumerate(self.names)]
        return pd.DataFrame(
            [(kind, name, value, b.low, b.high, b.reason) for kind, name, value, b in rows],
            columns=["kind", "name", "elo", "low", "high", "reason"],
        )

    def _interval(self, value: float, parameter: int) -> Interval:
        if np.isnan(value):
            return Interval.undefined("not linked with the largest group of arms", self.level)
        return self.covariance.interval(value, np.eye(self._size)[parameter], self.level)

    @property
    def _size(self) -> int:
        return len(self.arms) + 1 + len(self.names)


def fit_covariates(
    ballot: Ballot,
    differences: Float64[NDArray[np.float64], "votes properties"],
    names: Sequence[str],
    level: float = 0.95,
) -> CovariateFit:
    """Fit scores at equal properties of the compared images, with a side term.

    Errors are clustered by rater, and by prompt where prompts repeat, by leaving out one cluster at
    a time from the fit linearised at its solution (CV3: MacKinnon, Nielsen & Webb 2023).

    Args:
        ballot: N votes.
        differences: (N, P) of each property, left image minus right, in units of your choice; a
            vote with a NaN is left out.
        names: P names of the properties.
        level: confidence level.

    Raises:
        AnalysisError: no votes have all properties, no arms are linked, or a property can't be
            told from the arms or the other properties.

    Examples:
        >>> sharper = np.sin(np.arange(ballot.votes))[:, None]
        >>> found = fit_covariates(ballot, sharper, ["sharpness"])
        >>> found.names, found.votes, bool(np.isfinite(found.effects[0]))
        (('sharpness',), 36, True)
    """
    known = np.asarray(np.isfinite(differences).all(axis=1), bool)
    members = np.zeros(len(ballot.arms), bool)
    members[largest_group(fit_elo(_wins(ballot, known), ballot.arms))] = True
    rows = np.flatnonzero(known & members[ballot.left] & members[ballot.right])
    design = _design(ballot, rows, differences[rows])
    sided = ballot.neutral is None or not bool(ballot.neutral[rows].all())
    used = np.concatenate([members, [sided], np.ones(len(names), bool)])
    theta, bread = _newton(design, ballot.left_wins[rows], used, int(members.sum()))
    scores = np.where(members, theta[: len(members)], np.nan)
    return CovariateFit(
        ballot.arms, scores, float(theta[len(members)]), tuple(names),
        theta[len(members) + 1 :], len(rows),
        _clustered(design, ballot.left_wins[rows], theta, bread, ballot, rows), level,
    )  # fmt: skip


def _wins(ballot: Ballot, known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(K, K) the win matrix of the votes that have all properties."""
    if not known.any():
        raise AnalysisError(
            "No vote has the properties of both images: expected a value for each. Measure the "
            "images, or leave the properties out."
        )
    chosen = Ballot(ballot.question, ballot.rater_kind, ballot.arms, ballot.left[known],
                    ballot.right[known], ballot.left_wins[known], ballot.rater[known])  # fmt: skip
    return win_matrix(chosen)


def _design(
    ballot: Ballot, rows: NDArray[np.int64], differences: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n, K + 1 + P) what each parameter adds to a vote's predictor, in log-odds per Elo point."""
    K, each = len(ballot.arms), np.arange(len(rows))
    design = np.zeros((len(rows), K + 1 + differences.shape[1]))
    design[each, ballot.left[rows]] = 1.0
    design[each, ballot.right[rows]] = -1.0
    design[:, K] = 1.0 if ballot.neutral is None else ~ballot.neutral[rows]
    design[:, K + 1 :] = differences
    return design / ELO_PER_NAT


def _newton(
    design: NDArray[np.float64], won: NDArray[np.float64], used: NDArray[np.bool_], arms: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(P,) maximiser in Elo points, and the (P, P) inverse information there.

    Args:
        design: of every parameter.
        won: the left image's share of each vote.
        used: which parameters there are.
        arms: how many of them are scores, which have mean zero.
    """
    theta, X = np.zeros(len(used)), design[:, used]
    flat = np.zeros(X.shape[1])
    flat[:arms] = 1 / arms
    for _ in range(_STEPS):
        p = expit(design @ theta)
        information = X.T @ (X * (p * (1 - p))[:, None])
        information += np.outer(flat, flat) * np.trace(information)
        if np.linalg.cond(information) > _SINGULAR or np.abs(theta).max() > _LARGEST:
            break
        step = np.asarray(np.linalg.solve(information, X.T @ (won - p)), np.float64)
        largest = float(np.abs(X @ step).max(initial=0.0))
        theta[used] += step * np.log1p(largest) / max(largest, 1e-300)
        if largest < 1e-10:
            theta[np.flatnonzero(used)[:arms]] -= flat[:arms] @ theta[used][:arms]
            bread = np.zeros((len(used), len(used)))
            bread[np.ix_(used, used)] = np.linalg.inv(information)
            return theta, bread
    raise AnalysisError(
        "A property can't be told from the arms, the side or the other properties: expected images "
        "of one arm that differ in it. Leave it out."
    )


def _clustered(
    design: NDArray[np.float64],
    won: NDArray[np.float64],
    theta: NDArray[np.float64],
    bread: NDArray[np.float64],
    ballot: Ballot,
    rows: NDArray[np.int64],
) -> RobustCovariance:
    p = expit(design @ theta)
    pull, weight = design * (won - p)[:, None], p * (1 - p)
    prompts = None if ballot.prompt is None else ballot.prompt[rows]
    clusters, method = [ballot.rater[rows]], "clustered by rater"
    if prompts is not None and len(np.unique(prompts)) > 1:
        clusters, method = [*clusters, prompts], "clustered by rater and prompt"
    size = len(theta)
    if min(len(np.unique(codes)) for codes in clusters) < 2:
        return RobustCovariance(np.zeros((1, size, size)), (), method, ONE_RATER)
    found = [_left_out(design, pull, weight, bread, codes) for codes in clusters]
    covariances = [covariance for covariance, _ in found]
    if len(clusters) == 2:
        cells = np.unique(np.stack(clusters), axis=1, return_inverse=True)[1].ravel()
        sums = _sums(pull, cells) @ bread
        covariances.append(sums.T @ sums * (len(sums) / max(len(sums) - 1, 1)))
    return RobustCovariance(np.stack(covariances), tuple(spread for _, spread in found), method)


def _left_out(
    design: NDArray[np.float64],
    pull: NDArray[np.float64],
    weight: NDArray[np.float64],
    bread: NDArray[np.float64],
    clusters: NDArray[np.int64],
) -> tuple[NDArray[np.float64], Concentration]:
    """(P, P) CV3 of one clustering, and how votes spread over its clusters.

    (H − A_g)⁻¹ s_g = (I − B A_g)⁻¹ B s_g, with A_g a cluster's part of the information.
    """
    order = np.argsort(clusters, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(clusters[order]) > 0])
    moved: list[NDArray[np.float64]] = []
    met: list[NDArray[np.int64]] = []
    for votes in np.split(order, starts[1:]):
        own = design[votes]
        share = bread @ (own.T @ (own * weight[votes][:, None]))
        moved.append(np.linalg.pinv(np.eye(len(bread)) - share) @ bread @ pull[votes].sum(0))
        met.append((own != 0).sum(axis=0))
    pulls, given = np.array(moved), np.array(met, np.float64)
    each = given.sum(axis=0)
    part = given / np.where(each, each, 1) ** 2
    factor = (len(pulls) - 1) / len(pulls)
    return pulls.T @ pulls * factor, Concentration(each, part.T @ part)


def _sums(values: NDArray[np.float64], clusters: NDArray[np.int64]) -> NDArray[np.float64]:
    order = np.argsort(clusters, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(clusters[order]) > 0])
    return np.add.reduceat(values[order], starts, axis=0)
