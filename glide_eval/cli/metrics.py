"""`glide-eval metrics`: measure runs, or plain folders of images, and print tables."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glide_eval.errors import UsageError
from glide_eval.files import RunFolder, Share, write_text

from .devices import device_option
from .metric_table import (
    comparable_tables,
    format_differences,
    format_table,
    terminal_width,
    wrapped,
)
from .shares import on_option, require_on, shard_option, share_of, workers_option

if TYPE_CHECKING:
    from glide_eval.extractors import Extractor
    from glide_eval.features import Unreadable
    from glide_eval.measure import DifferenceRow, FileScore, MetricRow
    from glide_eval.references import NamedReferences

FOR_RUNS, FOR_FOLDERS = "tabletop", "inception-clean"  # extractors where none is named
SHOWN = 20  # files not used, on the screen; --json has them all

STANDARD_OUTPUT = Path("-")
PATH = click.Path(path_type=Path)


@dataclass(frozen=True)
class _Request:
    """The options, as they were given."""

    extractors: tuple[str, ...]
    metrics: list[str] | None
    references: tuple[Path, ...]
    captions: Path | None
    crop: bool
    skip_corrupt: bool
    baseline: str | None
    pairs: tuple[tuple[str, str], ...]
    is_splits: int
    device: str
    share: Share | None
    on: str | None
    workers: int | None


@dataclass(frozen=True)
class _Result:
    """What is printed and written."""

    rows: list[MetricRow]
    differences: list[DifferenceRow]
    labels: dict[str, str]
    facts: dict[str, dict[str, str]]
    current: list[str]
    notes: list[str]
    not_used: list[Unreadable[Path]]
    scores: Sequence[FileScore] = ()


@click.command()
@click.argument("run_dirs", metavar="[RUN]...", nargs=-1, type=PATH)
@click.option(
    "--fake",
    "fakes",
    metavar="DIR|FILE",
    multiple=True,
    type=PATH,
    help="Measure this folder of images, without any run, or a .zip, .npz (`arr_0`) or .npy of "
    "images; repeat for several.",
)
@click.option(
    "--real",
    "--reference",
    "references",
    metavar="DIR|FILE",
    multiple=True,
    type=PATH,
    help="Real images to compare with: a folder, a .zip, .npz (`arr_0`) or .npy of images, "
    "statistics (.npz with `mu` and `sigma`), or a file that `reference build` wrote; repeat for "
    "files of several extractors.  [default, for runs: rendered tabletop scenes]",
)
@click.option(
    "--extractor",
    "extractors",
    metavar="NAME",
    multiple=True,
    help="Who looks at the images; repeat for several in one pass.  "
    f"[default: {FOR_RUNS} for runs, {FOR_FOLDERS} for folders]",
)
@click.option(
    "--metrics",
    "metric_list",
    metavar="NAME,...",
    help="Measure only these, e.g. fid,clip_score.  [default: all the extractor can give]",
)
@click.option(
    "--captions",
    metavar="FILE",
    type=PATH,
    help="With --fake: .csv or .jsonl with columns `file` and `caption`; `embedded` reads the "
    "prompts that Automatic1111, ComfyUI, EXIF or XMP left in the images.  "
    "[default: captions.csv in the folder, or a text file beside each image]",
)
@click.option(
    "--crop", is_flag=True, help="With --fake: cut every image to its central square first."
)
@click.option(
    "--skip-corrupt",
    is_flag=True,
    help="Leave out files that can't be read, and list them; else they are an error.",
)
@click.option(
    "--baseline",
    metavar="ARM",
    help="Of RUN: compare the other arms with this one.  [default: the unguided arm, or the first]",
)
@click.option(
    "--pair",
    "pairs",
    metavar="ARM ARM",
    nargs=2,
    multiple=True,
    help="Of RUN: also compare the first of these arms with the second.",
)
@click.option("--no-measure", is_flag=True, help="Only print what was measured before in RUN.")
@click.option(
    "--csv",
    "csv_out",
    metavar="OUT",
    type=PATH,
    help="Write the values as CSV, too; `-` is standard output, alone.",
)
@click.option(
    "--json",
    "json_out",
    metavar="OUT",
    type=PATH,
    help="Write values, notes and files not used as JSON, too; `-` is standard output, alone.",
)
@click.option("--quiet", is_flag=True, help="Print no tables.")
@click.option(
    "--is-splits",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Parts that the Inception Score divides the images into, at random from a fixed seed.",
)
@device_option(" The tabletop extractor runs on the CPU.")
@shard_option
@on_option
@workers_option
def command(
    run_dirs: tuple[Path, ...],
    fakes: tuple[Path, ...],
    references: tuple[Path, ...],
    extractors: tuple[str, ...],
    metric_list: str | None,
    captions: Path | None,
    crop: bool,
    skip_corrupt: bool,
    baseline: str | None,
    pairs: tuple[tuple[str, str], ...],
    no_measure: bool,
    csv_out: Path | None,
    json_out: Path | None,
    quiet: bool,
    is_splits: int,
    device: str,
    shard: str | None,
    on: str | None,
    workers: int | None,
) -> None:
    """Measure finished sweeps, or plain folders: FID, IS, precision/recall, CLIP score and more.

    \b
    glide-eval metrics RUN                         every arm of a run
    glide-eval metrics RUN1 RUN2                   arms of several runs, side by side
    glide-eval metrics --real DIR --fake DIR       images from anywhere

    Of RUN, writes metrics.csv, metrics.parquet, scores.csv and differences.csv (each arm less the
    baseline) into it; what was measured before by another extractor, or by other metrics, stays.
    Features are kept, so a second time is quick.
    Values that can't be compared are printed in tables apart, with the reason.
    """  # noqa: D301 - click's mark of a block not to be wrapped
    request = _Request(
        extractors, _names(metric_list), references, captions, crop, skip_corrupt, baseline, pairs,
        is_splits, device, None if fakes or no_measure or on is not None else share_of(shard), on,
        workers,
    )  # fmt: skip
    _require_fit(run_dirs, fakes, request, no_measure=no_measure)
    runs = [RunFolder.open(path) for path in dict.fromkeys(run_dirs)]
    # Everything below needs NumPy or torch, so mistakes above fail at once.
    if fakes:
        result = _measure_folders(fakes, request)
    else:
        try:
            result = _print_runs(runs) if no_measure else _measure_runs(runs, request)
        except _OthersWorkError as others:
            click.echo(str(others))
            return
    alone = quiet or STANDARD_OUTPUT in (csv_out, json_out)
    if not alone:
        _show(result)
    if csv_out is not None:
        from glide_eval.files import to_csv
        from glide_eval.measure import MetricRow

        _write(csv_out, to_csv(MetricRow, result.rows))
    if json_out is not None:
        _write(json_out, _as_json(result))
    for run in runs if not (no_measure or alone) else ():
        click.echo(
            f"Written to {run.metrics_path}; per sample to {run.scores_path.name}, differences to "
            "differences.csv."
        )


def _require_fit(
    run_dirs: Sequence[Path], fakes: Sequence[Path], request: _Request, *, no_measure: bool
) -> None:
    """Refuse options that don't go together."""
    if bool(run_dirs) == bool(fakes):
        raise UsageError(
            "Name either runs or --fake folders: `glide-eval metrics RUN`, or `glide-eval metrics "
            "--real DIR --fake DIR`."
        )
    if fakes and no_measure:
        raise UsageError("--no-measure prints what lies in a run: name a run, not --fake.")
    if (fakes or len(run_dirs) > 1) and (request.baseline or request.pairs):
        raise UsageError("--baseline and --pair name arms of one run: name one run.")
    if run_dirs and (request.captions or request.crop):
        raise UsageError("--captions and --crop go with --fake: a run has captions and squares.")
    if request.on is not None and (fakes or no_measure):
        raise UsageError("--on looks at the images of runs: name a run, without --no-measure.")
    require_on(request.on, request.workers)


