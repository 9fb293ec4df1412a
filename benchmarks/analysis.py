"""Elo with 95% intervals from a DataFrame of votes, beside other libraries on the same votes.

    python -m benchmarks.analysis [--arms 3 8 20 100] [--votes 1000 100000 2000000]
    python -m benchmarks.analysis --memory votes.csv

The others run in an interpreter of their own, `--python` (arena-rank pins its NumPy; the extra
`benchmarks` has all of them), by `benchmarks/analysis_peers.py`, which says how they are timed.
Those it lacks are left out.

A cell's time starts at the raw table and ends at every arm's score and interval, by the clock and
in CPU seconds of all threads: a table of each is printed. Ours are, each the best of five runs:

- two-way clusters, what `glide-eval report` prints: every vote checked, clustered by rater and
  prompt;
- votes independent, which is what the others' intervals assume, so like beside like; of a table
  without the prompt ids that it has no use for;
- the rater bootstrap of 1,000 rounds.

In brackets how many times the first and the second another's time is. choix offers no intervals;
its point estimates are checked with evalica's in tests/analysis/test_elo.py.

`--memory` writes 10 million votes with every column of an export to a CSV, where it isn't there
yet, and prints the peak memory of analysing it.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.csv

from analysis import ballots, bootstrap, fit_elo, read_votes, sandwich, win_matrix, win_probability

ROUNDS = 1000
CLOCKS = ("Seconds by the clock", "CPU seconds")
PEERS = {"evalica": "evalica", "fastchat": "FastChat's method", "arena-rank": "arena-rank"}


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
    if method == "independent":
        frame = frame.drop(columns="prompt_id")
    (ballot,) = ballots(read_votes(frame))
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    if method == "bootstrap":
        intervals = bootstrap(fit, ballot, ROUNDS)
    else:
        intervals = sandwich(fit, ballot, "vote" if method == "independent" else "auto")
    for arm in range(len(fit.arms)):
        intervals.score(arm)
    return fit.scores


def timed(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Least seconds of five runs, by the clock and of the CPU, and what the last returned."""
    seconds, result = [], np.empty(0)
    for _ in range(5):
        start, used = time.perf_counter(), time.process_time()
        result = work()
        seconds.append((time.perf_counter() - start, time.process_time() - used))
    return np.min(seconds, axis=0), result


def peer(python: str, name: str, votes: Path, options: list[str]) -> dict | None:
    """What `analysis_peers` found; None where the interpreter lacks the library."""
    script = str(Path(__file__).with_name("analysis_peers.py"))
    done = subprocess.run(
        [python, script, name, str(votes), *options], capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(f"{name}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def cell(arms: int, votes: int, options: argparse.Namespace) -> list[str]:
    """One row of each clock's table."""
    frame = draw_votes(arms, votes, raters=max(10, min(500, votes // 20)))
    robust, scores = timed(lambda: ours(frame, "robust"))
    independent, _ = timed(lambda: ours(frame, "independent"))
    resampled, _ = timed(lambda: ours(frame, "bootstrap"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "votes.parquet"
        frame.to_parquet(path)
        flags = ["--rounds", str(options.rounds)]
        found = {name: peer(options.python, name, path, flags) for name in PEERS}
    evalica = found["evalica"]
    apart = np.abs(np.array(evalica["scores"]) - scores).max() if evalica else np.nan
    rows = []
    for clock in range(len(CLOCKS)):
        own = [seconds[clock] for seconds in (robust, independent, resampled)]
        others = [_beside(other, own, clock) for other in found.values()]
        row = [arms, f"{votes:,}", *(f"{s:.2g} s" for s in own), *others, f"{apart:.0e}"]
        rows.append("| " + " | ".join(map(str, row)) + " |")
    return rows


def _beside(other: dict | None, own: list[float], clock: int) -> str:
    """Another's seconds, and how many times our first and second they are."""
    if other is None:
        return ""
    seconds = other["seconds"][clock]
    first = f", {other['first'][clock]:.2g} s the first time" if "first" in other else ""
    told = f"{seconds:,.0f}" if seconds > 100 else f"{seconds:.3g}"
    return f"{told} s ({seconds / own[0]:,.0f}× / {seconds / own[1]:,.0f}×){first}"


def write_export(votes: int, path: Path) -> None:
    """A CSV with every column of an export."""
    size = 200_000
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


def memory(path: Path) -> None:
    """Analyse a CSV of votes and print the peak memory."""
    start, used = time.perf_counter(), time.process_time()
    (ballot,) = ballots(read_votes(path))
    read = time.process_time() - used
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    intervals = sandwich(fit, ballot)
    bounds = [intervals.score(arm) for arm in range(len(fit.arms))]
    widest = max(b.high - b.low for b in bounds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{ballot.votes:,} votes, {path.stat().st_size / 1024**3:.2f} GiB of CSV: read in "
          f"{read:.0f} CPU s, all in {time.process_time() - used:.0f} "
          f"({time.perf_counter() - start:.0f} s by the clock), peak memory {peak:.2f} GiB, "
          f"widest interval {widest:.1f} Elo")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arms", type=int, nargs="+", default=[3, 8, 20, 100])
    parser.add_argument("--votes", type=int, nargs="+", default=[1_000, 100_000, 2_000_000])
    parser.add_argument("--rounds", type=int, default=50, help="of others' bootstraps, scaled")
    parser.add_argument("--python", default=sys.executable, help="interpreter with the others")
    parser.add_argument("--memory", type=Path, help="a CSV to write 10 million votes to, and read")
    options = parser.parse_args()
    if options.memory:
        if not options.memory.exists():
            write_export(10_000_000, options.memory)
            print("Written; the same command again reads it, in a fresh process.")
            return
        memory(options.memory)
        return
    head = ["arms", "votes", "ours, two-way clusters", "ours, votes independent",
            "ours, rater bootstrap", *PEERS.values(), "apart from evalica, Elo"]  # fmt: skip
    tables: list[list[str]] = [[], []]
    for arms in options.arms:
        for votes in options.votes:
            for table, row in zip(tables, cell(arms, votes, options), strict=True):
                table.append(row)
            print(f"{arms} arms, {votes:,} votes: done", file=sys.stderr, flush=True)
    for clock, table in zip(CLOCKS, tables, strict=True):
        print(f"\n{clock}:\n\n| " + " | ".join(head) + " |\n" + "| --- " * len(head) + "|")
        print("\n".join(table))


if __name__ == "__main__":
    main()
