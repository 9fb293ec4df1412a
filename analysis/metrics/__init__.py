"""Metrics against people: whether metrics rank arms as raters do."""

from __future__ import annotations

from .against_elo import join_metrics, metric_correlations, rank_correlation
from .against_votes import Finding, finding, rank_agreement, vote_agreement
from .catalogue import MetricInfo, describe_metrics, drawn_metrics, metric_info
from .predictors import LINEAR, MONOTONE, Predictors, vote_predictors
from .published import SOURCE, beside_paper, published_tables
from .versions import tell_versions

__all__ = [
    "LINEAR",
    "MONOTONE",
    "SOURCE",
    "Finding",
    "MetricInfo",
    "Predictors",
    "beside_paper",
    "describe_metrics",
    "drawn_metrics",
    "finding",
    "join_metrics",
    "metric_correlations",
    "metric_info",
    "published_tables",
    "rank_agreement",
    "rank_correlation",
    "tell_versions",
    "vote_agreement",
    "vote_predictors",
]
