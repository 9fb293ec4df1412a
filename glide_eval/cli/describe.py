"""Telling `analysis`, which knows none of ours, of the metrics and strategies there are."""

from __future__ import annotations

from dataclasses import fields
from typing import Any


def describe_all() -> None:
    """Hand the catalogues of metrics and strategies to tables, figures and pages."""
    from analysis.metrics import MetricInfo, describe_metrics
    from analysis.report import StrategyLook, describe_strategies
    from glide_eval.metrics import METRICS
    from glide_eval.sweep import STRATEGIES

    describe_metrics(MetricInfo(**_shared(MetricInfo, each)) for each in METRICS.values())
    describe_strategies(StrategyLook(**_shared(StrategyLook, each)) for each in STRATEGIES.values())


def _shared(kind: Any, record: object) -> dict[str, Any]:
    """The fields of `kind`, all of which the record has under the same names."""
    return {field.name: getattr(record, field.name) for field in fields(kind)}
