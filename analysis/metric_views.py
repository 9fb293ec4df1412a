"""The metrics table as the page shows it: a column a metric and extractor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from .contents import Contents
from .tables import metric_columns, metric_parts
from .tradeoff import metric_info
from .wording import rows_of

COLUMNS = 9  # metrics side by side; more go below


def metric_view(contents: Contents) -> dict[str, Any] | None:
    """Blocks of columns, how many images stand behind them, and notes; None without metrics."""
    metrics = contents.inputs.metrics
    if metrics is None or metrics.empty:
        return None
    columns = metric_columns(metrics)
    blocks = [columns[start : start + COLUMNS] for start in range(0, len(columns), COLUMNS)]
    one = len({extractor for _, extractor in columns}) == 1
    counts = metrics["n"].dropna().astype(int)
    samples = ""
    if len(counts):
        several = f"{counts.min():,} to {counts.max():,}"
        each = f"{counts.min():,}" if counts.min() == counts.max() else several
        samples = f"Each value is of n = {each} images"
        samples += f", measured by {columns[0][1]}." if one and columns[0][1] else "."
    return {
        "blocks": [_block(metrics, contents, block, one) for block in blocks],
        "samples": samples,
        "notes": list(_metric_notes(metrics, contents.labels)),
    }


def _block(
    metrics: pd.DataFrame, contents: Contents, columns: list[tuple[str, str]], one: bool
) -> dict[str, Any]:
    return {
        "columns": [
            {
                "label": f"{metric_info(metric).label} {metric_info(metric).arrow}",
                "extractor": "" if one else extractor,
            }
            for metric, extractor in columns
        ],
        "rows": [
            {"label": arm.label, "strategy": arm.strategy,
             "cells": [_metric_cell(metrics, arm.name, *column) for column in columns]}
            for arm in rows_of(contents.inputs.arms)
        ],
    }  # fmt: skip


def _metric_cell(metrics: pd.DataFrame, arm: str, metric: str, extractor: str) -> dict[str, Any]:
    column = metrics[(metrics["metric"] == metric) & (metrics["extractor"] == extractor)]
    found = column[column["arm"] == arm]
    if found.empty:
        return {"value": "–", "bounds": "", "best": False}
    info = metric_info(metric)
    row = found.iloc[0]
    value, interval = metric_parts(row, info.decimals)
    best = column["value"].min() if info.better == "lower" else column["value"].max()
    return {"value": value, "bounds": interval, "best": len(column) > 1 and row["value"] == best}


def _metric_notes(metrics: pd.DataFrame, labels: dict[str, str]) -> Iterator[str]:
    """Each note of the metrics table once, with what it is about."""
    noted = metrics[metrics["note"] != ""]
    for note, rows in noted.groupby("note", sort=False):
        about = []
        for metric, of_metric in rows.groupby("metric", sort=False):
            everywhere = len(of_metric) == (metrics["metric"] == metric).sum()
            arms = "" if everywhere else " of " + ", ".join(labels[a] for a in of_metric["arm"])
            about.append(metric_info(str(metric)).label + arms)
        yield f"{'; '.join(about)}: {note}"
