"""Elo with 95% intervals from a DataFrame of votes, beside other libraries on the same votes.

    python -m benchmarks.analysis [--arms 3 8 20 100] [--votes 1000 100000 2000000]

Needs scikit-learn, and arena-rank to show it (the extra `benchmarks`).

A cell's time starts at the raw table and ends at every arm's score and interval. Ours is the
analysis that `glide-eval report` prints (every vote checked, clustered by rater and prompt), then
the rater bootstrap of 1,000 rounds, and the interval that takes votes as independent, which is
what the others offer:

- evalica: Bradley–Terry with its percentile bootstrap of votes;
- FastChat's method, in scikit-learn: logistic regression on counts, bootstrap of votes;
- arena-rank: its analytic sandwich. Left out where it is not installed.

So that a run ends, a bootstrap of others does `--rounds` rounds, or fewer where they take longer
than 5 seconds, and its time is scaled to 1,000. choix offers no intervals; its point estimates are
checked with evalica's in tests/analysis/test_elo.py.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import time
from collections.abc import Callable
from pathlib import Path

import evalica
import numpy as np
import pandas as pd
import pyarrow.csv

from analysis import ballots, bootstrap, fit_elo, read_votes, sandwich, win_matrix
from analysis.elo import ELO_PER_NAT, win_probability

ROUNDS = 1000
PATIENCE = 5.0  # seconds for the rounds of one library's bootstrap
clock = time.perf_counter


def draw_votes(arms: int, votes: int, raters: int, seed: int = 0) -> pd.DataFrame:
    """A table of votes on one question, with its rater and prompt ids."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 80, arms)
    left = rng.integers(0, arms, votes)
    right = (left + rng.integers(1, arms, votes)) % arms
    won = rng.random(votes) < win_probability(scores[left] - scores[right])
    answer = np.where(rng.random(votes) < 0.1, 2, np.where(won, 0, 1))
    rater = rng.integers(0, raters, votes)
    names = {
        "arm_left": (left, [f"arm-{i:03d}" for i in range(arms)]),
        "arm_right": (right, [f"arm-{i:03d}" for i in range(arms)]),
        "answer": (answer, ["left", "right", "tie"]),
        "rater": (rater, [f"rater-{i:06d}" for i in range(raters)]),
        "prompt_id": (rng.integers(0, 200, votes), [f"p{i:04d}" for i in range(200)]),
    }
    columns = {
        name: pd.Series(words).take(codes).to_numpy() for name, (codes, words) in names.items()
    }
    return pd.DataFrame({"question": "photorealism", **columns})


def ours(frame: pd.DataFrame, method: str) -> np.ndarray:
    """Scores after making every arm's interval by the method."""
    (ballot,) = ballots(read_votes(frame))
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    if method == "bootstrap":
        intervals = bootstrap(fit, ballot, ROUNDS)
    else:
        intervals = sandwich(fit, ballot, "vote" if method == "independent" else "auto")
    for arm in range(len(fit.arms)):
        intervals.score(arm)
    return fit.scores


def evalicas(frame: pd.DataFrame, rounds: int) -> np.ndarray:
    """Scores after its bootstrap."""
    winner = frame["answer"].map(
        {"left": evalica.Winner.X, "right": evalica.Winner.Y, "tie": evalica.Winner.Draw}
    )
    result = evalica.bootstrap(
        evalica.bradley_terry, frame["arm_left"].tolist(), frame["arm_right"].tolist(),
        winner.tolist(), n_resamples=rounds, bootstrap_method="percentile", random_state=0,
    )  # fmt: skip
    scores = np.log(result.result.scores.sort_index().to_numpy())
    return (scores - scores.mean()) * ELO_PER_NAT


def fastchats(frame: pd.DataFrame, rounds: int) -> np.ndarray:
    """Scores after a bootstrap of logistic regressions on counts of pairs, ties in two halves."""
    from sklearn.linear_model import LogisticRegression

    arms = sorted({*frame["arm_left"].unique(), *frame["arm_right"].unique()})
    code = {arm: i for i, arm in enumerate(arms)}
    rng = np.random.default_rng(0)
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
    return (scores - scores.mean()) * ELO_PER_NAT


def arena_ranks(frame: pd.DataFrame) -> np.ndarray:
    """Scores after its analytic interval.

    Its bootstrap isn't timed: it forks worker processes, which deadlocks JAX here.
    """
    from arena_rank.models.bradley_terry import BradleyTerry
    from arena_rank.utils.data_utils import PairDataset

    names = {"left": 1.0, "right": 0.0, "tie": 0.5}
    data = PairDataset.from_pandas(
        frame, competitor_cols=["arm_left", "arm_right"], outcome_col="answer",
        outcome_map=names.__getitem__,
    )  # fmt: skip
    model = BradleyTerry(len(data.competitors))
    model.compute_ratings_and_cis(data, ci_method="sandwich")
    scores = np.asarray(model.params["ratings"])[np.argsort(data.competitors)]
    return (scores - scores.mean()) * ELO_PER_NAT


