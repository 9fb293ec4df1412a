"""How often 95% intervals hold the true difference, by simulation.

    python -m benchmarks.coverage [--studies 2000] [--only "taste"]

Each setting draws whole studies from known scores, fits them and asks whether the intervals of
differences between arms hold the true ones: what endless votes of such raters on such prompts
would give. Printed beside intervals that take votes as independent, and the share of studies in
which the intervals of all differences, made to hold together, do. The table of
docs/explanation/statistics.md is this one.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass

import numpy as np

from analysis.ballots import Ballot, win_matrix
from analysis.scores import (
    OutcomeFit,
    Sandwich,
    difference_contrast,
    fit_elo,
    fit_outcomes,
    sandwich,
    simultaneous,
    win_probability,
)
from analysis.scores.intervals import Clustering

FOUR_ARMS = (-120.0, -20.0, 30.0, 110.0)
TABLE_1 = {"photorealism": (-88.6, -73.2, 82.7), "caption similarity": (-106.2, 29.3, 110.9)}
PAIRS_WATCHED = 6


@dataclass(frozen=True)
class Setting:
    """A kind of study.

    Attributes:
        name: in the table.
        scores: everybody's, Elo points.
        raters: how many.
        votes_each: votes a rater gives, on average where `uneven`.
        taste: sd of a rater's own scores around everybody's.
        guessers: share of raters who guess.
        uneven: raters' numbers of votes are log-normal with a sd of 1 instead of equal.
        prompts: how many, seen in turn; None where votes carry none.
        prompt_effect: sd of a prompt's own scores around everybody's.
        side: Elo points that the left is worth, with arm 0 mostly shown there; fitted with a side
            term.
        ties: share of ties; fitted by Davidson's model.
    """

    name: str
    scores: tuple[float, ...] = FOUR_ARMS
    raters: int = 30
    votes_each: int = 30
    taste: float = 0.0
    guessers: float = 0.0
    uneven: bool = False
    prompts: int | None = None
    prompt_effect: float = 0.0
    side: float = 0.0
    ties: float = 0.0


SETTINGS = (
    Setting("homogeneous raters", raters=50, votes_each=20),
    Setting("noisy: a fifth of raters guess", raters=50, votes_each=20, guessers=0.2),
    Setting("taste varies, sd 100", taste=100),
    Setting("taste varies, sd 200", taste=200),
    Setting("10 raters, sd 100", raters=10, votes_each=50, taste=100),
    Setting("10 raters, sd 200", raters=10, votes_each=50, taste=200),
    Setting("uneven diligence, sd 150", taste=150, uneven=True),
    Setting("20 prompts of sd 100, raters of sd 100", votes_each=40, taste=100, prompts=20,
            prompt_effect=100),
    Setting("50 prompts of sd 100, raters of sd 100", votes_each=40, taste=100, prompts=50,
            prompt_effect=100),
    Setting("30 prompts of sd 100, 10 raters of sd 100", raters=10, votes_each=60, taste=100,
            prompts=30, prompt_effect=100),
    Setting("30 prompts that don't matter", votes_each=40, prompts=30),
    Setting("unbalanced sides, left worth 80", taste=100, side=80),
    Setting("a quarter ties (Davidson), sd 100", taste=100, ties=0.25),
    Setting("Table 1, photorealism, 1,000 votes", TABLE_1["photorealism"], 50, 20, 50),
    Setting("Table 1, caption similarity, 1,000 votes", TABLE_1["caption similarity"], 50, 20, 50),
    Setting("16 arms, 40 raters of sd 100", tuple(np.linspace(-150, 150, 16)), 40, 50, 100),
    Setting("3 raters, sd 100", raters=3, votes_each=120, taste=100),
    Setting("5 raters of sd 100, 10 arms", tuple(np.linspace(-120, 120, 10)), 5, 200, 100),
    Setting("5 raters of sd 100, 5 prompts of sd 100", raters=5, votes_each=100, taste=100,
            prompts=5, prompt_effect=100),
    Setting("30 raters of sd 100, 5 prompts of sd 200", votes_each=40, taste=100, prompts=5,
            prompt_effect=200),
    Setting("10 raters of sd 100, 20 prompts of sd 100", raters=10, votes_each=60, taste=100,
            prompts=20, prompt_effect=100),
    Setting("10 uneven raters of sd 200, 20 prompts of sd 200", raters=10, votes_each=60,
            taste=200, uneven=True, prompts=20, prompt_effect=200),
)  # fmt: skip


@dataclass(frozen=True)
class Coverage:
    """Shares of intervals that held the truth.

    Attributes:
        robust: of ours.
        independent: of those that take votes as independent.
        together: of studies in which all intervals of `simultaneous` did; NaN for models with
            ties or sides, which have none.
        width: mean width of ours, Elo points.
    """

    robust: float
    independent: float
    together: float
    width: float


def coverage(setting: Setting, studies: int, seed: int = 0) -> Coverage:
    """Simulate `studies` studies and count."""
    rng = np.random.default_rng(seed)
    truth = population_scores(setting)
    pairs = list(itertools.combinations(range(len(truth)), 2))
    contrasts = np.array([difference_contrast(len(truth), i, j) for i, j in pairs])
    gaps = contrasts @ truth
    held: dict[Clustering, list[bool]] = {"auto": [], "vote": []}
    together, widths = [], []
    for _ in range(studies):
        ballot = draw(setting, rng)
        for clustering, counts in held.items():
            found = _fitted(setting, ballot, clustering)
            if found is None:  # an arm that lost all: no interval, nothing to count
                continue
            for (i, j), gap in zip(pairs[:PAIRS_WATCHED], gaps, strict=False):
                bounds = found.difference(i, j)
                counts.append(bounds.low <= gap <= bounds.high)
                if clustering == "auto":
                    widths.append(bounds.high - bounds.low)
            if clustering == "auto" and isinstance(found, Sandwich):
                all_of = simultaneous(found, contrasts, draws=2000)
                together.append(((all_of.low <= gaps) & (gaps <= all_of.high)).all())
    return Coverage(
        float(np.mean(held["auto"])),
        float(np.mean(held["vote"])),
        float(np.mean(together)) if together else np.nan,
        float(np.mean(widths)),
    )


def _fitted(
    setting: Setting, ballot: Ballot, clustering: Clustering
) -> Sandwich | OutcomeFit | None:
    if setting.side or setting.ties:
        ties = "davidson" if setting.ties else "half"
        fit = fit_outcomes(ballot, ties, side=bool(setting.side), clustering=clustering)
        return None if any(fit.reasons) else fit
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    if any(fit.reasons) or len(set(fit.groups)) > 1:
        return None
    return sandwich(fit, ballot, clustering)


def drawn_pairs(
    K: int, raters: int, votes_each: int, uneven: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rater, left and right arm of each vote: int (N,); pairs of K arms at random."""
    sizes = np.full(raters, votes_each)
    if uneven:
        sizes = np.maximum(1, np.round(votes_each * rng.lognormal(-0.5, 1, raters))).astype(int)
    rater = np.repeat(np.arange(raters), sizes)
    left = rng.integers(0, K, len(rater))
    return rater, left, (left + rng.integers(1, K, len(rater))) % K


