"""`glide-eval demo`: the whole experiment on the bundled miniature, with simulated raters."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from glide_eval.config import load_sweep
from glide_eval.run_store import RunFolder
from glide_eval.sweep import run_sweep
from glide_eval.words import duration

from .invocation import next_command, typed_command

CONFIG = Path(__file__).parents[1] / "demo.toml"  # equal to examples/guidance.toml


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the demo: what it does, for the reader, and the work itself."""

    title: str
    about: str
    work: Callable[[RunFolder], object]


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs/demo"),
    show_default=True,
    metavar="DIR",
    help="Run folder.",
)
@click.option(
    "--raters",
    type=click.IntRange(2, 1000),
    default=24,
    show_default=True,
    help="Simulated raters.",
)
@click.option(
    "--votes", type=click.IntRange(1, 1_000_000), default=1200, show_default=True,
    help="Simulated votes, in all.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the simulated raters."
)
def command(out: Path, raters: int, votes: int, seed: int) -> None:
    """The whole experiment on the bundled miniature, in minutes.

    Sweeps guidance scales, measures the images, lets simulated raters vote on pairs of them and
    writes the report. Run it again and it goes on where it stopped.
    """
    steps = [
        Step(
            "Sweep",
            "every guidance strategy and scale draws the same prompts from the same noise",
            _sweep,
        ),
        Step("Metrics", "FID, Inception Score, precision, recall, CLIP score, accuracy", _measure),
        Step(
            "Study",
            f"{votes:,} votes by {raters} SIMULATED raters, who stand in for people and are "
            "labelled so on every page",
            lambda run: _simulate(run, raters, votes, seed),
        ),
        Step("Report", "Elo scores, curves and tables", _report),
    ]
    run_steps(RunFolder(out), steps, click.echo)


def run_steps(run: RunFolder, steps: Sequence[Step], say: Callable[[str], None]) -> None:
    """Take the steps in order, say how long each took, then where the result is."""
    started = time.perf_counter()
    say(f"The whole experiment in small, into {run.root}")
    for number, step in enumerate(steps, 1):
        say(f"\n[{number}/{len(steps)}] {step.title}: {step.about}")
        begun = time.perf_counter()
        step.work(run)
        say(f"      {duration(time.perf_counter() - begun)}")
    say(
        f"\nDone in {duration(time.perf_counter() - started)}."
        f"\n  Read the report:      {run.report_dir / 'index.html'} (opens offline, in a browser)"
        f"\n  Rate pairs yourself:  {next_command('study', 'serve', run.root)}"
        "\n                        and open the address it prints"
    )


def _sweep(run: RunFolder) -> None:
    sweep = load_sweep(CONFIG)
    run_sweep(sweep, run.root, command=typed_command(), say=_indented)


def _measure(run: RunFolder) -> None:
    from .metrics import run_metrics

    run_metrics(run)


def _simulate(run: RunFolder, raters: int, votes: int, seed: int) -> None:
    if count_votes(run) >= votes:
        _indented(f"{run.votes_path} holds {count_votes(run):,} simulated votes already.")
        return
    _create_and_simulate(run, raters, votes, seed)


def _create_and_simulate(run: RunFolder, raters: int, votes: int, seed: int) -> None:
    from .study import create_and_simulate

    create_and_simulate(run, raters, votes, seed)


def _report(run: RunFolder) -> None:
    from .report import run_report

    run_report(run)


def count_votes(run: RunFolder) -> int:
    """How many simulated votes the run's exported votes hold."""
    if not run.votes_path.is_file():
        return 0
    with run.votes_path.open(encoding="utf-8", newline="") as file:
        return sum(row.get("rater_kind") == "simulated" for row in csv.DictReader(file))


def _indented(line: str) -> None:
    click.echo(f"      {line}")
