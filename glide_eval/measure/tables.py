"""`metrics.csv`, `metrics.parquet`, `scores.csv`, `differences.csv`: rows, merging, writing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from glide_eval.errors import RunError
from glide_eval.files import (
    RunFolder,
    Sample,
    column,
    columns,
    described,
    held,
    parse_json,
    read_csv,
    read_whole,
    replacing,
    to_csv,
    write_text,
)
from glide_eval.metrics import METRICS

_REFERENCE = "the real images, with a digest; empty if the metric needs none"
_NOTE = "why a value or interval is missing or unreliable; otherwise empty"


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A row of `metrics.csv`: one metric of one arm by one extractor."""

    arm: str = column("name of the arm")
    metric: str = column("name of the metric")
    value: float = column("the value; empty if undefined, and `note` says why")
    ci_low: float = column("lower bound of the confidence interval; empty if there is none")
    ci_high: float = column("upper bound of the confidence interval; empty if there is none")
    n: int = column("number of images that the value was computed from")
    extractor: str = column("name of the extractor")
    note: str = column(_NOTE)
    level: float = column("nominal coverage of the interval, between 0 and 1")
    method: str = column("how the interval was computed; empty if there is none")
    fingerprint: str = column("fingerprint of the extractor; different ones do not compare")
    reference: str = column(_REFERENCE)
    images: str = column("digest of the arm's images and captions")


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A row of `scores.csv`: one metric of one sample by one extractor."""

    arm: str = column("name of the arm")
    prompt_id: str = column("id of the prompt")
    replica: int = column("replica of the sample")
    metric: str = column("name of the metric")
    value: float = column("the value, always finite; undefined values have no row")
    extractor: str = column("name of the extractor")
    fingerprint: str = column("fingerprint of the extractor; different ones do not compare")
    images: str = column("digest of the arm's images and captions")


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """A row of `differences.csv`: one metric of an arm less the same of a baseline."""

    arm: str = column("name of the arm")
    baseline: str = column("name of the arm that is subtracted")
    metric: str = column("name of the metric")
    difference: float = column("arm minus baseline; empty if undefined, and `note` says why")
    ci_low: float = column("lower bound of the confidence interval; empty if there is none")
    ci_high: float = column("upper bound of the confidence interval; empty if there is none")
    n: int = column("number of images with a partner of equal prompt and replica in the other arm")
    extractor: str = column("name of the extractor")
    note: str = column(_NOTE)
    level: float = column("nominal coverage of the interval, between 0 and 1")
    method: str = column("how the interval was computed; empty if there is none")
    fingerprint: str = column("fingerprint of the extractor; different ones do not compare")
    reference: str = column(_REFERENCE)
    images: str = column("digests of both arms' images and captions")


LOCK = ".lock.tables"  # in a run folder, while its tables are read and replaced
WAIT = 300.0  # seconds for another process to do so
Row = TypeVar("Row", MetricRow, ScoreRow, DifferenceRow)


@dataclass(frozen=True)
class Pass:
    """What one measuring pass found.

    Attributes:
        measured: every (metric, extractor) of the pass, with rows or without.
        facts: of the extractors that measured, by fingerprint.
        images: digest of each arm's images, in the run's order of arms.
        metrics: one row for each arm, metric and extractor.
        scores: one row for each sample, metric and extractor.
        differences: one row for each pair of arms, metric and extractor.
    """

    measured: set[tuple[str, str]]
    facts: Mapping[str, Mapping[str, str]]
    images: Mapping[str, str]
    metrics: list[MetricRow] = field(default_factory=list[MetricRow])
    scores: list[ScoreRow] = field(default_factory=list[ScoreRow])
    differences: list[DifferenceRow] = field(default_factory=list[DifferenceRow])


def add_pass(run: RunFolder, new: Pass) -> list[MetricRow]:
    """Add a pass to a run's tables and replace the files, each atomically.

    An earlier row stays if it was not measured anew and is of the same images and captions. One of
    an extractor that has changed since keeps its fingerprint, which tells it from the new ones.

    Returns:
        The whole of `metrics.csv`.

    Raises:
        RunError: an earlier table is damaged; nothing is changed.
        StorageError: the disk is full, read-only or gone; files not yet replaced are as they were.
    """
    with held(run.root / LOCK, partial(_busy, run), wait=WAIT):
        return _added(run, new)


def _busy(run: RunFolder, who: str) -> RunError:
    return RunError(
        f"{run.root}: its tables have been written by {who} for {WAIT:.0f} s. If that process is "
        "gone, run the command again; features are kept."
    )


def _added(run: RunFolder, new: Pass) -> list[MetricRow]:
    import pandas as pd  # a second to import, and only parquet needs it

    rows = _merged(_earlier(run.metrics_path, MetricRow), new.metrics, new)
    scores = _merged(_earlier(run.scores_path, ScoreRow), new.scores, new)
    differences = _merged(_earlier(run.differences_path, DifferenceRow), new.differences, new)
    facts = {**known_facts(run), **{key: dict(said) for key, said in new.facts.items()}}
    write_text(run.extractors_path, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    _write(run.scores_path, ScoreRow, scores)
    _write(run.differences_path, DifferenceRow, differences)
    with replacing(run.metrics_path.with_suffix(".parquet")) as path:
        pd.DataFrame(rows, columns=pd.Index(columns(MetricRow))).to_parquet(path, index=False)
    # Last, so that whoever finds a new metrics.csv finds the other tables new too.
    _write(run.metrics_path, MetricRow, rows)
    return rows


def require_whole_tables(run: RunFolder) -> None:
    """Read all tables of a run, before work that would replace them.

    Raises:
        RunError: one of them is damaged.
    """
    read_rows(run)
    _read(run.scores_path, ScoreRow)
    read_differences(run)


def read_rows(run: RunFolder) -> list[MetricRow]:
    """The rows of `metrics.csv`; none where there is no such file, or one of another origin.

    Raises:
        RunError: the file is damaged.
    """
    return _read(run.metrics_path, MetricRow)


def read_differences(run: RunFolder) -> list[DifferenceRow]:
    """The rows of `differences.csv`; none where there is no such file, or one of another origin.

    Raises:
        RunError: the file is damaged.
    """
    return _read(run.differences_path, DifferenceRow)


def tables_described() -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Return each table of a run folder with its columns: (file, [(column, type, description)])."""
    kinds = (
        ("manifest.jsonl", Sample),
        ("metrics.csv", MetricRow),
        ("scores.csv", ScoreRow),
        ("differences.csv", DifferenceRow),
    )
    return [(file, described(kind)) for file, kind in kinds]