class _OthersWorkError(Exception):
    """The values wait for other tasks; ours is done."""

    def __init__(self, share: Share | None, runs: Sequence[RunFolder]) -> None:
        names = ", ".join(str(run.root) for run in runs)
        super().__init__(
            f"Task {share} has looked at its images. The last task in measures; others are left "
            f"in {names}."
        )


def _write(out: Path, text: str) -> None:
    if out == STANDARD_OUTPUT:
        click.echo(text, nl=False)
    else:
        write_text(out, text)


def _names(metric_list: str | None) -> list[str] | None:
    if metric_list is None:
        return None
    names = [name.strip() for name in metric_list.split(",") if name.strip()]
    if not names:
        raise UsageError("--metrics names no metric; for example --metrics fid,clip_score.")
    return names


def _load(request: _Request, default: str) -> list[Extractor]:
    from glide_eval.extractors import load_extractor

    names = dict.fromkeys(request.extractors or (default,))
    return [load_extractor(name, request.device) for name in names]


def _named(request: _Request, extractors: Sequence[Extractor], crop: str) -> NamedReferences:
    from glide_eval.references import NamedReferences

    return NamedReferences(
        request.references, extractors, crop=crop, skip_unreadable=request.skip_corrupt
    )


def _measure_folders(fakes: Sequence[Path], request: _Request) -> _Result:
    from glide_eval.features import SQUARE
    from glide_eval.files import holds_pictures, unpacked
    from glide_eval.measure import measure_folders

    fakes = [unpacked(path) if holds_pictures(path) else path for path in fakes]
    extractors = _load(request, FOR_FOLDERS)
    named = _named(request, extractors, SQUARE if request.crop else "")
    real = named.folder if len(request.references) == 1 and named.folder else named
    measured = measure_folders(
        fakes,
        real if request.references else None,
        extractors,
        request.metrics,
        captions=request.captions,
        crop=request.crop,
        skip_unreadable=request.skip_corrupt,
        is_splits=request.is_splits,
    )
    return _Result(
        measured.rows,
        measured.differences,
        {},
        measured.facts,
        list(measured.facts),
        measured.notes,
        measured.not_used,
        measured.scores,
    )


