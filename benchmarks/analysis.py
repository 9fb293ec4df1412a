"""Elo fit and 1,000-round interval from a DataFrame, beside evalica on the same votes.

    python -m benchmarks.analysis [--votes 100000] [--arms 8] [--raters 500]

Ours is timed from the raw table (checking, coding, counting, fit, interval). evalica's bootstrap
resamples votes one by one; so that the run ends, it does `--their-rounds` rounds and its time is
scaled to 1,000.
"""

from __future__ import annotations

import argparse
import time

import evalica
import numpy as np
import pandas as pd

from analysis import ballots, bootstrap, fit_elo, read_votes, sandwich, win_matrix
from analysis.elo import ELO_PER_NAT, win_probability
from analysis.votes import ANSWERS


def draw_votes(arms: int, votes: int, raters: int, seed: int = 0) -> pd.DataFrame:
    """A votes table as `glide-eval study export` writes it, one question."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 80, arms)
    left = rng.integers(0, arms, votes)
    right = (left + rng.integers(1, arms, votes)) % arms
    won = rng.random(votes) < win_probability(scores[left] - scores[right])
    answer = np.where(rng.random(votes) < 0.1, 2, np.where(won, 0, 1))
    names = np.array([f"arm-{i}" for i in range(arms)])
    return pd.DataFrame(
        {
            "study": "benchmark",
            "question": "photorealism",
            "prompt_id": np.char.mod("p%04d", rng.integers(0, 200, votes)),
            "replica": 0,
            "arm_left": names[left],
            "arm_right": names[right],
            "answer": np.array(ANSWERS)[answer],
            "rater": np.char.mod("rater-%06d", rng.integers(0, raters, votes)),
            "rater_kind": "person",
            "seconds": rng.gamma(2, 3, votes),
            "created_at": "2026-01-01T00:00:00+00:00",
            "assignment": np.char.mod("a%08d", np.arange(votes)),
        }
    )


def fastest(work, rounds: int = 5) -> tuple[float, object]:
    """Seconds of the fastest of several runs, and what it returned."""
    best, result = np.inf, None
    for _ in range(rounds):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return best, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arms", type=int, default=8)
    parser.add_argument("--votes", type=int, default=100_000)
    parser.add_argument("--raters", type=int, default=500)
    parser.add_argument("--their-rounds", type=int, default=10)
    options = parser.parse_args()
    frame = draw_votes(options.arms, options.votes, options.raters)

    def fit_with(intervals):
        (ballot,) = ballots(read_votes(frame))
        fit = fit_elo(win_matrix(ballot), ballot.arms)
        result = intervals(fit, ballot)
        return fit, [result.score(arm) for arm in range(options.arms)]

    seconds, (fit, _) = fastest(lambda: fit_with(bootstrap))
    analytic, _ = fastest(lambda: fit_with(sandwich))

    winner = frame["answer"].map(
        {"left": evalica.Winner.X, "right": evalica.Winner.Y, "tie": evalica.Winner.Draw}
    )
    arguments = (evalica.bradley_terry, frame["arm_left"].tolist(), frame["arm_right"].tolist(),
                 winner.tolist())  # fmt: skip
    theirs, result = fastest(
        lambda: evalica.bootstrap(
            *arguments, n_resamples=options.their_rounds, bootstrap_method="percentile",
            random_state=0, tolerance=1e-12, limit=10_000,
        ),
        rounds=1,
    )  # fmt: skip
    theirs *= 1000 / options.their_rounds
    logs = np.log(result.result.scores.loc[list(fit.arms)].to_numpy())
    gap = np.abs((logs - logs.mean()) * ELO_PER_NAT - fit.scores).max()

    print(f"{options.arms} arms, {options.votes:,} votes, {options.raters:,} raters")
    print(f"ours, rater bootstrap, 1,000 rounds   {seconds:9.3f} s")
    print(f"ours, two-way clustered sandwich      {analytic:9.3f} s")
    print(f"evalica, vote bootstrap, scaled       {theirs:9.1f} s   {theirs / seconds:.0f}× ours")
    print(f"largest difference of scores          {gap:9.1e} Elo")


if __name__ == "__main__":
    main()
