"""`glide-eval report`: write the comparison report of a run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from glide_eval.records import Arm
from glide_eval.run_store import RunFolder


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--votes",
    type=click.Path(path_type=Path),
    help="A CSV of votes instead of the run's votes.csv.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Where to write it; RUN/report by default."
)
@click.option("--title", help="The report's heading.")
@click.option("--seed", default=0, show_default=True, help="Seed of the bootstrap intervals.")
def command(run: Path, votes: Path | None, out: Path | None, title: str | None, seed: int) -> None:
    """Write the comparison report of RUN: index.html, figures and tables.

    Metrics come from RUN/metrics.csv and votes from RUN/votes.csv where they exist; a report
    without one of them says so.
    """
    page = make_report(RunFolder.open(run), votes, out, title, seed)
    click.echo(f"Report: {page}")


def make_report(
    run: RunFolder,
    votes: Path | None = None,
    out: Path | None = None,
    title: str | None = None,
    seed: int = 0,
) -> Path:
    """Read a run folder and write its report.

    Args:
        run: the run.
        votes: a CSV of votes; None takes the run's own, if it has one.
        out: the report's folder; None takes the run's own.
        title: the heading; None makes one from the run.
        seed: of the bootstrap intervals.

    Returns:
        The path of `index.html`.

    Raises:
        RunError: the run's folder is damaged.
        analysis.AnalysisError: votes that can't be counted, or a report that can't be written.
    """
    import pandas as pd

    from analysis.report import ReportInputs, write_report
    from analysis.votes import read_votes

    arms = pd.DataFrame([_as_reported(arm) for arm in run.arms()])
    if votes is None and run.votes_path.is_file():
        votes = run.votes_path
    samples = run.samples()
    table = pd.DataFrame(
        [(s.arm, s.prompt_id, s.caption, s.replica, s.seed, s.path) for s in samples],
        columns=["arm", "prompt_id", "caption", "replica", "seed", "path"],
    )
    metrics = None
    if run.metrics_path.is_file():
        metrics = _read_metrics(run.metrics_path)
    inputs = ReportInputs(
        title=title or "Which guidance makes the better image?",
        arms=arms,
        metrics=metrics,
        # Read here, so that messages name the file; the report then checks a checked table.
        votes=None if votes is None else read_votes(votes, list(arms["name"])),
        samples=table,
        root=run.root,
        provenance=_provenance(run),
        command=_command(run, votes, out, title, seed),
    )
    return write_report(inputs, out or run.report_dir, seed)


def _as_reported(arm: Arm) -> dict[str, Any]:
    """An arm as the report takes it; one that was reranked or degraded is no point of its
    strategy's curve over scales, so it has no scale there.
    """
    altered = arm.reranked_by is not None or arm.degraded_by is not None
    return {**arm.to_dict(), **({"scale": None} if altered else {})}


def _read_metrics(path: Path) -> Any:
    import pandas as pd

    from analysis.errors import ReportError

    try:
        return pd.read_csv(path, keep_default_na=True, dtype={"arm": str, "metric": str})
    except (OSError, ValueError) as error:
        raise ReportError(
            f"{path}: expected the table `glide-eval metrics` writes, found something else "
            f"({error}). Measure the run again: glide-eval metrics {path.parent}."
        ) from error


def _provenance(run: RunFolder) -> dict[str, Any]:
    """`run.json` without the arms, which the report shows anyway."""
    values = {key: value for key, value in run.provenance().items() if key != "arms"}
    return {"run": run.root.name, **values}


def _command(
    run: RunFolder, votes: Path | None, out: Path | None, title: str | None, seed: int
) -> str:
    parts = ["glide-eval", "report", str(run.root)]
    if votes is not None and votes != run.votes_path:
        parts += ["--votes", str(votes)]
    if out is not None:
        parts += ["--out", str(out)]
    if title is not None:
        parts += ["--title", title]
    if seed:
        parts += ["--seed", str(seed)]
    return shlex.join(parts)
