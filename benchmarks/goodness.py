"""How often the test of fit raises a false alarm, and how often it finds votes in a circle.

    python -m benchmarks.goodness [--studies 1000]

Each setting draws whole studies, fits one score per arm and tests the fit at 5%. The table of
docs/explanation/statistics.md is this one.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np

from analysis.ballots import Ballot, win_matrix
from analysis.scores import fit_elo, goodness_of_fit, win_probability
from benchmarks.coverage import drawn_pairs

FOUR_ARMS = (-120.0, -20.0, 30.0, 110.0)


@dataclass(frozen=True)
class Setting:
    """A kind of study.

    Attributes:
        name: in the table.
        scores: everybody's, Elo points.
        circle: share with which each of the first three arms beats the next; ½ for none.
        raters: how many.
        votes_each: votes per rater.
        taste: sd of a rater's own scores, Elo points.
        prompts: how many; None where votes carry none.
        prompt_effect: sd of a prompt's own scores.
        ties: share of ties.
        uneven: raters' numbers of votes are log-normal with a sd of 1 instead of equal.
    """

    name: str
    scores: tuple[float, ...] = FOUR_ARMS
    circle: float = 0.5
    raters: int = 30
    votes_each: int = 30
    taste: float = 0.0
    prompts: int | None = None
    prompt_effect: float = 0.0
    ties: float = 0.0
    uneven: bool = False


SETTINGS = (
    Setting("4 arms, 30 raters with equal taste"),
    Setting("3 arms, 30 raters with equal taste", (-60.0, 0.0, 60.0)),
    Setting("4 arms, taste varies, sd 100", taste=100),
    Setting("4 arms, taste varies, sd 200", taste=200),
    Setting("4 arms, 10 raters, sd 100", raters=10, votes_each=60, taste=100),
    Setting("4 arms, 5 raters, sd 100", raters=5, votes_each=120, taste=100),
    Setting("4 arms, unequal numbers of votes, sd 100", taste=100, uneven=True),
    Setting("10 arms, 30 raters, sd 100", tuple(np.linspace(-120, 120, 10)), taste=100),
    Setting("16 arms, 40 raters, sd 100", tuple(np.linspace(-150, 150, 16)), raters=40,
            votes_each=50, taste=100),
    Setting("4 arms, 30 raters of sd 100, 20 prompts of sd 100", votes_each=40, taste=100,
            prompts=20, prompt_effect=100),
    Setting("a quarter of the votes are ties", ties=0.25),
    Setting("circle of 60%, 3 arms, 600 votes of 20 raters", (0.0,) * 3, 0.6, 20),
    Setting("circle of 60%, 3 arms, 600 votes of 20 raters of sd 100", (0.0,) * 3, 0.6, 20,
            taste=100),
    Setting("circle of 60%, 3 arms, 600 votes of 20 raters, 30 prompts", (0.0,) * 3, 0.6, 20,
            prompts=30),
    Setting("circle of 65% among 3 of 5 arms, 900 votes of 30 raters", (0.0,) * 5, 0.65),
)  # fmt: skip


def draw(setting: Setting, rng: np.random.Generator) -> Ballot:
    """One study's votes."""
    K, G = len(setting.scores), setting.raters
    rater, left, right = drawn_pairs(K, G, setting.votes_each, setting.uneven, rng)
    N = len(rater)
    own = np.array(setting.scores) + setting.taste * rng.standard_normal((G, K))
    gaps = own[rater, left] - own[rater, right]
    push = 400 * np.log10(setting.circle / (1 - setting.circle))
    inside = (left < 3) & (right < 3)
    gaps += np.where(inside, np.where((right - left) % 3 == 1, push, -push), 0.0)
    prompt = None
    if setting.prompts:
        prompt = rng.integers(0, setting.prompts, N)
        effects = setting.prompt_effect * rng.standard_normal((setting.prompts, K))
        gaps += effects[prompt, left] - effects[prompt, right]
    won = (rng.random(N) < win_probability(gaps)).astype(np.float64)
    won[rng.random(N) < setting.ties] = 0.5
    arms = tuple(map(str, range(K)))
    return Ballot("simulation", "simulated", arms, left, right, won, rater, prompt)


def alarms(setting: Setting, studies: int, seed: int = 0) -> tuple[float, float]:
    """Shares of studies in which the fit is rejected, and in which a circle is named as certain."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(studies):
        ballot = draw(setting, rng)
        tested = goodness_of_fit(fit_elo(win_matrix(ballot), ballot.arms), ballot)
        found.append((tested.misfits(), len(tested.certain_circles()) > 0))
    rejected, circles = np.mean(found, axis=0)
    return float(rejected), float(circles)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    print("| setting | fit rejected at 5% | a circle named |")
    print("| --- | --- | --- |")
    for setting in SETTINGS:
        if options.only in setting.name:
            rejected, circles = alarms(setting, options.studies)
            print(f"| {setting.name} | {rejected:.1%} | {circles:.1%} |", flush=True)


if __name__ == "__main__":
    main()
