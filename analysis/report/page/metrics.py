"""The metrics table as the page shows it: one column per metric and extractor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pandas as pd

from analysis.ballots import rows_of
from analysis.metrics import metric_info
from analysis.report.inputs import defined
from analysis.report.tables.printed import column_decimals, metric_columns, metric_parts

_NUMBER = r"\d[\d,]*(?:\.\d+)?"
COLUMNS = 8  # metrics side by side; more go below
MISSING = {"value": "–", "bounds": "", "best": False}


def metric_view(metrics: pd.DataFrame | None, arms: pd.DataFrame) -> dict[str, Any] | None:
    """Return blocks of columns, how many images stand behind them, and notes; None without metrics.

    Args:
        metrics: `ReportInputs.metrics`.
        arms: name, label and strategy of the rows, in their order.
    """
    if metrics is None or metrics.empty:
        return None
    columns = metric_columns(metrics)
    count = -(-len(columns) // COLUMNS) or 1
    size = -(-len(columns) // count) or 1  # blocks of equal width
    blocks = [columns[start : start + size] for start in range(0, len(columns), size)]
    one = len({extractor for _, extractor in columns}) == 1
    counts = defined(metrics)["n"].dropna().astype(int)
    samples = ""
    if len(counts):
        several = f"{counts.min():,} to {counts.max():,}"
        each = f"{counts.min():,}" if counts.min() == counts.max() else several
        samples = f"Each value is of n = {each} images"
        samples += f", measured by {columns[0][1]}." if one and columns[0][1] else "."
    labels = dict(zip(arms["name"], arms["label"], strict=True))
    return {
        "blocks": [_block(metrics, arms, block, one) for block in blocks],
        "samples": samples,
        "notes": list(_metric_notes(metrics, labels)),
    }


def _block(
    metrics: pd.DataFrame, arms: pd.DataFrame, columns: list[tuple[str, str]], one: bool
) -> dict[str, Any]:
    cells = [_metric_cells(metrics, *column) for column in columns]
    return {
        "columns": [
            {
                "label": f"{metric_info(metric).label}\u00a0{metric_info(metric).arrow}",
                "extractor": "" if one else extractor,
            }
            for metric, extractor in columns
        ],
        "rows": [
            {"label": arm.label, "strategy": arm.strategy,
             "cells": [of_column.get(arm.name, MISSING) for of_column in cells]}
            for arm in rows_of(arms)
        ],
    }  # fmt: skip


def _metric_cells(metrics: pd.DataFrame, metric: str, extractor: str) -> dict[str, dict[str, Any]]:
    """Arm → its cell of one column."""
    column = metrics[(metrics["metric"] == metric) & (metrics["extractor"] == extractor)]
    info = metric_info(metric)
    decimals = column_decimals(column, info.decimals)
    best = column["value"].min() if info.better == "lower" else column["value"].max()
    cells: dict[str, dict[str, Any]] = {}
    for row in rows_of(column):
        value, interval = metric_parts(row, decimals)
        first = len(column) > 1 and row.value == best
        cells.setdefault(row.arm, {"value": value, "bounds": interval, "best": first})
    return cells


def _metric_notes(metrics: pd.DataFrame, labels: dict[str, str]) -> Iterator[str]:
    """Yield each note of the metrics table once, with what it is about.

    Notes of one metric that differ in nothing but numbers become one, with the numbers' range.
    """
    noted = metrics[metrics["note"] != ""]
    alike = noted["note"].str.replace(_NUMBER, "#", regex=True)
    merged: dict[str, list[str]] = {}
    for (metric, _), rows in noted.groupby(["metric", alike], sort=False):
        everywhere = len(rows) == (metrics["metric"] == metric).sum()
        arms = "" if everywhere else " of " + ", ".join(labels[a] for a in rows["arm"])
        about = metric_info(str(metric)).label + arms
        merged.setdefault(_ranged(list(rows["note"])), []).append(about)
    for note, about in merged.items():
        yield f"{'; '.join(about)}: {note}"


def _ranged(notes: list[str]) -> str:
    """`about 3.8 too low` and `about 7.6 too low` as `about 3.8 to 7.6 too low`."""
    words = re.split(_NUMBER, notes[0])
    numbers = [re.findall(_NUMBER, note) for note in notes]
    ranges = []
    for found in zip(*numbers, strict=True):
        ordered = sorted(set(found), key=lambda text: float(text.replace(",", "")))
        ranges.append(ordered[0] if len(ordered) == 1 else f"{ordered[0]} to {ordered[-1]}")
    return words[0] + "".join(number + word for number, word in zip(ranges, words[1:], strict=True))
