"""Other libraries' Elo scores with 95% intervals, timed on a table of votes.

    python benchmarks/analysis_peers.py LIBRARY VOTES.parquet [--rounds 50]

`benchmarks.analysis` runs it, in an interpreter that has the libraries. It needs nothing of ours.

- evalica: Bradley–Terry with its percentile bootstrap of votes;
- fastchat, its method in scikit-learn: logistic regression on counts, bootstrap of votes;
- arena-rank: its analytic sandwich, votes independent. Its bootstrap isn't timed: it forks worker
  processes, which deadlocks JAX here, and takes longer.

Time, by the clock and of the CPU, starts at the raw table and ends at every arm's score and
interval. A bootstrap does `--rounds` rounds, or fewer where they take longer than a few seconds,
and its time is scaled to 1,000. An analytic interval is made six times: the first time, with what
is compiled then, is told apart from the best of the others.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

ROUNDS = 1000
PATIENCE = 4.0  # seconds for the rounds of one library's bootstrap
ELO_PER_NAT = 400 / np.log(10)


def evalica(frame: pd.DataFrame, rounds: int) -> np.ndarray:
    """Scores after its bootstrap."""
    import evalica

    winner = frame["answer"].map(
        {"left": evalica.Winner.X, "right": evalica.Winner.Y, "tie": evalica.Winner.Draw}
    )
    result = evalica.bootstrap(
        evalica.bradley_terry, frame["arm_left"].tolist(), frame["arm_right"].tolist(),
        winner.tolist(), n_resamples=rounds, bootstrap_method="percentile", random_state=0,
    )  # fmt: skip
    return _elo(np.log(result.result.scores.sort_index().to_numpy()))


def fastchat(frame: pd.DataFrame, rounds: int) -> np.ndarray:
    """Scores after a bootstrap of logistic regressions on counts of pairs, ties in two halves."""
    from sklearn.linear_model import LogisticRegression

    arms = sorted({*frame["arm_left"].unique(), *frame["arm_right"].unique()})
    code = {arm: i for i, arm in enumerate(arms)}
    rng = np.random.default_rng(0)
    scores = np.empty(0)
    for k in range(rounds + 1):
        drawn = frame if k == 0 else frame.sample(frac=1.0, replace=True, random_state=rng)
        counts = drawn.groupby(["arm_left", "arm_right", "answer"]).size().reset_index(name="n")
        left, right = (counts[side].map(code).to_numpy() for side in ("arm_left", "arm_right"))
        rows = np.arange(len(counts))
        X = np.zeros((len(counts), len(arms)))
        X[rows, left], X[rows, right] = 1, -1
        tied, won = (counts["answer"] == word for word in ("tie", "left"))
        n = counts["n"].to_numpy(np.float64)
        weights = np.r_[n * np.where(tied, 0.5, won), n * np.where(tied, 0.5, ~won)]
        y = np.r_[np.ones(len(n)), np.zeros(len(n))]
        model = LogisticRegression(fit_intercept=False, C=np.inf, tol=1e-6)
        found = model.fit(np.r_[X, X], y, weights).coef_[0]
        if k == 0:
            scores = found
    return _elo(scores)


def arena_rank(frame: pd.DataFrame) -> np.ndarray:
    """Scores after its analytic interval."""
    from arena_rank.models.bradley_terry import BradleyTerry
    from arena_rank.utils.data_utils import PairDataset

    names = {"left": 1.0, "right": 0.0, "tie": 0.5}
    data = PairDataset.from_pandas(
        frame, competitor_cols=["arm_left", "arm_right"], outcome_col="answer",
        outcome_map=names.__getitem__,
    )  # fmt: skip
    model = BradleyTerry(len(data.competitors))
    model.compute_ratings_and_cis(data, ci_method="sandwich")
    return _elo(np.asarray(model.params["ratings"])[np.argsort(data.competitors)])


def _elo(nats: np.ndarray) -> np.ndarray:
    return (nats - nats.mean()) * ELO_PER_NAT


def clocks() -> np.ndarray:
    """(2,) seconds: by the clock, and CPU seconds of this process's threads."""
    return np.array([time.perf_counter(), time.process_time()])


def scaled(work: Callable[[int], np.ndarray], rounds: int) -> dict:
    """Seconds of 1,000 rounds, from as many as `PATIENCE` allows."""
    work(1) if rounds > 2 else None  # imports and first calls are not counted
    start = clocks()
    scores = work(2)
    one = (clocks() - start) / 2
    fewer = int(min(rounds, PATIENCE / max(one[0], 1e-9)))
    if fewer > 4:
        start = clocks()
        work(fewer)
        one = (clocks() - start) / fewer
    return {
        "seconds": (one * ROUNDS).tolist(), "rounds": max(fewer, 2), "scores": scores.tolist(),
    }  # fmt: skip


def repeated(work: Callable[[], np.ndarray]) -> dict:
    """Seconds of the first of six calls, and of the fastest of the others."""
    seconds, scores = [], np.empty(0)
    for _ in range(6):
        start = clocks()
        scores = work()
        seconds.append(clocks() - start)
    best = np.min(seconds[1:], axis=0)
    return {"seconds": best.tolist(), "first": seconds[0].tolist(), "scores": scores.tolist()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", choices=["evalica", "fastchat", "arena-rank"])
    parser.add_argument("votes")
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()
    frame = pd.read_parquet(options.votes)
    if options.library == "arena-rank":
        found = repeated(lambda: arena_rank(frame))
    else:
        work = {"evalica": evalica, "fastchat": fastchat}[options.library]
        found = scaled(lambda rounds: work(frame, rounds), options.rounds)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
