"""`metrics.csv`, `metrics.parquet`, `scores.csv`, `differences.csv`: rows, merging, writing."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from glide_eval.files import RunFolder, replacing, write_text
from glide_eval.metrics import METRICS


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A row of `metrics.csv`: one metric of one arm by one extractor.

    Attributes:
        arm: the arm's name.
        metric: as in `METRICS`.
        value: NaN (an empty field) where undefined; `note` says why.
        ci_low: lower bound of the interval, NaN where there is none.
        ci_high: upper bound.
        n: images the value was computed from.
        extractor: the extractor's name.
        note: why a value or interval is missing or should be doubted; else empty.
        level: nominal coverage of the interval.
        method: how the interval was made.
        fingerprint: the extractor's; values of different ones are not comparable.
        reference: what it was compared with, and a digest of that; empty if with nothing.
        images: digest of the arm's images and captions.
    """

    arm: str
    metric: str
    value: float
    ci_low: float
    ci_high: float
    n: int
    extractor: str
    note: str
    level: float
    method: str
    fingerprint: str
    reference: str
    images: str


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A row of `scores.csv`: one metric of one sample by one extractor.

    Attributes:
        arm: the arm's name.
        prompt_id: the sample's prompt.
        replica: the sample's replica.
        metric: as in `METRICS`.
        value: finite; samples for which it is undefined have no row.
        extractor: the extractor's name.
        fingerprint: the extractor's.
        images: digest of the arm's images and captions.
    """

    arm: str
    prompt_id: str
    replica: int
    metric: str
    value: float
    extractor: str
    fingerprint: str
    images: str


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """A row of `differences.csv`: one metric of an arm less the same of a baseline.

    Attributes:
        arm: the arm's name.
        baseline: the arm subtracted.
        metric: as in `METRICS`.
        difference: NaN (an empty field) where undefined; `note` says why.
        ci_low: lower bound of the interval, NaN where there is none.
        ci_high: upper bound.
        n: images with a partner of the same prompt and replica in the other arm.
        extractor: the extractor's name.
        note: why a value or interval is missing or should be doubted; else empty.
        level: nominal coverage of the interval.
        method: how the interval was made.
        fingerprint: the extractor's.
        reference: as in `MetricRow`.
        images: digests of both arms' images and captions.
    """

    arm: str
    baseline: str
    metric: str
    difference: float
    ci_low: float
    ci_high: float
    n: int
    extractor: str
    note: str
    level: float
    method: str
    fingerprint: str
    reference: str
    images: str


FACTS_FILE = "extractors.json"
DIFFERENCES_FILE = "differences.csv"
Row = TypeVar("Row", MetricRow, ScoreRow, DifferenceRow)
_CONVERT = {"str": str, "int": int, "float": lambda field: float(field or "nan")}


@dataclass(frozen=True)
class Pass:
    """What one measuring pass found.

    Attributes:
        metrics: a row for each arm, metric and extractor.
        scores: a row for each sample, metric and extractor.
        differences: a row for each pair of arms, metric and extractor.
        measured: every (metric, extractor) of the pass, with rows or without.
        facts: of the extractors that measured, by fingerprint.
        images: digest of each arm's images, in the run's order of arms.
    """

    metrics: list[MetricRow]
    scores: list[ScoreRow]
    differences: list[DifferenceRow]
    measured: set[tuple[str, str]]
    facts: Mapping[str, Mapping[str, str]]
    images: Mapping[str, str]


def add_pass(run: RunFolder, new: Pass) -> list[MetricRow]:
    """Add a pass to a run's tables and replace the files, each atomically.

    An earlier row stays if it was not measured anew and is of the same images and captions. One of
    an extractor that has changed since keeps its fingerprint, which tells it from the new ones.

    Returns:
        The whole of `metrics.csv`.

    Raises:
        StorageError: the disk is full, read-only or gone; files not yet replaced are as they were.
    """
    import pandas as pd  # a second to import, and only parquet needs it

    rows = _merged(read_rows(run), new.metrics, new)
    scores = _merged(_read(run.scores_path, ScoreRow), new.scores, new)
    facts = {**known_facts(run), **{key: dict(said) for key, said in new.facts.items()}}
    write_text(run.root / FACTS_FILE, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    _write(run.scores_path, ScoreRow, scores)
    differences = _merged(read_differences(run), new.differences, new)
    _write(run.root / DIFFERENCES_FILE, DifferenceRow, differences)
    names = [field.name for field in dataclasses.fields(MetricRow)]
    with replacing(run.metrics_path.with_suffix(".parquet")) as path:
        pd.DataFrame(rows, columns=pd.Index(names)).to_parquet(path, index=False)
    _write(run.metrics_path, MetricRow, rows)
    return rows


def read_rows(run: RunFolder) -> list[MetricRow]:
    """The rows of `metrics.csv`; none where there is no such file, or one of another origin."""
    return _read(run.metrics_path, MetricRow)


def read_differences(run: RunFolder) -> list[DifferenceRow]:
    """The rows of `differences.csv`; none where there is no such file, or one of another origin."""
    return _read(run.root / DIFFERENCES_FILE, DifferenceRow)


def known_facts(run: RunFolder) -> dict[str, dict[str, str]]:
    """What each fingerprint in the run's tables stands for, as far as it was recorded."""
    try:
        facts = json.loads((run.root / FACTS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def rows_csv(kind: type[Row], rows: Sequence[Row]) -> str:
    """Rows as CSV with a header; NaN is an empty field."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in dataclasses.fields(kind))
    for row in rows:
        values = dataclasses.astuple(row)
        writer.writerow("" if isinstance(v, float) and math.isnan(v) else v for v in values)
    return text.getvalue()


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
    """An earlier table; empty where there is none, or none of ours."""
    fields = dataclasses.fields(kind)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = csv.DictReader(file, strict=True)
            if lines.fieldnames != [field.name for field in fields]:
                return []
            rows = [kind(**{f.name: _CONVERT[str(f.type)](line[f.name]) for f in fields})
                    for line in lines]  # fmt: skip
    except (OSError, ValueError, TypeError, csv.Error):
        return []
    return rows if all(row.metric in METRICS for row in rows) else []


def _write(path: Path, kind: type[Row], rows: Sequence[Row]) -> None:
    write_text(path, rows_csv(kind, rows))
