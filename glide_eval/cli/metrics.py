"""`glide-eval metrics RUN`: measure a run and print the table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from glide_eval.errors import UsageError
from glide_eval.run_store import RunFolder

if TYPE_CHECKING:
    from glide_eval.metric_tables import MetricRow

EXTRACTORS = (
    "tabletop",
    "inception-clean",
    "inception-legacy-tensorflow",
    "inception-legacy-pytorch",
    "inception-torchmetrics",
    "inception-torch-fidelity",
    "clip-vit-b-16",
    "clip-vit-l-14-336",
    "dinov2-vit-s-14",
    "dinov2-vit-b-14",
    "dinov2-vit-l-14",
    "dinov2-vit-g-14",
)
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
    # Everything below needs NumPy or torch, so mistakes above fail at once.
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
    rows = measure(run, extractors, names, reference)
    labels = {arm.name: arm.label for arm in run.arms()}
    for extractor in dict.fromkeys(row.extractor for row in rows):
        click.echo(format_table([row for row in rows if row.extractor == extractor], labels))
    click.echo(f"Written to {run.metrics_path}; per sample to {run.scores_path.name}.")


def format_table(rows: Sequence[MetricRow], labels: dict[str, str]) -> str:
    """One extractor's rows of `metrics.csv` for reading in a terminal.

    Arms down, metrics across in as many blocks as the width needs, each value with its interval;
    then what the values are compared with and what to doubt.

    Args:
        rows: of one extractor, at least one.
        labels: arm's name -> what to print.
    """
    arms = list(dict.fromkeys(row.arm for row in rows))
    by_metric: dict[str, dict[str, MetricRow]] = {}
    for row in rows:
        by_metric.setdefault(row.metric, {})[row.arm] = row
    columns = [_column(metric, arms, found) for metric, found in by_metric.items()]
    names = ["", *(labels.get(arm, arm) for arm in arms)]
    first = max(len(name) for name in names)
    counts = sorted({row.n for row in rows if row.n})
    n = " to ".join(str(count) for count in dict.fromkeys([*counts[:1], *counts[-1:]])) or "0"
    title = f"{rows[0].extractor}: value [{rows[0].level:.0%} interval], n = {n} images an arm"
    lines = [title, ""]
    for block in _blocks(columns, WIDTH - first):
        for i, name in enumerate(names):
            lines.append("  ".join([name.ljust(first), *(column[i] for column in block)]).rstrip())
        lines.append("")
    for reference in sorted({row.reference for row in rows} - {""}):
        compared = dict.fromkeys(row.metric for row in rows if row.reference == reference)
        lines.append(f"{', '.join(compared)}: against {reference}.")
    for metric, found in by_metric.items():
        lines += _notes(metric, list(found.values()), labels)
    return "\n".join(lines) + "\n"


def _notes(metric: str, rows: list[MetricRow], labels: dict[str, str]) -> list[str]:
    """Each note once, with the arms it is about where that is not all of them."""
    lines = []
    for note in dict.fromkeys(row.note for row in rows if row.note):
        about = [labels.get(row.arm, row.arm) for row in rows if row.note == note]
        where = "" if len(about) == len(rows) else f" ({', '.join(about)})"
        lines.append(f"{metric}{where}: {note}.")
    return lines


def _column(metric: str, arms: list[str], found: dict[str, MetricRow]) -> list[str]:
    """The metric's name and each arm's value, as wide as the widest."""
    widths = [row.ci_high - row.ci_low for row in found.values()]
    half = statistics.median([w for w in widths if w > 0] or [0.1]) / 2
    # Two digits of the typical half-width are as many as are worth reading.
    decimals = min(4, max(0, 1 - math.floor(math.log10(half))))
    cells = [metric, *(_cell(found.get(arm), decimals) for arm in arms)]
    width = max(len(cell) for cell in cells)
    return [cell.rjust(width) for cell in cells]


def _cell(row: MetricRow | None, decimals: int) -> str:
    """`12.3 [11.0, 13.6]`."""
    if row is None:
        return ""
    if math.isnan(row.value):
        return "undefined"
    if math.isnan(row.ci_low):
        return f"{row.value:.{decimals}f} [none]"
    return f"{row.value:.{decimals}f} [{row.ci_low:.{decimals}f}, {row.ci_high:.{decimals}f}]"


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
