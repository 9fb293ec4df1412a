"""Which metrics of which arms: one pass over a run or over folders, and its tables."""

from __future__ import annotations

from .folders import FileScore, measure_folders, not_images
from .run import measure
from .tables import (
    DifferenceRow,
    MetricRow,
    ScoreRow,
    known_facts,
    read_differences,
    read_rows,
    tables_described,
)

__all__ = [
    "DifferenceRow",
    "FileScore",
    "MetricRow",
    "ScoreRow",
    "known_facts",
    "measure",
    "measure_folders",
    "not_images",
    "read_differences",
    "read_rows",
    "tables_described",
]
