"""What is known of metrics by name: how to print them and which direction is better.

Whoever computes a metric describes it once for each process (`describe_metrics`); the command line
hands over the toolkit's catalogue. Where nobody did, as in a notebook, the catalogue is looked up
by its name (`CATALOGUE`), if it is installed: a statistic that needs to know which direction is
better must not get FID wrong. A metric in neither is printed by its own name, and higher is taken
as better.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

CATALOGUE = "glide_eval.metrics"  # a module with `METRICS`: name → record


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """How to print a metric.

    Attributes:
        name: as in tables of metrics.
        label: in tables and on axes.
        better: `higher` or `lower`.
        decimals: digits after the point.
        unit: of its values; empty for a pure number.
        drawn: whether it is drawn against Elo; the table of correlations holds every metric.
    """

    name: str
    label: str
    better: str = "higher"
    decimals: int = 3
    unit: str = ""
    drawn: bool = False

    @property
    def arrow(self) -> str:
        """↑ where higher is better, ↓ where lower is."""
        return "↑" if self.better == "higher" else "↓"


_DESCRIBED: dict[str, MetricInfo] = {}


def describe_metrics(metrics: Iterable[MetricInfo]) -> None:
    """Make metrics known to every table, figure and statistic of this process.

    Args:
        metrics: in the order in which figures show them; a later record replaces an earlier one
            of the same name.

    Examples:
        >>> describe_metrics([MetricInfo("sharpness", "Sharpness", decimals=1)])
        >>> metric_info("sharpness").label
        'Sharpness'
    """
    _DESCRIBED.update((metric.name, metric) for metric in metrics)


def metric_info(metric: str) -> MetricInfo:
    """Return how to print a metric; the module says what is assumed of an unknown one.

    Examples:
        >>> metric_info("my_score").label, metric_info("my_score").better
        ('my score', 'higher')
    """
    if metric not in _DESCRIBED:
        _describe_installed()
    return _DESCRIBED.get(metric) or MetricInfo(metric, metric.replace("_", " "))


def drawn_metrics() -> list[str]:
    """Return the names of the metrics to draw against Elo, in order.

    Examples:
        >>> "fid" in drawn_metrics()
        True
    """
    if not _DESCRIBED:
        _describe_installed()
    return [metric.name for metric in _DESCRIBED.values() if metric.drawn]


@cache
def _describe_installed() -> None:
    """Describe the metrics of `CATALOGUE` that nobody described, if it is installed."""
    with contextlib.suppress(ModuleNotFoundError):
        known: dict[str, Any] = importlib.import_module(CATALOGUE).METRICS
        names = [field.name for field in fields(MetricInfo)]
        for name, record in known.items():
            info = MetricInfo(**{field: getattr(record, field) for field in names})
            _DESCRIBED.setdefault(name, info)
