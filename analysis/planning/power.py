"""How many votes, raters and prompts a study needs: power by simulation of the whole analysis.

Each simulated study draws raters with tastes of their own and prompts with effects of their own,
votes, and is analysed as a real one would be (`fit_elo`, `sandwich`); power is the share of studies
whose interval for the difference leaves out zero on the right side. How much raters and prompts
vary comes from a pilot (`variation_of`) or from defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import (  # pyright: ignore[reportMissingTypeStubs]
    brentq,  # pyright: ignore[reportUnknownVariableType]
)
from scipy.special import ndtr, stdtrit  # pyright: ignore[reportMissingTypeStubs]

from analysis.ballots import Ballot, win_matrix
from analysis.errors import AnalysisError
from analysis.scores import ELO_PER_NAT, fit_elo, sandwich, win_probability

_MOST_VOTES = 1_000_000
_MOST_TIES = 0.95
_FEWEST_RATERS = 3


@dataclass(frozen=True)
class Variation:
    """How votes vary beyond chance.

    Attributes:
        taste: sd of a rater's own score of an arm around everybody's, Elo points.
        prompt_effect: sd of an arm's score on a prompt around its score overall, Elo points.
        tie_share: share of ties.
    """

    taste: float = 100.0
    prompt_effect: float = 100.0
    tie_share: float = 0.1


@dataclass(frozen=True)
class Design:
    """A study to plan.

    Attributes:
        difference: Elo points between the two arms to tell apart.
        arms: K, compared with each other equally often; those beside the two lie between them.
        prompts: how many; each rater sees them in turn. None for a new one with each vote.
        votes_per_rater: how many votes each rater gives.
        variation: of raters and prompts.
        power: the share of such studies that should find the difference.
        level: of the confidence intervals.
    """

    difference: float
    arms: int = 2
    prompts: int | None = 100
    votes_per_rater: int = 30
    variation: Variation = field(default_factory=Variation)
    power: float = 0.8
    level: float = 0.95


@dataclass(frozen=True)
class PowerCurve:
    """Power against the number of votes.

    Attributes:
        design: what was planned.
        table: votes, raters, power (simulated), low, high (95% of the simulation's own error),
            fitted (a smooth curve through them).
        votes: needed for the design's power, read off the smooth curve; NaN where no number of
            votes is enough.
        raters: needed for them.
        sentence: the answer in words.
    """

    design: Design
    table: pd.DataFrame
    votes: float
    raters: float
    sentence: str


def plan_study(
    design: Design,
    votes: Sequence[int] | None = None,
    studies: int = 200,
    seed: int = 0,
    progress: Callable[[int], None] = lambda done: None,
) -> PowerCurve:
    """Simulate studies of several sizes and read off how many votes are needed.

    The smooth curve is Φ(a Δ / SE(N) − t), with Δ the difference, SE the standard error that
    chance, raters and prompts add up to, t the interval's quantile, and a fitted to the
    simulated powers.

    Args:
        design: what to find, with what.
        votes: sizes to simulate; None spreads seven around the expected need.
        studies: simulated for each size.
        seed: of the simulation.
        progress: called with 1 after each simulated study.

    Raises:
        AnalysisError: a number of the design makes no sense.

    Examples:
        >>> plan = plan_study(Design(difference=200), votes=[90, 300], studies=20)
        >>> list(plan.table["raters"]), bool(plan.votes <= 300)
        ([3, 10], True)
    """
    _check(design, studies)
    sizes = sorted({_whole(v, design) for v in (votes or _sizes(design))})
    rng = np.random.default_rng(seed)
    found = np.zeros(len(sizes))
    for k, size in enumerate(sizes):
        for _ in range(studies):
            found[k] += _finds(design, size, rng)
            progress(1)
    share = found / studies
    low, high = _wilson(found, studies)
    factor = _match(design, np.array(sizes), found, studies)
    fitted = [_expected_power(design, size, factor) for size in sizes]
    needed = _needed(design, factor)
    raters = [size // design.votes_per_rater for size in sizes]
    table = pd.DataFrame(
        {"votes": sizes, "raters": raters, "power": share, "low": low, "high": high,
         "fitted": fitted}
    )  # fmt: skip
    needed_raters = np.ceil(needed / design.votes_per_rater)
    return PowerCurve(
        design, table, needed, needed_raters, _sentence(design, needed, needed_raters, factor)
    )


def variation_of(ballot: Ballot) -> Variation:
    """Estimate how much raters and prompts vary in a pilot, by the method of moments.

    Were votes independent, the squared score sums of raters would add up to the squared residuals
    of votes; what they exceed it by is taste² times Σ tr(A_g²), A_g a rater's information. The
    same for prompts. Negative estimates are zero.

    Args:
        ballot: a pilot's votes, of two raters or more. Without prompts the default prompt effect
            is kept.

    Raises:
        AnalysisError: the pilot has fewer than two raters, or hardly a vote that is no tie.

    Examples:
        >>> found = variation_of(ballot)
        >>> round(found.taste), round(found.tie_share, 2)  # Elo points; share of the votes
        (0, 0.11)
    """
    if ballot.raters < 2:
        raise AnalysisError(
            f"The pilot has votes of {ballot.raters} rater(s): at least two are needed to see how "
            "much they differ. Add raters, or plan without a pilot, with --taste."
        )
    tied = float(ballot.tied.mean())
    if tied > _MOST_TIES:
        raise AnalysisError(
            f"The pilot's votes are {tied:.0%} ties: what is left shows nothing of how raters "
            "differ. Show arms that differ more, or plan without a pilot, with --ties."
        )
    fit = fit_elo(win_matrix(ballot), ballot.arms, prior=1.0)
    taste = _cluster_sd(ballot, fit.win_probabilities(), ballot.rater)
    prompt_effect = Variation().prompt_effect
    if ballot.prompt is not None and ballot.prompt.max() > 0:
        prompt_effect = _cluster_sd(ballot, fit.win_probabilities(), ballot.prompt)
    return Variation(taste, prompt_effect, tied)


def _cluster_sd(ballot: Ballot, p: NDArray[np.float64], clusters: NDArray[np.int64]) -> float:
    K, G = len(ballot.arms), int(clusters.max()) + 1
    expected = p[ballot.left, ballot.right]
    residual = ballot.left_wins - expected
    sums = np.bincount(clusters * K + ballot.left, residual, G * K)
    sums -= np.bincount(clusters * K + ballot.right, residual, G * K)
    low, high = np.minimum(ballot.left, ballot.right), np.maximum(ballot.left, ballot.right)
    pairs, inverse = np.unique((clusters * K + low) * K + high, return_inverse=True)
    weight = np.bincount(inverse, expected * (1 - expected))
    cluster, i, j = pairs // (K * K), pairs // K % K, pairs % K
    own = np.bincount(cluster * K + i, weight, G * K) + np.bincount(cluster * K + j, weight, G * K)
    # Each cluster's sum is seen against a fit that it helped to make: G/(G − 1).
    excess = (sums**2).sum() * G / (G - 1) - 2 * (residual**2).sum()
    # Only information between several votes of a cluster shows what they share.
    shared = (own**2).sum() + 2 * (weight**2).sum()
    return float(np.sqrt(max(excess / shared, 0.0)) * ELO_PER_NAT)


def _finds(design: Design, votes: int, rng: np.random.Generator) -> bool:
    """Return whether one simulated study tells the two arms apart, the right way round."""
    ballot = _simulated(design, votes, rng)
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    low = sandwich(fit, ballot, level=design.level).difference(0, 1).low
    return bool(low > 0)


def _simulated(design: Design, votes: int, rng: np.random.Generator) -> Ballot:
    K, vary = design.arms, design.variation
    raters = votes // design.votes_per_rater
    rater = np.repeat(np.arange(raters), design.votes_per_rater)
    pairs = np.column_stack(np.triu_indices(K, 1))
    # Arm pairs are shown as often as each other, in random order and with sides drawn.
    pair = pairs[rng.permutation(np.arange(votes) % len(pairs))]
    turn = rng.integers(0, 2, votes)
    left, right = pair[np.arange(votes), turn], pair[np.arange(votes), 1 - turn]
    scores = np.zeros(K)
    scores[:2] = np.array([0.5, -0.5]) * design.difference * _attenuation(vary)
    gaps = scores[left] - scores[right]
    tastes = vary.taste * rng.standard_normal((raters, K))
    gaps = gaps + tastes[rater, left] - tastes[rater, right]
    prompt = None
    if design.prompts is None:
        gaps = gaps + vary.prompt_effect * np.sqrt(2) * rng.standard_normal(votes)
    else:
        start = rng.integers(0, design.prompts, raters)
        turn_of_rater = np.tile(np.arange(design.votes_per_rater), raters)
        prompt = (start[rater] + turn_of_rater) % design.prompts
        effects = vary.prompt_effect * rng.standard_normal((design.prompts, K))
        gaps = gaps + effects[prompt, left] - effects[prompt, right]
        prompt = np.unique(prompt, return_inverse=True)[1]
    won = (rng.random(votes) < win_probability(gaps)).astype(np.float64)
    won[rng.random(votes) < vary.tie_share] = 0.5
    arms = tuple(map(str, range(K)))
    return Ballot("plan", "simulated", arms, left, right, won, rater, prompt)


def _attenuation(vary: Variation) -> float:
    """Return how much steeper one rater's decided preference on one prompt is than all votes'
    together.

    Ties count half, which flattens by their share; raters and prompts by the logistic–normal
    integral's √(1 + c² · variance), c = 16√3 / 15π (Zeger, Liang & Albert 1988,
    doi:10.2307/2531734).
    """
    variance = 2 * (vary.taste**2 + vary.prompt_effect**2) / ELO_PER_NAT**2
    flattened = np.sqrt(1 + (16 * np.sqrt(3) / (15 * np.pi)) ** 2 * variance)
    return float(flattened / (1 - vary.tie_share))


def _standard_error(design: Design, votes: float) -> float:
    """Of the difference, roughly, in Elo points: chance + raters + prompts."""
    vary, flat = design.variation, _attenuation(design.variation)
    chance = 4 * (design.arms - 1) / votes * ELO_PER_NAT**2
    raters = 2 * (vary.taste / flat) ** 2 * design.votes_per_rater / votes
    prompts = 0.0 if design.prompts is None else 2 * (vary.prompt_effect / flat) ** 2
    seen = np.inf if design.prompts is None else min(design.prompts, votes)
    return float(np.sqrt(chance + raters + prompts / seen))


def _expected_power(design: Design, votes: float, factor: float) -> float:
    clusters = min(votes / design.votes_per_rater, design.prompts or np.inf)
    t = float(stdtrit(max(clusters - 1, 1.0), (1 + design.level) / 2))
    return float(ndtr(factor * design.difference / _standard_error(design, votes) - t))


def _needed(design: Design, factor: float) -> float:
    """Votes for the design's power; NaN where even `_MOST_VOTES` are not enough."""

    def missing(log_votes: float) -> float:
        return _expected_power(design, float(np.exp(log_votes)), factor) - design.power

    fewest = float(_FEWEST_RATERS * design.votes_per_rater)
    # On the log scale the power is close to a straight line, so the root is found in few steps.
    start, end = np.log(fewest), np.log(_MOST_VOTES)
    if missing(start) >= 0:
        return fewest
    if missing(end) < 0:
        return np.nan
    found = float(np.exp(float(brentq(missing, start, end))))  # pyright: ignore
    return float(_whole(found + design.votes_per_rater - 1, design))