def draw(setting: Setting, rng: np.random.Generator) -> Ballot:
    """One study's votes."""
    K, G = len(setting.scores), setting.raters
    rater, left, right = drawn_pairs(K, G, setting.votes_each, setting.uneven, rng)
    N = len(rater)
    if setting.side:
        turn = (right == 0) & (rng.random(N) < 0.6)
        left, right = np.where(turn, right, left), np.where(turn, left, right)
    scores = np.array(setting.scores)
    own = scores + setting.taste * rng.standard_normal((G, K))
    gaps = own[rater, left] - own[rater, right] + setting.side
    prompt = None
    if setting.prompts:
        first = np.searchsorted(rater, rater)  # votes come rater by rater
        start = rng.integers(0, setting.prompts, G)[rater]
        prompt = (start + np.arange(N) - first) % setting.prompts
        effects = setting.prompt_effect * rng.standard_normal((setting.prompts, K))
        gaps += effects[prompt, left] - effects[prompt, right]
    gaps[(rng.random(G) < setting.guessers)[rater]] = 0
    won = (rng.random(N) < win_probability(gaps)).astype(np.float64)
    won[rng.random(N) < setting.ties] = 0.5
    arms = tuple(map(str, range(K)))
    return Ballot("simulation", "simulated", arms, left, right, won, rater, prompt)


def population_scores(setting: Setting) -> np.ndarray:
    """What endless votes would give: the fit of chances averaged over raters and prompts.

    With a side term the average keeps the odds' form only roughly; over ± 80 points the gap is
    below 1 Elo point.
    """
    scores = np.array(setting.scores)
    gaps = scores[:, None] - scores[None, :]
    spread = np.sqrt(2) * np.hypot(setting.taste, setting.prompt_effect)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    shares = [
        win_probability(gaps[:, :, None] + side + spread * nodes) @ (weights / weights.sum())
        for side in (setting.side, -setting.side)
    ]
    if setting.side:  # scores of a fit with a side term: half the difference of log-odds
        logs = [np.log(p / (1 - p)) for p in shares]
        odds = np.exp((logs[0] + logs[1]) / 2)
        shares = [odds / (1 + odds)]
    wins = (1 - setting.guessers) * shares[0] + setting.guessers / 2
    np.fill_diagonal(wins, 0)
    return fit_elo(wins).scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    print("| setting | coverage | votes as independent | all together | mean width, Elo |")
    print("| --- | --- | --- | --- | --- |")
    for setting in SETTINGS:
        if options.only in setting.name:
            found = coverage(setting, options.studies)
            together = "" if np.isnan(found.together) else f"{found.together:.1%}"
            print(
                f"| {setting.name} | {found.robust:.1%} | {found.independent:.1%} | "
                f"{together} | {found.width:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
