"""Coverage of Elo at equal properties, with and without an effect of the properties.

python -m benchmarks.covariates --studies 400
"""

from __future__ import annotations

import click
import numpy as np

from analysis.ballots import Ballot
from analysis.scores import ELO_PER_NAT, fit_covariates

ARMS, RATERS, PROMPTS, EACH = 6, 40, 50, 40
SCORES = np.linspace(-75, 75, ARMS)
TASTE = 60  # Elo points by which a rater's own scores differ


def draw(effects: np.ndarray, rng: np.random.Generator) -> tuple[Ballot, np.ndarray]:
    """One study: raters of their own taste; properties differ by arm, prompt and image."""
    count = RATERS * EACH
    rater, prompt = np.repeat(np.arange(RATERS), EACH), rng.integers(0, PROMPTS, count)
    left = rng.integers(0, ARMS, count)
    right = (left + rng.integers(1, ARMS, count)) % ARMS
    of_arm = np.linspace(-0.8, 0.8, ARMS)[:, None, None]
    values = of_arm + rng.normal(size=(ARMS, PROMPTS, len(effects)))
    difference = values[left, prompt] - values[right, prompt]
    taste = rng.normal(0, TASTE, (RATERS, ARMS))
    gap = SCORES[left] - SCORES[right] + taste[rater, left] - taste[rater, right]
    eta = (gap + difference @ effects) / ELO_PER_NAT
    won = (rng.random(count) < 1 / (1 + np.exp(-eta))).astype(float)
    won[rng.random(count) < 0.1] = 0.5
    names = tuple(f"arm{i}" for i in range(ARMS))
    return Ballot("q", "person", names, left, right, won, rater, prompt), difference


def shrinkage(effects: np.ndarray) -> float:
    """How much ties and taste flatten all log-odds: of a very large study's fit."""
    rng = np.random.default_rng(1)
    fits = [fit_covariates(*draw(effects, rng), names_of(effects)).scores for _ in range(60)]
    return float(np.mean(fits, axis=0) @ SCORES / (SCORES @ SCORES))


def names_of(effects: np.ndarray) -> list[str]:
    return [f"property {i}" for i in range(len(effects))]


@click.command()
@click.option("--studies", default=400, show_default=True)
def main(studies: int) -> None:
    """Print the coverage of differences between arms, and of the first property's effect."""
    for words, effects in (("absent", np.zeros(2)), ("present", np.array([80.0, -40.0]))):
        flat, rng = shrinkage(effects), np.random.default_rng(0)
        held, of_effect = [], []
        for _ in range(studies):
            found = fit_covariates(*draw(effects, rng), names_of(effects))
            bounds = [found.score(i) for i in range(ARMS)]
            held += [b.low <= flat * s <= b.high for b, s in zip(bounds, SCORES, strict=True)]
            first = found.effect("property 0")
            of_effect.append(first.low <= flat * effects[0] <= first.high)
        click.echo(
            f"effect {words}: adjusted Elo {np.mean(held):.1%}, effect {np.mean(of_effect):.1%}"
        )


if __name__ == "__main__":
    main()
