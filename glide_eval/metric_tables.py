"""`metrics.csv`, `metrics.parquet` and `scores.csv` of a run: columns, merging, writing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from .metrics.registry import METRICS
from .run_store import RunFolder, replacing

METRIC_COLUMNS = {
    "arm": str, "metric": str, "value": float, "ci_low": float, "ci_high": float, "n": int,
    "extractor": str, "note": str, "level": float, "method": str, "fingerprint": str,
    "reference": str, "images": str,
}  # fmt: skip
SCORE_COLUMNS = {
    "arm": str, "prompt_id": str, "replica": int, "metric": str, "value": float, "extractor": str,
    "fingerprint": str, "images": str,
}  # fmt: skip


@dataclass(frozen=True)
class NewRows:
    """What a measuring pass adds.

    Attributes:
        metrics: rows of `METRIC_COLUMNS`.
        scores: rows of `SCORE_COLUMNS`.
    """

    metrics: list[tuple]
    scores: list[tuple]


def write_tables(
    run: RunFolder,
    new: NewRows,
    measured: set[tuple[str, str]],
    fingerprints: Mapping[str, str],
    images: Mapping[str, str],
) -> pd.DataFrame:
    """Add rows to a run's tables and replace the files, each atomically.

    An earlier row stays if it was not measured anew, is of the same images and captions, and is
    not of an extractor that has changed since.

    Args:
        run: where the files lie.
        new: what was measured.
        measured: (metric, extractor) that `new` replaces, rows or not.
        fingerprints: the extractors that measured, by name.
        images: digest of each arm's images, in the run's order of arms.

    Returns:
        The whole of `metrics.csv`.

    Raises:
        StorageError: the disk is full, read-only or gone; files not yet replaced are as they were.
    """
    arms = list(images)

    def merged(path: Path, columns: dict[str, type], rows: list[tuple]) -> pd.DataFrame:
        old = _read(path, columns)
        current = old["extractor"].map(dict(fingerprints)).fillna(old["fingerprint"])
        same = old["images"] == old["arm"].map(dict(images))
        keys = zip(old["metric"], old["extractor"], strict=True)
        kept = old[
            same
            & (old["fingerprint"] == current)
            & pd.Series([key not in measured for key in keys], dtype=bool)
        ]
        return _ordered(_joined(kept, _frame(rows, columns)), arms)

    table = merged(run.metrics_path, METRIC_COLUMNS, new.metrics)
    scores = merged(run.scores_path, SCORE_COLUMNS, new.scores)
    with replacing(run.scores_path) as path:
        scores.to_csv(path, index=False, lineterminator="\n")
    with replacing(run.metrics_path.with_suffix(".parquet")) as path:
        table.to_parquet(path, index=False)
    with replacing(run.metrics_path) as path:
        table.to_csv(path, index=False, lineterminator="\n")
    return table


def _read(path: Path, columns: dict[str, type]) -> pd.DataFrame:
    """An earlier table; empty where there is none, or none of ours."""
    text = [name for name, kind in columns.items() if kind is str]
    try:
        found = pd.read_csv(
            path, dtype=columns, keep_default_na=False,
            na_values={name: [""] for name in columns if name not in text},
        )  # fmt: skip
    except (OSError, ValueError):
        found = pd.DataFrame()
    if list(found.columns) != list(columns) or not found["metric"].isin(METRICS).all():
        return _frame([], columns)
    return found


def _ordered(table: pd.DataFrame, arms: list[str]) -> pd.DataFrame:
    """By extractor, then arm and metric as a reader expects them, then as given."""
    metrics = list(METRICS)
    ranks = pd.DataFrame(
        {
            "extractor": table["extractor"],
            "arm": table["arm"].map(arms.index),
            "metric": table["metric"].map(metrics.index),
        }
    )
    order = ranks.sort_values(["extractor", "arm", "metric"], kind="stable").index
    return table.loc[order].reset_index(drop=True)


def _joined(kept: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    parts = [part for part in (kept, new) if len(part)]  # pandas warns about empty ones
    return pd.concat(parts, ignore_index=True) if parts else new


def _frame(rows: list[tuple], columns: dict[str, type]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)