def known_facts(run: RunFolder) -> dict[str, dict[str, str]]:
    """What each fingerprint in the run's tables stands for, as far as it was recorded."""
    try:
        facts = parse_json(read_whole(run.extractors_path))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _merged(old: list[Row], added: list[Row], new: Pass) -> list[Row]:
    """Rows that still hold and new ones, by extractor, arm and metric."""
    kept = [
        row
        for row in old
        if (row.metric, row.extractor) not in new.measured and row.images == _images(row, new)
    ]
    arms, metrics = list(new.images), list(METRICS)
    return sorted(
        kept + added,
        key=lambda row: (row.extractor, arms.index(row.arm), metrics.index(row.metric)),
    )


def _images(row: MetricRow | ScoreRow | DifferenceRow, new: Pass) -> str | None:
    """What `row.images` is, if it is of the run's images of today."""
    if isinstance(row, DifferenceRow):
        return f"{new.images.get(row.arm)}-{new.images.get(row.baseline)}"
    return new.images.get(row.arm)


def _read(path: Path, kind: type[Row]) -> list[Row]:
    """Return an earlier table; empty where there is none, or none of ours."""
    rows = read_csv(path, kind)
    return rows if rows is not None and all(row.metric in METRICS for row in rows) else []


def _earlier(path: Path, kind: type[Row]) -> list[Row]:
    """Like `_read`, before the file is replaced: a foreign one is kept under another name."""
    rows = _read(path, kind)
    if not rows and path.is_file() and len(path.read_bytes().splitlines()) > 1:
        names = (path.with_name(f"{path.name}.old{n or ''}") for n in range(1000))
        path.replace(next(name for name in names if not name.exists()))
    return rows


def _write(path: Path, kind: type[Row], rows: Sequence[Row]) -> None:
    write_text(path, to_csv(kind, rows))
