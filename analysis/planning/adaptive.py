"""Adaptive studies: which pair of arms to ask about next, and when to stop asking.

    wins = win_matrix(ballot)
    pair_gains(wins, ballot.arms).iloc[0]          # the pair whose next vote narrows most
    stop(ballot, precision=50).stop                # may be asked after every single vote

Asking after every vote and stopping at the first 95% interval that leaves out zero finds
differences where there are none: given time, one such interval always comes. `stop` uses a
confidence sequence instead, intervals that hold the truth *at all looks together* with the stated
probability: Robbins' normal mixture (Robbins 1970, doi:10.1214/aoms/1177696786), in the asymptotic
form of Waudby-Smith et al. 2024 (doi:10.1214/24-AOS2408), with cluster-robust standard errors in
it. The votes may be chosen by what earlier votes said, as `pair_gains` does.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Real
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit  # pyright: ignore[reportMissingTypeStubs]

from analysis.ballots import Ballot, win_matrix
from analysis.errors import AnalysisError
from analysis.scores import (
    ELO_PER_NAT,
    Sandwich,
    difference_contrast,
    fit_elo,
    sandwich,
    with_prior,
)


def pair_gains(
    wins: Real[NDArray[Any], "arms _"] | pd.DataFrame,
    arms: Sequence[str] | None = None,
    prior: float = 1.0,
) -> pd.DataFrame:
    """Return how much one more vote on each pair of arms would narrow the Elo intervals.

    The measure is the mean variance of all differences between two arms (A-optimality; Chernoff
    1953): with Σ the inverse of the fitted information and w = p(1 − p) that of a vote between i
    and j, a vote changes Σ by −w ΣvvᵀΣ / (1 + w vᵀΣv), v = e_i − e_j (Sherman & Morrison 1950).

    Args:
        wins: (K, K) counts as `win_matrix` makes them, possibly all zero. A data frame's index
            names the arms.
        arms: K names; the frame's index, or `0`, `1`, … by default.
        prior: tied votes each arm is taken to have had, so that arms without votes have a gain
            too; > 0.

    Returns:
        One row per pair, best first (equal gains in the order of arms): arm, against, votes (so
        far), probability (that `arm` wins, fitted), se (standard error of the difference, Elo
        points), gain (reduction of the mean variance by one vote, Elo points²).

    Raises:
        AnalysisError: `wins` is no matrix of counts, or `prior` is not positive.

    Examples:
        >>> wins = np.array([[0.0, 3, 1], [2, 0, 1], [1, 1, 0]])
        >>> pair_gains(wins, ["a", "b", "c"]).loc[0, "against"]
        'c'
    """
    if isinstance(wins, pd.DataFrame):
        arms = [str(name) for name in wins.index] if arms is None else arms
        wins = wins.to_numpy(np.float64)
    if not prior > 0:
        raise AnalysisError(f"prior: expected a positive number of votes, found {prior}.")
    fit = fit_elo(wins, arms)
    K = len(fit.arms)
    i, j = np.triu_indices(K, 1)
    counts = with_prior(fit.wins, prior)
    p = fit_elo(counts).win_probabilities()
    inverse = _inverse_information(counts, np.where(np.eye(K, dtype=bool), 0.5, p))
    squared = inverse @ inverse
    resistance = inverse[i, i] + inverse[j, j] - 2 * inverse[i, j]
    narrowed = squared[i, i] + squared[j, j] - 2 * squared[i, j]
    weight = (p * (1 - p))[i, j]
    # The trace of Σ is (K − 1)/2 times the mean variance of the K(K − 1)/2 differences.
    gain = weight * narrowed / (1 + weight * resistance) * 2 / max(K - 1, 1)
    names = np.array(fit.arms, object)
    table = pd.DataFrame(
        {
            "arm": names[i],
            "against": names[j],
            "votes": fit.comparisons[i, j],
            "probability": p[i, j],
            "se": np.sqrt(resistance) * ELO_PER_NAT,
            "gain": gain * ELO_PER_NAT**2,
        }
    )
    # To nine digits, so that gains equal but for rounding errors keep the arms' order.
    rounded = np.asarray(np.round(gain / gain.max(initial=1e-300), 9), np.float64)
    order = np.argsort(-rounded, kind="stable")
    return table.iloc[order].reset_index(drop=True)


@dataclass(frozen=True)
class StopDecision:
    """Whether a study may stop, and what its votes have settled so far.

    Attributes:
        stop: every difference is settled.
        reason: why, or what is still open, in a sentence.
        table: one row per pair: arm, against, difference, low, high (always-valid, Elo points),
            settled (`above` or `below`: the interval leaves out zero; `close`: it lies within
            ± precision; empty: still open).
    """

    stop: bool
    reason: str
    table: pd.DataFrame


def stop(
    ballot: Ballot,
    precision: float = 50.0,
    level: float = 0.95,
    typical: float = 50.0,
    min_raters: int = 10,
) -> StopDecision:
    """Decide whether every two arms are told apart, or known to lie close together.

    The interval of each pair is difference ± `always_valid(se, 1 − α / pairs, typical)`, with se
    the cluster-robust standard error of `sandwich`.

    The decision is valid at any time, however often it was asked for before: with probability
    `level` no interval that was ever given for any pair misses the true difference
    (asymptotically, in raters; Bonferroni over pairs).

    Args:
        ballot: the votes so far.
        precision: Elo points; a difference known to be smaller needs no more votes.
        level: confidence level of all intervals at all looks together.
        typical: Elo points, the size of differences that intervals are made tightest for; it
            moves their width a little and their validity not at all, but must be chosen before
            the study.
        min_raters: no decision before so many raters (and prompts, where prompts repeat), since
            standard errors of fewer clusters can't be trusted.

    Examples:
        >>> stop(ballot).reason
        '6 raters so far; at least 10 are needed to decide.'
    """
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    intervals = sandwich(fit, ballot, level=level)
    pairs = list(itertools.combinations(range(len(fit.arms)), 2))
    alpha = (1 - level) / max(len(pairs), 1)
    gaps = fit.differences()
    rows: list[tuple[Any, ...]] = []
    for i, j in pairs:
        half = np.nan
        if ballot.raters >= min_raters:
            half = _half_width(_standard_error(intervals, i, j, alpha), alpha, typical)
        low, high = gaps[i, j] - half, gaps[i, j] + half
        settled = "above" if low > 0 else "below" if high < 0 else ""
        if not settled and max(-low, high) <= precision:
            settled = "close"
        rows.append((fit.arms[i], fit.arms[j], gaps[i, j], low, high, settled))
    table = pd.DataFrame(rows, columns=["arm", "against", "difference", "low", "high", "settled"])
    still = int((table["settled"] == "").sum())
    if ballot.raters < min_raters:
        reason = f"{ballot.raters} raters so far; at least {min_raters} are needed to decide."
    elif still:
        reason = f"{still} of {len(table)} differences are still open."
    else:
        apart = int(table["settled"].isin(["above", "below"]).sum())
        reason = (
            f"All {len(table)} differences are settled: {apart} told apart, {len(table) - apart} "
            f"within ±{precision:g} Elo points."
        )
    return StopDecision(bool(len(table)) and not still, reason, table)


def always_valid(error: float, level: float = 0.95, typical: float = 50.0) -> float:
    """Return the half-width of a confidence sequence where the standard error is `error`.

    Robbins' normal mixture: with s the standard error and τ = `typical`,

        half² = s² (1 + s²/τ²) log((1 + τ²/s²) / α²),

    the boundary that a Brownian motion with a N(0, τ²) mixture over drifts crosses with
    probability α at any time; s⁻² is its clock.

    Args:
        error: standard error, > 0, in any unit.
        level: 1 − α.
        typical: τ, the same unit.

    Examples:
        >>> round(always_valid(20.0), 1), round(1.96 * 20.0, 1)  # wider than at a single look
        (60.8, 39.2)
    """
    return _half_width(error, 1 - level, typical)


def _half_width(error: float, alpha: float, typical: float) -> float:
    ratio = (error / typical) ** 2
    return float(error * np.sqrt((1 + ratio) * (np.log1p(1 / ratio) - 2 * np.log(alpha))))


def _standard_error(intervals: Sandwich, i: int, j: int, alpha: float) -> float:
    """Of a difference, widened for few clusters by t's quantile over the normal's."""
    if intervals.difference(i, j).reason:
        return np.nan
    contrast = difference_contrast(len(intervals.fit.arms), i, j)
    few = stdtrit(intervals.covariance.df(contrast), 1 - alpha / 2) / ndtri(1 - alpha / 2)
    return float(np.sqrt(intervals.covariance.variance(contrast)) * few)


def _inverse_information(
    counts: NDArray[np.float64], p: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(K, K) covariance of mean-zero scores, log-odds, were votes independent."""
    laplacian = -(counts + counts.T) * p * (1 - p)
    np.fill_diagonal(laplacian, 0.0)
    np.fill_diagonal(laplacian, -laplacian.sum(axis=1))
    ones = np.full(laplacian.shape, 1 / max(len(laplacian), 1))  # the null space, made regular
    return np.asarray(np.linalg.inv(laplacian + ones) - ones, np.float64)
