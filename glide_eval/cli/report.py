"""`glide-eval report`: write the comparison report of runs, of studies, or of votes alone."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click
from tqdm import tqdm

from glide_eval.files import RunFolder

from .report_inputs import Source, report_inputs

FORMATS = ("html", "pdf", "md")
READ = 0.1  # of the whole, when votes and tables are read


class Formats(click.ParamType):
    """`html,pdf,md` in any order and number."""

    name = "formats"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """The formats named, each once."""
        if isinstance(value, tuple):
            return value
        names = [name.strip().lower() for name in str(value).split(",") if name.strip()]
        unknown = [name for name in names if name not in FORMATS]
        if unknown or not names:
            found = ", ".join(unknown) or "nothing"
            self.fail(f"found {found}, expected some of {', '.join(FORMATS)}", param, ctx)
        return tuple(dict.fromkeys(names))


class ColumnMap(click.ParamType):
    """`OURS=THEIRS`: what a column of the votes is called elsewhere."""

    name = "column"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """The two names."""
        ours, equals, theirs = str(value).partition("=")
        if not (ours and equals and theirs):
            self.fail(
                f"found {value}, expected OURS=THEIRS, for example arm_left=model", param, ctx
            )
        return ours, theirs


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), metavar="[RUN]...")
@click.option(
    "--votes",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Votes instead of RUN/votes.csv, or without any RUN: CSV, Parquet, JSON or JSON Lines, "
    "also those of other tools. Given several times: several studies, side by side; with several "
    "runs, one for each in their order.",
)
@click.option(
    "--column",
    "columns",
    type=ColumnMap(),
    multiple=True,
    metavar="OURS=THEIRS",
    help="A column of the votes that has another name, such as arm_left=system_1. May be repeated.",
)
@click.option(
    "--pairs",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A table (id, arm_left, arm_right, prompt_id …) of the pairs that votes name by id alone.",
)
@click.option(
    "--arms",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A CSV (name, strategy, scale, label) of the arms of votes without a RUN.",
)
@click.option(
    "--categories",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A CSV (prompt_id, category) of prompts, to score each category apart. Votes that have a "
    "column `category` need none.",
)
@click.option(
    "--format", "formats", type=Formats(), default="html", show_default=True,
    metavar="html,pdf,md",
    help="Pages to write: index.html, report.pdf (printed by Chromium or Chrome), report.md.",
)  # fmt: skip
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where to write it; RUN/report by default, FILE's name with -report for votes alone, "
    "./report for several.",
)
@click.option("--title", help="The report's heading.")
@click.option("--seed", default=0, show_default=True, help="Seed of the bootstrap intervals.")
def command(
    runs: tuple[Path, ...], votes: tuple[Path, ...], columns: tuple[tuple[str, str], ...],
    pairs: Path | None, arms: Path | None, categories: Path | None, formats: tuple[str, ...],
    out: Path | None, title: str | None, seed: int,
) -> None:  # fmt: skip
    """Write the comparison report of one RUN, of several, or of votes alone.

    A page, every figure as SVG, PDF and PNG with its data as CSV, every table as CSV and LaTeX.
    Metrics come from RUN/metrics.csv and votes from RUN/votes.csv where they exist; a report
    without one of them says so.
    """
    if arms is not None and runs:
        raise click.UsageError("--arms describes the arms of votes without a RUN: leave one out.")
    sources = _sources(runs, votes, dict(columns), pairs)
    page = make_report(sources, formats, out, title, seed, arms, categories)
    click.echo(f"Report: {page}")


def make_report(
    sources: Sequence[Source],
    formats: Sequence[str] = ("html",),
    out: Path | None = None,
    title: str | None = None,
    seed: int = 0,
    arms: Path | None = None,
    categories: Path | None = None,
) -> Path:
    """Read runs and votes and write their report.

    Args:
        sources: runs, files of votes, or both.
        formats: of the pages, some of html, pdf, md.
        out: the report's folder; None takes the usual one.
        title: the heading; None makes one.
        seed: of the bootstrap intervals.
        arms: a CSV that describes the arms of votes without a run.
        categories: a CSV that names prompts' categories.

    Returns:
        The path of the page in the first format.

    Raises:
        RunError: a run's folder is missing or damaged.
        analysis.AnalysisError: votes that can't be counted, or a report that can't be written.
    """
    from analysis.report import write_report

    options = {"--arms": arms, "--categories": categories, "--out": out, "--title": title,
               "--seed": seed or None}  # fmt: skip
    line = _command(sources, formats, options)
    look = "{desc}{percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]"
    with tqdm(total=1.0, desc="reading: ", bar_format=look, disable=None, leave=False) as bar:
        inputs = report_inputs(list(sources), title, line, arms, categories)

        def progress(doing: str, done: float) -> None:
            bar.set_description(doing, refresh=False)
            bar.update(READ + (1 - READ) * done - bar.n)
            bar.refresh()

        return write_report(inputs, out or _usual_folder(sources), seed, formats, progress)


def _sources(
    runs: Sequence[Path], votes: Sequence[Path], columns: dict[str, str], pairs: Path | None
) -> list[Source]:
    """Which votes go with which run, and how they are read."""
    if (columns or pairs) and not votes:
        raise click.UsageError("--column and --pairs say how --votes FILE is read: name one.")
    found = _together(runs, votes)
    return [replace(source, columns=columns, pairs=pairs) for source in found]


def _together(runs: Sequence[Path], votes: Sequence[Path]) -> list[Source]:
    """Which votes go with which run."""
    if not runs and not votes:
        raise click.UsageError("Name a RUN folder, or a CSV of votes with --votes FILE.")
    if not runs:
        return [Source(votes=file) for file in votes]
    folders = [RunFolder.open(run) for run in runs]
    if len(folders) == 1 and votes:
        return [Source(folders[0], file) for file in votes]
    if votes and len(votes) != len(folders):
        raise click.UsageError(
            f"Found {len(folders)} runs and {len(votes)} --votes: give one for each run, in their "
            "order, or none."
        )
    given = [*votes] or [None] * len(folders)
    return [Source(run, file) for run, file in zip(folders, given, strict=True)]


def _usual_folder(sources: Sequence[Source]) -> Path:
    first = sources[0]
    if len(sources) > 1:
        return Path("report")
    if first.run is not None:
        return first.run.report_dir
    assert first.votes is not None  # a source has a run or votes
    return first.votes.with_name(f"{first.votes.stem}-report")


def _command(
    sources: Sequence[Source], formats: Sequence[str], options: Mapping[str, object]
) -> str:
    """The command line that makes this report again."""
    roots = dict.fromkeys(str(source.run.root) for source in sources if source.run)
    if len(sources) > 1 and len(roots) > 1:
        roots = [str(source.run.root) for source in sources if source.run]
    parts = ["glide-eval", "report", *roots]
    for source in sources:
        if source.votes is not None and (
            source.run is None or source.votes != source.run.votes_path
        ):
            parts += ["--votes", str(source.votes)]
    for ours, theirs in sources[0].columns.items():
        parts += ["--column", f"{ours}={theirs}"]
    if sources[0].pairs is not None:
        parts += ["--pairs", str(sources[0].pairs)]
    if tuple(formats) != ("html",):
        parts += ["--format", ",".join(formats)]
    for option, value in options.items():
        if value is not None:
            parts += [option, str(value)]
    return shlex.join(parts)
