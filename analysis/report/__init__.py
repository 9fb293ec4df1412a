"""The comparison report: computed once, then written as a page, figures and tables."""

from __future__ import annotations

from .figures.power import power_figure
from .figures.theme import render, spec
from .inputs import METRIC_COLUMNS, SCORE_COLUMNS, ReportInputs
from .strategies import StrategyLook, describe_strategies
from .write import write_report

__all__ = [
    "METRIC_COLUMNS",
    "SCORE_COLUMNS",
    "ReportInputs",
    "StrategyLook",
    "describe_strategies",
    "power_figure",
    "render",
    "spec",
    "write_report",
]
