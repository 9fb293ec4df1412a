"""`glide-eval metrics RUN`: measure a run and print the table."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glide_eval.errors import UsageError
from glide_eval.run_store import RunFolder

if TYPE_CHECKING:
    import pandas as pd

EXTRACTORS = ("tabletop", "inception-clean", "inception-torchmetrics")
WIDTH = 100  # characters a line of the table


@click.command()
@click.argument("run_dir", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "--extractor",
    "extractor_names",
    type=click.Choice(EXTRACTORS),
    multiple=True,
    default=("tabletop",),
    show_default=True,
    help="Who looks at the images; repeat for several in one pass.",
)
@click.option(
    "--metrics",
    "metric_list",
    metavar="NAME,...",
    help="Measure only these, e.g. fid,clip_score.  [default: all the extractor can give]",
)
@click.option(
    "--reference",
    "reference_dir",
    type=click.Path(path_type=Path),
    help="Folder of real images, centre-cropped.  [default: rendered tabletop scenes]",
)
def command(
    run_dir: Path,
    extractor_names: tuple[str, ...],
    metric_list: str | None,
    reference_dir: Path | None,
) -> None:
    """Measure a finished sweep: FID, IS, precision/recall, CLIP score, caption accuracy.

    Writes metrics.csv, metrics.parquet and scores.csv into RUN. What was measured before by another
    extractor, or by other metrics, stays. Features are kept, so a second time is quick.
    """
    run = RunFolder.open(run_dir)
    names = None
    if metric_list is not None:
        names = [name.strip() for name in metric_list.split(",") if name.strip()]
        if not names:
            raise UsageError("--metrics names no metric; for example --metrics fid,clip_score.")
    # Everything below needs torch or pandas, so a mistyped command fails before they load.
    from glide_eval.extractors import load_extractor
    from glide_eval.images import list_images
    from glide_eval.reference import folder_reference, tabletop_reference
    from glide_eval.score import measure

    reference = tabletop_reference
    if reference_dir is not None:
        others = list_images(reference_dir).others
        if others:
            click.echo(f"{reference_dir}: {_listed(others)} not used: no images.", err=True)
        reference = partial(folder_reference, folder=reference_dir)
    extractors = [load_extractor(name) for name in dict.fromkeys(extractor_names)]
    table = measure(run, extractors, names, reference)
    labels = {arm.name: arm.label for arm in run.arms()}
    for extractor in dict.fromkeys(table["extractor"]):
        click.echo(format_table(table[table["extractor"] == extractor], labels))
    click.echo(f"Written to {run.metrics_path}; per sample to {run.scores_path.name}.")


def format_table(table: pd.DataFrame, labels: dict[str, str]) -> str:
    """One extractor's rows of `metrics.csv` for reading in a terminal.

    Arms down, metrics across in as many blocks as the width needs, each value with its interval;
    then what the values are compared with and what to doubt.

    Args:
        table: rows of one extractor, in the file's columns.
        labels: arm's name -> what to print.
    """
    arms, metrics = list(dict.fromkeys(table["arm"])), list(dict.fromkeys(table["metric"]))
    rows = {(row.arm, row.metric): row for row in table.itertuples()}
    names = [labels.get(arm, arm) for arm in arms]
    first = max(len(name) for name in names)
    columns = []
    for metric in metrics:
        decimals = _decimals(_of(table, metric))
        shown = [rows.get((arm, metric)) for arm in arms]
        cells = [_cell(row, decimals) if row is not None else "" for row in shown]
        columns.append(_aligned([metric, *cells]))
    counts = sorted(set(table.loc[table["n"] > 0, "n"]))
    n = f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]}"
    level = f"{table['level'].iloc[0]:.0%}"
    lines = [f"{table['extractor'].iloc[0]}: value [{level} interval], {n} images an arm", ""]
    for block in _blocks(columns, WIDTH - first):
        for i, name in enumerate(["", *names]):
            cells = "  ".join(column[i] for column in block)
            lines.append(f"{name:<{first}}  {cells}".rstrip())
        lines.append("")
    for reference in sorted(set(table["reference"]) - {""}):
        compared = [m for m in metrics if reference in set(_of(table, m)["reference"])]
        lines.append(f"{', '.join(compared)}: against {reference}.")
    lines += _notes(table, metrics, labels)
    return "\n".join(lines) + "\n"


def _notes(table: pd.DataFrame, metrics: list[str], labels: dict[str, str]) -> list[str]:
    """Each note once, with the metric and, where it is not all of them, the arms it is about."""
    lines = []
    for metric in metrics:
        rows = _of(table, metric)
        for note in dict.fromkeys(rows["note"]):
            if not note:
                continue
            about = rows.loc[rows["note"] == note, "arm"]
            some = ", ".join(labels.get(arm, arm) for arm in about)
            where = "" if len(about) == len(rows) else f" ({some})"
            lines.append(f"{metric}{where}: {note}.")
    return lines


def _of(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    return table[table["metric"] == metric]


def _decimals(rows: pd.DataFrame) -> int:
    """As many as the metric's typical interval makes worth reading: two digits of its half."""
    half = float(((rows["ci_high"] - rows["ci_low"]) / 2).median())
    return min(4, max(0, 1 - math.floor(math.log10(half)))) if half > 0 else 3


def _cell(row: Any, decimals: int) -> str:
    """`12.3 [11.0, 13.6]`."""
    if math.isnan(row.value):
        return "undefined"
    if math.isnan(row.ci_low):
        return f"{row.value:.{decimals}f} [none]"
    return f"{row.value:.{decimals}f} [{row.ci_low:.{decimals}f}, {row.ci_high:.{decimals}f}]"


def _aligned(cells: list[str]) -> list[str]:
    width = max(len(cell) for cell in cells)
    return [cell.rjust(width) for cell in cells]


def _blocks(columns: list[list[str]], width: int) -> list[list[list[str]]]:
    blocks: list[list[list[str]]] = [[]]
    for column in columns:
        used = sum(len(c[0]) + 2 for c in blocks[-1])
        if blocks[-1] and used + len(column[0]) + 2 > width:
            blocks.append([])
        blocks[-1].append(column)
    return blocks


def _listed(paths: list[Path]) -> str:
    shown = ", ".join(path.name for path in paths[:3])
    return shown if len(paths) <= 3 else f"{shown} and {len(paths) - 3} more"
