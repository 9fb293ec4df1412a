"""Metrics against people: whether metrics rank arms as raters do."""

from __future__ import annotations

from .against_elo import DRAWN, join_metrics, metric_correlations, metric_info, rank_correlation
from .against_votes import Finding, finding, rank_agreement, vote_agreement
from .published import SOURCE, beside_paper, published_tables
from .versions import tell_versions

__all__ = [
    "DRAWN",
    "SOURCE",
    "Finding",
    "beside_paper",
    "finding",
    "join_metrics",
    "metric_correlations",
    "metric_info",
    "published_tables",
    "rank_agreement",
    "rank_correlation",
    "tell_versions",
    "vote_agreement",
]