def _sizes(design: Design) -> list[float]:
    middle = _needed(design, 1.0)
    if np.isnan(middle):  # limited by prompts: show where the curve flattens out
        middle = _needed(Design(design.difference, design.arms, None, design.votes_per_rater,
                                design.variation, design.power, design.level), 1.0)  # fmt: skip
    middle = min(50_000.0, middle if np.isfinite(middle) else 50_000.0)
    return [middle * 2.0**k for k in (-3, -2, -1, -0.5, 0, 0.5, 1)]


def _whole(votes: float, design: Design) -> int:
    """Return a whole number of raters' votes, of `_FEWEST_RATERS` at least."""
    return max(_FEWEST_RATERS, int(votes // design.votes_per_rater)) * design.votes_per_rater


def _match(design: Design, sizes: NDArray[np.int64], found: NDArray[np.float64], n: int) -> float:
    """Return the factor on difference / error that fits the simulated powers best, by squares."""
    grid = np.linspace(0.4, 1.6, 241)
    share = found / n
    # The floor keeps a power of 0 or 1, whose estimated variance is zero, from outweighing all.
    weight = n / np.maximum(share * (1 - share), 0.02)
    losses = [
        (weight * (share - [_expected_power(design, size, a) for size in sizes]) ** 2).sum()
        for a in grid
    ]
    return float(grid[int(np.argmin(losses))])


def _wilson(found: NDArray[np.float64], n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's interval of a share, 95%."""
    z = 1.96
    p = found / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return middle - half, middle + half


def _sentence(design: Design, votes: float, raters: float, factor: float) -> str:
    vary = design.variation
    prompts = "a new prompt with each vote"
    if design.prompts is not None:
        prompts = f"{design.prompts} prompts"
    what = (
        f"To find a difference of {design.difference:g} Elo points between two of {design.arms} "
        f"arms in {design.power:.0%} of studies"
    )
    given = (
        f"raters' tastes vary by {vary.taste:.0f} and prompts by {vary.prompt_effect:.0f} Elo "
        f"points, {vary.tie_share:.0%} of votes are ties"
    )
    if np.isnan(votes):
        most = _expected_power(design, _MOST_VOTES, factor)
        return (
            f"{what}, no number of votes is enough with {prompts}: the power stays below "
            f"{most:.0%}. Use more prompts ({given})."
        )
    return (
        f"{what}, plan {votes:,.0f} votes on each question: {raters:,.0f} raters of "
        f"{design.votes_per_rater} votes, with {prompts} ({given}; intervals clustered by rater"
        f"{'' if design.prompts is None else ' and prompt'})."
    )


def _check(design: Design, studies: int) -> None:
    vary, prompts = design.variation, design.prompts
    for name, value, fine, expected in (
        ("difference", design.difference, 0 < design.difference < 2000, "between 0 and 2000"),
        ("arms", design.arms, 2 <= design.arms <= 100, "2 to 100"),
        ("prompts", prompts, prompts is None or 2 <= prompts <= 1e6, "2 to 1,000,000"),
        ("votes per rater", design.votes_per_rater, 1 <= design.votes_per_rater <= 1e4,
         "1 to 10,000"),
        ("power", design.power, 0.05 < design.power < 1, "between 0.05 and 1"),
        ("tie share", vary.tie_share, 0 <= vary.tie_share <= _MOST_TIES, "0 to 0.95"),
        ("taste", vary.taste, 0 <= vary.taste <= 2000, "0 to 2000"),
        ("prompt effect", vary.prompt_effect, 0 <= vary.prompt_effect <= 2000, "0 to 2000"),
        ("studies", studies, 10 <= studies <= 1e5, "10 to 100,000"),
    ):  # fmt: skip
        if not fine:
            raise AnalysisError(f"{name}: expected {expected}, found {value}.")
