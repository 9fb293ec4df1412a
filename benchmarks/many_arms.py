"""A thousand arms: time, memory and size of a report, and of fits against a baseline.

    python -m benchmarks.many_arms [--arms 5000] [--votes 1000000] [--raters 1000] [--prompts 0]
    python -m benchmarks.many_arms --report --arms 1000 --votes 200000

Each case runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.ballots import Ballot, win_matrix
from analysis.report import ReportInputs, write_report
from analysis.scores import compare_arms, elo_table, fit_elo, sandwich, win_probability


def draw(arms: int, votes: int, raters: int, prompts: int, seed: int = 0) -> Ballot:
    """Votes on random pairs of arms whose scores have a sd of 120."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 120, arms)
    left = rng.integers(0, arms, votes)
    right = (left + rng.integers(1, arms, votes)) % arms
    won = (rng.random(votes) < win_probability(scores[left] - scores[right])).astype(np.float64)
    names = tuple(f"lora-{i:04d}" for i in range(arms))
    rater = rng.integers(0, raters, votes)
    prompt = rng.integers(0, prompts, votes) if prompts else None
    return Ballot("quality", "person", names, left, right, won, rater, prompt)


def against_baseline(ballot: Ballot) -> None:
    """Fit, with intervals against the first arm, and comparisons that hold together."""
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    intervals = sandwich(fit, ballot)
    table = elo_table(fit, intervals, anchor=ballot.arms[0])
    compared = compare_arms(intervals, baseline=ballot.arms[0])
    print(f"{len(table):,} arms, {len(compared.table):,} pairs compared", flush=True)


def report(ballot: Ballot) -> None:
    """A report on the votes alone."""
    names = np.array(ballot.arms)
    votes = pd.DataFrame({
        "question": "quality", "arm_left": names[ballot.left], "arm_right": names[ballot.right],
        "answer": np.where(ballot.left_wins == 1, "left", "right"),
        "rater": np.char.mod("r%d", ballot.rater),
    })  # fmt: skip
    if ballot.prompt is not None:
        votes["prompt_id"] = np.char.mod("p%d", ballot.prompt)
    arms = pd.DataFrame({"name": names, "label": names, "strategy": "imported", "scale": np.nan})
    with tempfile.TemporaryDirectory() as folder:
        page = write_report(
            ReportInputs(
                title="Many arms", arms=arms, metrics=None, votes=votes, samples=None,
                root=Path(), provenance={}, command="",
            ),
            folder,
        )  # fmt: skip
        print(f"page of {page.stat().st_size / 1e6:.1f} MB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="A thousand arms.")
    parser.add_argument("--arms", type=int, default=5000)
    parser.add_argument("--votes", type=int, default=1_000_000)
    parser.add_argument("--raters", type=int, default=1000)
    parser.add_argument("--prompts", type=int, default=0)
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    ballot = draw(options.arms, options.votes, options.raters, options.prompts)
    started, used = time.perf_counter(), time.process_time()
    (report if options.report else against_baseline)(ballot)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{time.perf_counter() - started:.1f} s, {time.process_time() - used:.1f} CPU s, "
          f"{peak:.2f} GB")  # fmt: skip


if __name__ == "__main__":
    main()