def _measure_runs(runs: Sequence[RunFolder], request: _Request) -> _Result:
    from glide_eval.features import SQUARE, look_on_ray
    from glide_eval.files import list_images
    from glide_eval.measure import measure, not_images, read_differences
    from glide_eval.references import tabletop_reference

    extractors = _load(request, FOR_RUNS)
    named = _named(request, extractors, SQUARE) if request.references else None
    if request.on is not None:
        look_on_ray(partial(_load, request, FOR_RUNS), runs, request.on, request.workers)
    left: list[RunFolder] = []
    for run in runs:
        rows = measure(
            run,
            extractors,
            request.metrics,
            named or tabletop_reference,
            baseline=request.baseline,
            pairs=request.pairs,
            is_splits=request.is_splits,
            share=request.share,
        )
        if rows is None:
            left.append(run)
    if left:
        raise _OthersWorkError(request.share, left)
    not_used: list[Unreadable[Path]] = []
    if named is not None and named.folder is not None and named.seen is not None:
        not_used = not_images(list_images(named.folder)) + named.seen.left_out
    result = _of_runs(runs, [extractor.fingerprint for extractor in extractors], not_used)
    if request.baseline or request.pairs:
        result.differences.extend(read_differences(runs[0]))
    return result


def _print_runs(runs: Sequence[RunFolder]) -> _Result:
    from glide_eval.measure import read_rows

    for run in runs:
        if not read_rows(run):
            raise UsageError(f"Nothing was measured in {run.root} so far: leave out --no-measure.")
    return _of_runs(runs, [], [])


def _of_runs(
    runs: Sequence[RunFolder], current: list[str], not_used: list[Unreadable[Path]]
) -> _Result:
    """All rows of the runs; where there are several, an arm carries its run's name."""
    from glide_eval.measure import known_facts, read_rows

    rows: list[MetricRow] = []
    labels: dict[str, str] = {}
    facts: dict[str, dict[str, str]] = {}
    for run, name in zip(runs, _run_names(runs), strict=True):
        before = f"{name}: " if len(runs) > 1 else ""
        rows += [dataclasses.replace(row, arm=before + row.arm) for row in read_rows(run)]
        labels |= {before + arm.name: before + arm.label for arm in run.arms()}
        facts |= known_facts(run)
    return _Result(rows, [], labels, facts, current, _prompt_notes(runs), not_used)


def _run_names(runs: Sequence[RunFolder]) -> list[str]:
    names = [run.root.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.root) for run in runs]


def _prompt_notes(runs: Sequence[RunFolder]) -> list[str]:
    digests = {run.provenance().get("identity", {}).get("prompts.sha256") for run in runs}
    if len(digests - {None}) < 2:
        return []
    return ["The runs have different prompts, so their arms differ by these too."]


def _show(result: _Result) -> None:
    width = terminal_width()
    for table in comparable_tables(result.rows, result.facts, result.current):
        if table.apart:
            extractor = table.rows[0].extractor
            text = f"Not comparable with the values of {extractor} above: {table.apart}."
            click.echo("\n".join(wrapped(text, width)))
        click.echo(format_table(table.rows, result.labels, width))
        gaps = [gap for gap in result.differences if _belongs(gap, table.rows)]
        if gaps:
            click.echo(format_differences(gaps, result.labels, width))
    for note in result.notes:
        click.echo("\n".join(wrapped(f"Note: {note}", width)))
    if result.not_used:
        click.echo(f"Files not used ({len(result.not_used):,}):", err=True)
        for file in result.not_used[:SHOWN]:
            text = file.reason if str(file.item) in file.reason else f"{file.item}: {file.reason}"
            click.echo(f"  {text}", err=True)
        if len(result.not_used) > SHOWN:
            click.echo(f"  and {len(result.not_used) - SHOWN:,} more (--json lists all)", err=True)


def _belongs(gap: DifferenceRow, rows: Sequence[MetricRow]) -> bool:
    """Whether a difference is of values in this table."""
    return any(
        (row.arm, row.metric, row.fingerprint, row.reference)
        == (gap.arm, gap.metric, gap.fingerprint, gap.reference)
        for row in rows
    )


def _as_json(result: _Result) -> str:
    def plain(value: Any) -> Any:
        return None if isinstance(value, float) and math.isnan(value) else value

    def plainly(rows: Sequence[MetricRow] | Sequence[DifferenceRow]) -> list[dict[str, Any]]:
        return [{key: plain(v) for key, v in dataclasses.asdict(row).items()} for row in rows]

    content = {
        "values": plainly(result.rows),
        "differences": plainly(result.differences),
        "extractors": result.facts,
        "scores": [dataclasses.asdict(score) for score in result.scores],
        "notes": result.notes,
        "not_used": [{"file": str(f.item), "reason": f.reason} for f in result.not_used],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
