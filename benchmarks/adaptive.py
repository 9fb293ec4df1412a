"""Votes an adaptive study saves: `python -m benchmarks.adaptive`.

Simulated votes, no person's. For arms of known scores, votes are asked for in balanced order and
as an adaptive study asks (`study_app.rating.adaptive`, with its sharpness and its renewals), until
the 95% intervals of the differences between two arms are as narrow as wanted: their root mean
square half-width, from the information of the votes at the true scores. Votes follow the Elo
model, and answers reach the advice at once. Further columns say whether what adaptive votes give
is right: the root mean square error of the fitted differences against their standard error, at
the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.scores import ELO_PER_NAT, fit_elo, win_probability
from study_app.rating.adaptive import Advice, renewal_due

FIELDS: dict[str, list[float]] = {
    "nearly equal": [-20, -15, -10, -5, 5, 10, 15, 20],
    "a guidance sweep": [-130, -90, -75, -20, 30, 60, 105, 120],
    "one arm far behind": [-640, 70, 80, 85, 95, 100, 105, 105],
    "two far behind, one ahead": [-520, -430, 60, 80, 100, 110, 130, 470],
    "a ladder of 100 points": [-350, -250, -150, -50, 50, 150, 250, 350],
}
"""Scores of eight arms; the sweep's are spread as those of the paper's Figure 5 and Table 1."""

HALF_WIDTH = 40.0
SEEDS = range(20)
MOST = 20_000  # votes; no field here needs as many


@dataclass(frozen=True)
class Outcome:
    """One simulated study.

    Attributes:
        votes: when the intervals were as narrow as wanted.
        error: root mean square error of the fitted differences then, in standard errors.
    """

    votes: int
    error: float


def ask(scores: NDArray[np.float64], half_width: float, seed: int, *, adaptive: bool) -> Outcome:
    """Votes, one at a time, until all differences' RMS half-width is at most `half_width`.

    Args:
        scores: (K,) true Elo scores.
        half_width: Elo points, of 95% intervals.
        seed: of the pairs' order and the votes.
        adaptive: ask as adaptive studies do; else each pair of arms once a round, in random order.
    """
    rng, K = np.random.default_rng(seed), len(scores)
    i, j = np.triu_indices(K, 1)
    arms = [str(index) for index in range(K)]
    wins, due = np.zeros((K, K)), 0
    advice = Advice.of(wins, arms)
    queue: list[int] = []
    for votes in range(1, MOST + 1):
        if adaptive:
            if votes > due:
                advice, due = Advice.of(wins, arms), renewal_due(votes - 1)
            pair = int(rng.choice(advice.arm_pairs, p=advice.probability)) - 1
        else:
            queue = queue or rng.permutation(len(i)).tolist()
            pair = queue.pop()
        one, other = i[pair], j[pair]
        if rng.random() < win_probability(scores[one] - scores[other]):
            wins[one, other] += 1
        else:
            wins[other, one] += 1
        if votes % 10 == 0:
            variance = variances(wins + wins.T, scores)
            if 1.96 * np.sqrt(variance.mean()) <= half_width:
                gaps = fit_elo(wins, arms).differences()[i, j]
                error = (gaps - (scores[i] - scores[j])) ** 2
                return Outcome(votes, float(np.sqrt(error.mean() / variance.mean())))
    raise RuntimeError(f"{MOST} votes are not enough for ±{half_width}")


def variances(counts: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the K(K−1)/2 fitted differences, Elo², were the votes' probabilities those of `scores`."""
    p = win_probability(scores[:, None] - scores[None, :])
    laplacian = -counts * p * (1 - p)
    np.fill_diagonal(laplacian, 0)
    np.fill_diagonal(laplacian, -laplacian.sum(axis=1))
    inverse = np.linalg.pinv(laplacian)
    i, j = np.triu_indices(len(scores), 1)
    found = inverse[i, i] + inverse[j, j] - 2 * inverse[i, j]
    connected = np.linalg.matrix_rank(laplacian) == len(scores) - 1
    return found * ELO_PER_NAT**2 if connected else np.full(len(i), np.inf)


def savings(scores: list[float], half_width: float = HALF_WIDTH, seeds=SEEDS) -> dict[str, float]:
    """Mean votes balanced and adaptive, the share saved with its range over seeds, and errors."""
    true = np.array(scores, np.float64)
    balanced = [ask(true, half_width, seed, adaptive=False) for seed in seeds]
    adaptive = [ask(true, half_width, seed, adaptive=True) for seed in seeds]
    saved = [1 - a.votes / b.votes for a, b in zip(adaptive, balanced, strict=True)]
    return {
        "balanced": float(np.mean([one.votes for one in balanced])),
        "adaptive": float(np.mean([one.votes for one in adaptive])),
        "saved": float(np.mean(saved)),
        "least": min(saved),
        "most": max(saved),
        "error balanced": float(np.sqrt(np.mean([one.error**2 for one in balanced]))),
        "error adaptive": float(np.sqrt(np.mean([one.error**2 for one in adaptive]))),
    }


def main() -> None:
    rows = {name: savings(scores) for name, scores in FIELDS.items()}
    print(f"SIMULATED votes until ±{HALF_WIDTH:g} Elo points, {len(SEEDS)} seeds each")
    print(pd.DataFrame(rows).T.round(3).to_string())


if __name__ == "__main__":
    main()
