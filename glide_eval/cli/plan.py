"""`glide-eval plan`: how many votes, raters and prompts a study needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from tqdm import tqdm

from glide_eval.errors import UsageError
from glide_eval.files import write_text

if TYPE_CHECKING:
    from analysis.ballots import Ballot
    from analysis.planning import PowerCurve, Variation

BAR = 24  # characters of a full bar
FEW_RATERS = 20


@click.command("plan")
@click.option(
    "--difference",
    default=50.0,
    show_default=True,
    help="Elo points between two arms to be found; 50 wins 57% of decided votes, 100 wins 64%.",
)
@click.option("--arms", default=2, show_default=True, help="Arms compared with each other.")
@click.option(
    "--prompts",
    default=100,
    show_default=True,
    help="Prompts, each seen by many raters; 0 for a new one with each vote.",
)
@click.option("--votes-per-rater", default=30, show_default=True, help="Votes a rater gives.")
@click.option(
    "--power", default=0.8, show_default=True, help="Share of such studies that should find it."
)
@click.option(
    "--pilot",
    type=click.Path(path_type=Path),
    metavar="VOTES",
    help="A CSV of votes that shows how much raters and prompts vary.",
)
@click.option("--question", help="The pilot's question; its first one by default.")
@click.option(
    "--taste", type=float, help="SD of raters' own scores of an arm, Elo points  [default: 100]"
)
@click.option(
    "--prompt-effect", type=float, help="SD of an arm's score over prompts  [default: 100]"
)
@click.option("--ties", type=float, help="Share of ties, 0 to 1  [default: 0.1]")
@click.option(
    "--studies", default=200, show_default=True, help="Studies simulated for each number of votes."
)
@click.option(
    "--seed", default=0, type=click.IntRange(0), show_default=True, help="Seed of the simulation."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write the curve: as a table (.csv) or a figure (.svg, .png, .pdf).",
)
def command(
    difference: float,
    arms: int,
    prompts: int,
    votes_per_rater: int,
    power: float,
    pilot: Path | None,
    question: str | None,
    taste: float | None,
    prompt_effect: float | None,
    ties: float | None,
    studies: int,
    seed: int,
    out: Path | None,
) -> None:
    """Say how many votes a study needs to find a difference between two arms.

    Whole studies are simulated, with raters of differing taste and prompts of differing
    difficulty, and analysed as `glide-eval report` would. Numbers from a pilot's votes take the
    place of the defaults, and options given here that of both.
    """
    from analysis.errors import AnalysisError
    from analysis.planning import Design, plan_study

    if out is not None and out.suffix not in (".csv", ".svg", ".png", ".pdf"):
        raise UsageError(f"--out {out}: expected a name ending in .csv, .svg, .png or .pdf.")
    if out is not None:
        _make_folder(out)
    variation = _variation(pilot, question, taste, prompt_effect, ties)
    design = Design(difference, arms, prompts or None, votes_per_rater, variation, power)
    with tqdm(total=7 * studies, desc="simulating", unit="study", disable=None, leave=False) as bar:
        try:
            plan = plan_study(design, studies=studies, seed=seed, progress=lambda n: _step(bar, n))
        except AnalysisError as error:
            raise UsageError(str(error)) from error
    for line in _curve(plan):
        click.echo(line)
    click.echo()
    click.echo(click.wrap_text(plan.sentence, width=88))
    if out is not None:
        _write(plan, out)
        click.echo(f"\nCurve: {out}")


def _variation(
    pilot: Path | None,
    question: str | None,
    taste: float | None,
    prompt_effect: float | None,
    ties: float | None,
) -> Variation:
    from analysis.ballots import ballots, read_votes
    from analysis.planning import Variation, variation_of

    found = Variation()
    if pilot is not None:
        polled = ballots(read_votes(pilot))
        if question is not None:
            polled = [ballot for ballot in polled if ballot.question == question]
        if not polled:
            asked = f" on {question}" if question else ""
            raise UsageError(f"--pilot {pilot}: found no votes{asked}. Name a CSV that holds some.")
        found = variation_of(polled[0])
        click.echo(click.wrap_text(_pilot(polled[0]), width=88) + "\n")
    return Variation(
        found.taste if taste is None else taste,
        found.prompt_effect if prompt_effect is None else prompt_effect,
        found.tie_share if ties is None else ties,
    )


def _pilot(ballot: Ballot) -> str:
    who = "simulated raters" if ballot.simulated else "people"
    said = f"Pilot: {ballot.votes:,} votes on {ballot.question} by {ballot.raters} raters ({who})."
    if ballot.raters < FEW_RATERS:
        said += " So few raters show only roughly how much raters differ: see what other values "
        said += "of --taste and --prompt-effect would mean."
    return said


def _make_folder(out: Path) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"--out {out}: the folder {out.parent} can't be made ({error.strerror}). Name another."
        ) from error


def _step(bar: tqdm, done: int) -> None:
    bar.update(done)


def _curve(plan: PowerCurve) -> list[str]:
    """The table with a bar a row, for a terminal."""
    lines = ["   votes  raters   power"]
    rows = plan.table[["votes", "raters", "power"]].to_numpy().tolist()
    for votes, raters, power in rows:
        lines.append(f"{votes:8,.0f} {raters:7,.0f} {power:7.0%}  {'█' * round(BAR * power)}")
    return lines


def _write(plan: PowerCurve, out: Path) -> None:
    from analysis.ballots import csv_of

    if out.suffix == ".csv":
        write_text(out, csv_of(plan.table))
        return
    from analysis.report import power_figure

    out.write_bytes(power_figure(plan, out.suffix[1:]))
