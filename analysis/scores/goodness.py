"""Do the votes lie on one scale? A test of fit, pair by pair, and arms that beat each other in a
circle.

An Elo fit gives K numbers whatever the votes are. It says nothing of arms of which each beats the
next: their scores are equal. This compares each pair's observed wins with the fitted ones.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array  # pyright: ignore[reportMissingTypeStubs]
from scipy.special import fdtrc, stdtr  # pyright: ignore[reportMissingTypeStubs]

from analysis.ballots import Ballot

from .all_pairs import hold_together
from .covariance import Column, Linearised
from .elo import EloFit, win_probability
from .intervals import ROUNDING, Clustering, RobustCovariance, robust_covariance, within_groups
from .intervals import inverse_information as scores_bread
from .shown import Shown

_MOST_PAIRS = 800  # whose covariance is taken
_MOST_SUMS = 20_000_000  # of raters or prompts and pairs, 160 MB
_MOST_IN_CIRCLES = 60  # arms: 34,220 triples
TOO_MANY = "too many pairs of arms for a test"
NO_TRIPLES = "no three arms were compared with each other, so any votes fit"

_PAIRS = [
    "arm",
    "against",
    "n",
    "observed",
    "fitted",
    "deviation",
    "low",
    "high",
    "p",
    "p_adjusted",
]
_CIRCLES = ["first", "second", "third", "first_second", "second_third", "third_first", "p",
            "p_adjusted"]  # fmt: skip


def _empty(columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(columns=columns)


@dataclass(frozen=True)
class Goodness(Shown):
    """How well one Elo fit describes the votes it was made of.

    Attributes:
        f: the statistic; NaN without a test.
        df1: its first degrees of freedom, a fraction.
        df2: its second ones.
        p: of votes that lie on one scale.
        pairs: one row per pair of arms that votes compare, the least fitting first: arm (the one
            that the fit puts above), against, n, observed (share that `arm` won, ties half),
            fitted, deviation (observed − fitted), low, high (its 95% interval, for all pairs
            together), p (of a deviation of zero, this pair alone), p_adjusted (all pairs).
        circles: one row per three arms of which each won most votes against the next, the surest
            first: first, second, third, first_second (share that `first` won against `second`),
            second_third, third_first, p (that one of the three is no majority), p_adjusted
            (for all triples compared).
        reason: why there is no test; empty where there is one.
    """

    f: float = np.nan
    df1: float = np.nan
    df2: float = np.nan
    p: float = np.nan
    pairs: pd.DataFrame = field(default_factory=lambda: _empty(_PAIRS))
    circles: pd.DataFrame = field(default_factory=lambda: _empty(_CIRCLES))
    reason: str = ""

    def to_frame(self) -> pd.DataFrame:
        """Return observed beside fitted shares, one row per pair."""
        return self.pairs

    def misfits(self, alpha: float = 0.05) -> bool:
        """Return whether the votes contradict one scale."""
        return bool(self.p < alpha)

    def certain_circles(self, alpha: float = 0.05) -> pd.DataFrame:
        """Return the circles that chance does not explain."""
        return self.circles[self.circles["p_adjusted"] < alpha]


def goodness_of_fit(
    fit: EloFit,
    ballot: Ballot,
    clustering: Clustering = "auto",
    level: float = 0.95,
    seed: int = 0,
) -> Goodness:
    """Test whether one score per arm describes the votes.

    With r the observed minus the fitted wins of each pair and W their information n p (1 − p),
    Pearson's statistic is X² = Σ r² / W. If votes share raters or prompts, X² is not χ²
    distributed. With V the clustered covariance of the deviations r / W and λ the eigenvalues of
    W^½ V W^½,

        F = X² / Σλ,  with ν = (Σλ)² / Σλ² and ν · (G* − 1) degrees of freedom

    (Rao & Scott 1984, doi:10.1214/aos/1176346391; Thomas & Rao 1987,
    doi:10.1080/01621459.1987.10478476). G* is the effective number of clusters, as for `sandwich`.

    The table of pairs has each deviation's t with p-values as in `compare_arms`. Three arms are a
    circle (Kendall & Babington Smith 1940, doi:10.1093/biomet/31.3-4.324) if each won most votes
    against the next. Their p-value is the largest of the three one-sided ones (Berger 1982), with
    Bonferroni's factor for the triples compared.

    Args:
        fit: `fit_elo(win_matrix(ballot), ballot.arms)`.
        ballot: the votes it was made of.
        clustering: as for `sandwich`.
        level: confidence level of the intervals of deviations.
        seed: of the draws behind p_adjusted.

    Examples:
        >>> found = goodness_of_fit(fit, ballot)
        >>> round(found.f, 2), round(found.p, 2), len(found.pairs), len(found.circles)
        (1.28, 0.31, 3, 0)
    """
    pairs = _Pairs.of(fit, ballot)
    if not pairs.count:
        return Goodness(reason="no votes" if not ballot.votes else NO_TRIPLES)
    clusters = max(ballot.raters, 0 if ballot.prompt is None else int(ballot.prompt.max()) + 1)
    if pairs.count > _MOST_PAIRS or clusters * pairs.count > _MOST_SUMS:
        return Goodness(reason=TOO_MANY)
    bread = pairs.bread(fit)

    def clustered(residual: NDArray[np.float64], leverage: float) -> RobustCovariance:
        at = Linearised((Column(pairs.index),), residual[None], pairs.weight[None, None], bread,
                        leverage=leverage)  # fmt: skip
        return robust_covariance(at, ballot, clustering, pairs.votes)

    # The test is of all pairs at once, so what raters differ by is told from the pairs' own shares.
    # A single pair may be won in every vote and have no variation of its own: its deviation is
    # told by the fitted share.
    f, df1, df2, reason = _rao_scott(pairs, bread, clustered(pairs.own_residual, 0.5))
    table = _pairs_table(fit, pairs, clustered(pairs.residual, 0.0), bread, level, seed)
    circles = _circles(fit, pairs, ballot, clustering)
    p = float(fdtrc(df1, df2, f)) if not reason else np.nan
    return Goodness(f, df1, df2, p, table, circles, reason)


@dataclass(frozen=True)
class _Pairs:
    """Votes as pairs of arms, the arm of the smaller index first."""

    first: NDArray[np.int64]  # (m,)
    second: NDArray[np.int64]
    n: NDArray[np.float64]
    fitted: NDArray[np.float64]
    index: NDArray[np.int64]  # (N,) each vote's pair
    residual: NDArray[np.float64]  # (N,) what the first won, less the fitted share
    weight: NDArray[np.float64]  # (N,)
    votes: NDArray[np.int64] | None  # of the ballot, None for all

    @classmethod
    def of(cls, fit: EloFit, ballot: Ballot) -> _Pairs:
        kept = within_groups(fit, ballot)
        chosen = slice(None) if kept is None else kept
        left, right, won = (a[chosen] for a in (ballot.left, ballot.right, ballot.left_wins))
        turned = left > right
        cells = np.where(turned, right, left) * len(fit.arms) + np.where(turned, left, right)
        used, index = np.unique(cells, return_inverse=True)
        first, second = used // len(fit.arms), used % len(fit.arms)
        fitted = win_probability(fit.scores[first] - fit.scores[second])
        p = fitted[index]
        n = np.bincount(index, minlength=len(used)).astype(np.float64)
        residual = np.where(turned, 1 - won, won) - p
        return cls(first, second, n, fitted, index, residual, p * (1 - p), kept)

    @property
    def count(self) -> int:
        return len(self.first)

    @property
    def information(self) -> NDArray[np.float64]:
        """(m,) n p (1 − p)."""
        return self.n * self.fitted * (1 - self.fitted)

    @property
    def deviation(self) -> NDArray[np.float64]:
        """(m,) observed minus fitted share."""
        return np.bincount(self.index, self.residual, self.count) / self.n

    @property
    def own_residual(self) -> NDArray[np.float64]:
        """(N,) what the first won, less the observed share."""
        return self.residual - self.deviation[self.index]

    def bread(self, fit: EloFit) -> NDArray[np.float64]:
        """(m, m) W⁻¹ − A I⁻¹ Aᵀ: independent votes' covariance of the deviations r / W.

        A carries scores to pairs; what the scores take up of the votes cannot deviate.
        """
        inverse = scores_bread(fit)
        inside = inverse[:, self.first] - inverse[:, self.second]
        return np.diag(1 / self.information) - (inside[self.first] - inside[self.second])


def _rao_scott(
    pairs: _Pairs, bread: NDArray[np.float64], covariance: RobustCovariance
) -> tuple[float, float, float, str]:
    """F, its degrees of freedom, and why there are none."""
    nothing = (np.nan, np.nan, np.nan)
    root = np.sqrt(pairs.information)
    # Without circles of arms in the graph of comparisons every vote is fitted exactly.
    rank = float(pairs.information @ np.diagonal(bread))
    if rank < 0.5:
        return *nothing, NO_TRIPLES
    if covariance.reason:
        return *nothing, covariance.reason
    spread = _summed(covariance) * np.multiply.outer(root, root)
    trace = float(np.trace(spread))
    df = min(c.effective_clusters(np.ones(pairs.count)) for c in covariance.concentrations) - 1
    if not trace > ROUNDING or df < 0.5:
        return *nothing, "raters or prompts are too few, or too alike, for a test"
    # Unbiased for Σλ²: few clusters spread the eigenvalues (Bai & Saranadasa 1996, Stat. Sinica 6).
    squares = float((spread**2).sum()) - trace**2 / df
    squares *= df**2 / max((df - 1) * (df + 2), 1e-300)
    nu = float(np.clip(trace**2 / max(squares, 1e-300), 1.0, max(rank, 1.0)))
    statistic = float((pairs.deviation**2 * pairs.n**2 / pairs.information).sum())
    return statistic / trace, nu, nu * df, ""


def _summed(covariance: RobustCovariance) -> NDArray[np.float64]:
    """Of two clusterings rater + prompt − both, or their mean where that has the larger trace.

    `RobustCovariance.matrix` would raise every negative eigenvalue, which of many pairs adds up.
    """
    each = covariance.covariances
    if len(each) == 1:
        return each[0]
    traces = np.trace(each, axis1=1, axis2=2)
    mean, both = (each[0] + each[1]) / 2, traces[2]
    return each[0] + each[1] - each[2] if both <= (traces[0] + traces[1]) / 2 else mean


def _pairs_table(
    fit: EloFit,
    pairs: _Pairs,
    covariance: RobustCovariance,
    bread: NDArray[np.float64],
    level: float,
    seed: int,
) -> pd.DataFrame:
    share = pairs.fitted * (1 - pairs.fitted)  # of a deviation in log-odds
    turned = pairs.fitted < 0.5
    sign = np.where(turned, -1.0, 1.0)
    contrasts = _diagonal(share * sign)
    together = hold_together(
        sign * pairs.deviation, covariance, contrasts, bread, level, draws=5000, seed=seed
    )
    arms = np.array(fit.arms, object)
    fitted = np.where(turned, 1 - pairs.fitted, pairs.fitted)
    table = pd.DataFrame({
        "arm": arms[np.where(turned, pairs.second, pairs.first)],
        "against": arms[np.where(turned, pairs.first, pairs.second)],
        "n": pairs.n.astype(int), "observed": fitted + sign * pairs.deviation, "fitted": fitted,
        "deviation": sign * pairs.deviation, "low": together.low, "high": together.high,
        "p": together.p, "p_adjusted": together.p_adjusted,
    })  # fmt: skip
    order = np.lexsort([-table["deviation"].abs(), table["p"].fillna(1)])
    return table.iloc[order].reset_index(drop=True)[_PAIRS]


def _circles(fit: EloFit, pairs: _Pairs, ballot: Ballot, clustering: Clustering) -> pd.DataFrame:
    """Return the circles of three arms, each of which won most votes against the next."""
    K = len(fit.arms)
    if K > _MOST_IN_CIRCLES:
        return _empty(_CIRCLES)
    share = np.full((K, K), np.nan)
    observed = pairs.fitted + pairs.deviation
    share[pairs.first, pairs.second], share[pairs.second, pairs.first] = observed, 1 - observed
    # The share of a pair is a mean: its error is that of the deviations from it.
    own = Linearised(
        (Column(pairs.index),), pairs.own_residual[None],
        np.ones((1, 1, len(pairs.index))), np.diag(1 / pairs.n),
    )  # fmt: skip
    covariance = robust_covariance(own, ballot, clustering, pairs.votes)
    chance = np.full((K, K), np.nan)  # that row beats column by chance alone, one-sided
    if not covariance.reason:
        units = _diagonal(np.ones(pairs.count))
        t = (observed - 0.5) / np.maximum(np.sqrt(covariance.variances(units)), ROUNDING)
        df = covariance.dfs(units)
        df[df < 0.5] = np.nan
        chance[pairs.first, pairs.second] = stdtr(df, -t)
        chance[pairs.second, pairs.first] = stdtr(df, t)
    compared, rows = 0, list[tuple[Any, ...]]()
    for i, j, k in itertools.combinations(range(K), 3):
        ways = [(i, j, k), (i, k, j)]
        compared += not np.isnan(share[i, j] + share[j, k] + share[k, i])
        rows += [_circle(fit, way, share, chance) for way in ways if _is_circle(way, share)]
    table = pd.DataFrame(rows, columns=_CIRCLES[:-1])
    table["p_adjusted"] = np.minimum(table["p"].astype(float) * compared, 1.0)
    return table.sort_values("p", kind="stable", ignore_index=True)


def _diagonal(values: NDArray[np.float64]) -> Any:
    """(m, m) csr_array."""
    places = np.arange(len(values))
    return csr_array((values, (places, places)), shape=(len(values),) * 2)


def _edges(way: tuple[int, int, int]) -> list[tuple[int, int]]:
    a, b, c = way
    return [(a, b), (b, c), (c, a)]


def _is_circle(way: tuple[int, int, int], share: NDArray[np.float64]) -> bool:
    return all(share[edge] > 0.5 for edge in _edges(way))


def _circle(
    fit: EloFit,
    way: tuple[int, int, int],
    share: NDArray[np.float64],
    chance: NDArray[np.float64],
) -> tuple[Any, ...]:
    each = [float(chance[edge]) for edge in _edges(way)]
    return (*(fit.arms[i] for i in way), *(float(share[edge]) for edge in _edges(way)),
            float(np.max(each)))  # fmt: skip