def timed(work: Callable[[], np.ndarray], repeats: int = 3) -> tuple[float, np.ndarray]:
    """Seconds of the fastest of several runs, and what it returned."""
    best, result = np.inf, np.empty(0)
    for _ in range(repeats):
        start = clock()
        result = work()
        best = min(best, clock() - start)
        if best > PATIENCE / 4:
            break
    return best, result


def scaled(work: Callable[[int], np.ndarray], rounds: int) -> tuple[float, np.ndarray]:
    """Seconds of 1,000 rounds, from as many as `PATIENCE` allows."""
    one, result = timed(lambda: work(2), 1)
    fewer = int(min(rounds, 2 * PATIENCE / max(one, 1e-9)))
    if fewer <= 4:
        return one * ROUNDS / 2, result
    seconds, result = timed(lambda: work(fewer), 1)
    return seconds * ROUNDS / fewer, result


def cell(arms: int, votes: int, rounds: int) -> None:
    """Print one row."""
    frame = draw_votes(arms, votes, raters=max(10, min(500, votes // 20)))
    robust, scores = timed(lambda: ours(frame, "robust"))
    resampled, _ = timed(lambda: ours(frame, "bootstrap"))
    independent, _ = timed(lambda: ours(frame, "independent"))
    peers = {
        "evalica": scaled(lambda n: evalicas(frame, n), rounds),
        "FastChat": scaled(lambda n: fastchats(frame, n), rounds),
    }
    if importlib.util.find_spec("arena_rank"):
        peers["arena-rank"] = timed(lambda: arena_ranks(frame))
    figures = " | ".join(
        f"{seconds:.3g} s ({seconds / robust:.0f}×)" for seconds, _ in peers.values()
    )
    apart = {name: np.abs(found - scores).max() for name, (_, found) in peers.items()}
    print(
        f"| {arms} | {votes:,} | {robust:.3g} s | {resampled:.3g} s | {independent:.3g} s | "
        f"{figures} | {apart['evalica']:.0e} |",
        flush=True,
    )


def memory(votes: int, path: Path) -> None:
    """Write a CSV with every column of an export, analyse it and print the peak memory."""
    if not path.exists():
        size = 1_000_000
        with path.open("wb") as file:
            for start in range(0, votes, size):
                frame = draw_votes(16, min(size, votes - start), 5000, seed=start)
                rows = np.arange(start, start + len(frame))
                frame["study"], frame["replica"], frame["rater_kind"] = "study", 0, "person"
                frame["seconds"] = (rows % 90) / 10 + 1
                days = pd.Series([f"2026-01-{d:02d}T12:00:00.000000+00:00" for d in range(1, 32)])
                frame["created_at"] = days.take(rows % 31).reset_index(drop=True)
                frame["assignment"] = np.char.mod("assignment-%020d", rows)
                table = pyarrow.Table.from_pandas(frame, preserve_index=False)
                options = pyarrow.csv.WriteOptions(include_header=start == 0)
                pyarrow.csv.write_csv(table, file, options)
    start = time.perf_counter()
    (ballot,) = ballots(read_votes(path))
    read = time.perf_counter() - start
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    intervals = sandwich(fit, ballot)
    bounds = [intervals.score(arm) for arm in range(len(fit.arms))]
    widest = max(b.high - b.low for b in bounds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{votes:,} votes, {path.stat().st_size / 1024**3:.2f} GiB of CSV: read in {read:.0f} s, "
          f"all in {time.perf_counter() - start:.0f} s, peak memory {peak:.2f} GiB, "
          f"widest interval {widest:.1f} Elo")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arms", type=int, nargs="+", default=[3, 8, 20, 100])
    parser.add_argument("--votes", type=int, nargs="+", default=[1_000, 100_000, 2_000_000])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--memory", type=Path, help="a CSV to write 10 million votes to, and read")
    parser.add_argument("--cpu", action="store_true", help="CPU seconds, for a busy machine")
    options = parser.parse_args()
    if options.cpu:
        global clock
        clock = time.process_time
    if options.memory:
        memory(10_000_000, options.memory)
        return
    peers = ["evalica", "FastChat's method"]
    if importlib.util.find_spec("arena_rank"):
        peers.append("arena-rank")
    head = ["arms", "votes", "ours, two-way clusters", "ours, rater bootstrap",
            "ours, votes independent", *peers, "apart from evalica, Elo"]  # fmt: skip
    print("| " + " | ".join(head) + " |\n" + "| --- " * len(head) + "|")
    for arms in options.arms:
        for votes in options.votes:
            cell(arms, votes, options.rounds)


if __name__ == "__main__":
    main()
