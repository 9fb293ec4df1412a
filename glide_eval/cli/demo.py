"""`glide-eval demo`: the whole experiment on the bundled miniature, with simulated raters.

The demo runs the commands a person would type, and shows each, so that it can be read as a recipe.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from glide_eval.files import RunFolder, duration

from .invocation import from_here, next_command

CONFIG = Path(__file__).with_name("demo.toml")  # equal to examples/guidance.toml


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the demo.

    Attributes:
        title: of the step.
        about: what it does, for someone who reads along.
        commands: arguments of `glide-eval`, each a command.
    """

    title: str
    about: str
    commands: Sequence[Sequence[str]]


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
    default=40,
    show_default=True,
    help="Simulated raters.",
)
@click.option(
    "--votes", type=click.IntRange(1, 1_000_000), default=2000, show_default=True,
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
    run = RunFolder(out)
    steps = demo_steps(run, raters, votes, seed)
    run_steps(run, steps, _run_command, click.echo)


def demo_steps(run: RunFolder, raters: int, votes: int, seed: int) -> list[Step]:
    """The experiment's parts; those that a study made earlier needs no more are left out."""
    folder = str(run.root)
    # So few pairs that two raters answer each: then the report can say how far they agree.
    create = [] if run.study_path.exists() else [["study", "create", folder, "--pairs=500"]]
    simulate = ["study", "simulate", folder, f"--raters={raters}", f"--votes={votes}"]
    return [
        Step(
            "Sweep",
            "every guidance strategy and scale draws the same prompts from the same noise",
            [["sweep", from_here(CONFIG), "--out", folder]],
        ),
        Step(
            "Metrics",
            "FID, Inception Score, precision, recall, CLIP score, caption accuracy",
            [["metrics", folder]],
        ),
        Step(
            "Study",
            f"{votes:,} votes on pairs of images by {raters} SIMULATED raters, who stand in for "
            "people and are labelled so on every page",
            [*create, [*simulate, f"--seed={seed}"], ["study", "export", folder]],
        ),
        Step("Report", "Elo scores, curves, tables, samples", [["report", folder]]),
    ]


def run_steps(
    run: RunFolder,
    steps: Sequence[Step],
    run_command: Callable[[Sequence[str]], None],
    say: Callable[[str], None],
) -> None:
    """Run every command in order, say what each step took, then where the result is."""
    started = time.perf_counter()
    say(f"The whole experiment in small, into {run.root}.")
    for number, step in enumerate(steps, 1):
        say(f"\n[{number}/{len(steps)}] {step.title}: {step.about}")
        begun = time.perf_counter()
        for arguments in step.commands:
            say(f"$ glide-eval {shlex.join(arguments)}")
            run_command(arguments)
        say(f"{step.title} took {duration(time.perf_counter() - begun)}.")
    say(
        f"\nDone in {duration(time.perf_counter() - started)}."
        f"\n  Read the report:      {run.report_dir / 'index.html'} (opens offline, in a browser)"
        f"\n  Rate pairs yourself:  {next_command('study', 'serve', run.root)}"
        "\n                        and open the address it prints"
    )


def _run_command(arguments: Sequence[str]) -> None:
    from . import cli

    cli.main(args=list(arguments), prog_name="glide-eval", standalone_mode=False)
