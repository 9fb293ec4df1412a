"""How often the intervals of the best guidance scale hold it, by simulation.

    python -m benchmarks.best_scale [--studies 400]

Each setting draws whole studies of one series of arms and asks whether the tried scales that may be
the best hold the best one tried, and whether the interval between scales holds the highest point of
the true curve. The table of docs/explanation/statistics.md is this one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.interpolate import CubicSpline

from analysis.ballots import Ballot, win_matrix
from analysis.scores import fit_elo, sandwich, scale_curves, win_probability

Curve = Callable[[np.ndarray], np.ndarray]
FIVE, SIX = (1.0, 2.0, 3.0, 4.0, 6.0), (1.0, 1.5, 2.0, 3.0, 5.0, 8.0)


def parabola(rng: np.random.Generator) -> tuple[Curve, float]:
    """A parabola in log(scale) that is highest at 2.2: 78 points lower at 1."""
    return lambda s: -60 * np.log2(s / 2.2) ** 2, 2.2


def skewed(rng: np.random.Generator) -> tuple[Curve, float]:
    """A curve that rises as log(scale), falls as the scale and is highest at 2.2."""
    return lambda s: 200 * (np.log(s / 2.2) - s / 2.2), 2.2


def spike(rng: np.random.Generator) -> tuple[Curve, float]:
    """A nearly level curve with a narrow peak of 90 points at 2."""
    level = CubicSpline(np.log([1, 3, 8]), [0.0, 12, 7])
    return lambda s: level(np.log(s)) + 90 * np.exp(-0.5 * (np.log(s / 2) / 0.12) ** 2), 2.0


def tent(rng: np.random.Generator) -> tuple[Curve, float]:
    """A curve with a kink at 2.2, which no smooth curve has."""
    return lambda s: -100 * np.abs(np.log2(s / 2.2)), 2.2


def bell(rng: np.random.Generator) -> tuple[Curve, float]:
    """A bell in log(scale) that is highest at 2.6; not looked at when the prior was chosen."""
    return lambda s: 120 * np.exp(-0.5 * (np.log(s / 2.6) / 0.6) ** 2), 2.6


def saturating(rng: np.random.Generator) -> tuple[Curve, float]:
    """A steep rise that levels off and falls slowly; not looked at either."""
    grid = np.geomspace(1, 8, 20_001)

    def value(s: np.ndarray) -> np.ndarray:
        return 150 / (1 + np.exp(-6 * np.log(s / 1.6))) - 25 * np.log2(s)

    return value, float(grid[np.argmax(value(grid))])


def drawn(rng: np.random.Generator) -> tuple[Curve, float]:
    """Another curve in each study, as rough as assumed: a parabola and a Wiener process."""
    grid = np.geomspace(1, 6, 2001)
    step = float(np.log(grid[1]))
    rough = np.cumsum(rng.standard_normal(len(grid)) * np.sqrt(step))
    for _ in range(2):
        rough = np.cumsum(rough) * step
    values = -60 * np.log2(grid / np.exp(rng.uniform(0.4, 1.4))) ** 2 + 200 * rough
    return lambda s: np.interp(s, grid, values), float(grid[np.argmax(values)])


@dataclass(frozen=True)
class Setting:
    """A kind of study of one series."""

    name: str
    scales: tuple[float, ...]
    curve: Callable[[np.random.Generator], tuple[Curve, float]]
    votes_each: int = 50
    raters: int = 40
    taste: float = 60.0


SETTINGS = (
    Setting("scales 1, 2, 3, 4, 6; parabola, best at 2.2; 2,000 votes", FIVE, parabola),
    Setting("scales 1, 1.5, 2, 3, 5, 8; spike at 2; 2,000 votes", SIX, spike),
    Setting("scales 1, 2, 3, 4, 6; parabola, best at 2.2; 600,000 votes", FIVE, parabola, 15000,
            taste=0),
    Setting("scales 1, 2, 3, 4, 6; another curve per study; 2,000 votes", FIVE, drawn),
    Setting("scales 1, 2, 3, 4, 6; another curve per study; 600,000 votes", FIVE, drawn, 15000,
            taste=0),
    Setting("scales 1, 2, 3, 4, 6; skewed, best at 2.2; 2,000 votes", FIVE, skewed),
    Setting("scales 1, 2, 3, 4, 6; skewed, best at 2.2; 600,000 votes", FIVE, skewed, 15000,
            taste=0),
    Setting("scales 1, 1.5, 2, 3, 5, 8; kink at 2.2; 2,000 votes", SIX, tent),
    Setting("scales 1, 2, 3, 4, 6; bell, best at 2.6; 2,000 votes", FIVE, bell),
    Setting("scales 1, 2, 3, 4, 6; bell, best at 2.6; 600,000 votes", FIVE, bell, 15000, taste=0),
    Setting("scales 1, 1.5, 2, 3, 5, 8; a rise that levels off; 2,000 votes", SIX, saturating),
)  # fmt: skip


def draw(setting: Setting, curve: Curve, rng: np.random.Generator) -> Ballot:
    """One study's votes."""
    K, G = len(setting.scales), setting.raters
    scores = curve(np.array(setting.scales))
    rater = np.repeat(np.arange(G), setting.votes_each)
    left = rng.integers(0, K, len(rater))
    right = (left + rng.integers(1, K, len(rater))) % K
    own = scores + setting.taste * rng.standard_normal((G, K))
    chance = win_probability(own[rater, left] - own[rater, right])
    won = (rng.random(len(rater)) < chance).astype(np.float64)
    return Ballot("simulation", "simulated", tuple(map(str, range(K))), left, right, won, rater)


def coverage(setting: Setting, studies: int, seed: int = 0) -> tuple[float, float, float, float]:
    """Return shares of studies in which each interval held, and median ends of the second."""
    rng, tried, between, ends = np.random.default_rng(seed), [], [], []
    scales = np.array(setting.scales)
    for _ in range(studies):
        curve, peak = setting.curve(rng)
        ballot = draw(setting, curve, rng)
        fit = fit_elo(win_matrix(ballot), ballot.arms)
        arms = pd.DataFrame({"arm": fit.arms, "strategy": "s", "scale": scales})
        row = scale_curves(sandwich(fit, ballot), arms, draws=1500).best.iloc[0]
        best = scales[np.argmax(curve(scales))]
        tried.append(row["low"] <= best <= row["high"])
        between.append(row["peak_low"] <= peak <= row["peak_high"])
        ends.append((row["peak_low"], row["peak_high"]))
    low, high = np.median(ends, axis=0)
    return float(np.mean(tried)), float(np.mean(between)), float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    print("| setting | best of the tried scales | between scales | median interval between |")
    print("| --- | --- | --- | --- |")
    for setting in SETTINGS:
        if options.only in setting.name:
            tried, between, low, high = coverage(setting, options.studies)
            print(f"| {setting.name} | {tried:.1%} | {between:.1%} | {low:.2f} to {high:.2f} |",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
