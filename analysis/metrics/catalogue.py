"""What is known of metrics by name: how to print them and which direction is better.

The catalogues of installed packages are known (entry points of the group `glide_eval.metrics`); a
notebook may describe others (`describe_metrics`). A metric that nobody described is printed by its
own name, and higher values count as better.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from analysis.installed import installed


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
    _described().update((metric.name, metric) for metric in metrics)


def metric_info(metric: str) -> MetricInfo:
    """Return how to print a metric; the module says what is assumed of an unknown one.

    Examples:
        >>> metric_info("my_score").label, metric_info("my_score").better
        ('my score', 'higher')
    """
    return _described().get(metric) or MetricInfo(metric, metric.replace("_", " "))


def drawn_metrics() -> list[str]:
    """Return the names of the metrics to draw against Elo, in order.

    Examples:
        >>> "fid" in drawn_metrics()
        True
    """
    return [metric.name for metric in _described().values() if metric.drawn]


@cache
def _described() -> dict[str, MetricInfo]:
    """Return the metrics of this process by name, beginning with those of installed packages."""
    return {metric.name: metric for metric in installed("glide_eval.metrics", MetricInfo)}
