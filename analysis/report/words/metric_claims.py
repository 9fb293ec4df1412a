"""What each metric says of people's votes, as the report prints it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.ballots import rows_of
from analysis.claims import MetricClaims
from analysis.metrics import metric_info

from .wording import bounds, lower_first, p_words, signed


def printed_metric_claims(claims: MetricClaims) -> pd.DataFrame:
    """Return a row per metric and extractor: rank agreement, how often its better value won."""
    told = {(r.metric, r.extractor, r.by): r for r in rows_of(claims.votes)}
    several = claims.ranks["extractor"].nunique() > 1
    by_sample = (claims.votes["by"] == "sample").any()
    rows = []
    for row in rows_of(claims.ranks):
        info = metric_info(row.metric)
        name = f"{info.label} {info.arrow}" + (f" ({row.extractor})" if several else "")
        cells = [name, _correlation(row), _accuracy(told.get((row.metric, row.extractor, "arm")))]
        if by_sample:
            cells.append(_accuracy(told.get((row.metric, row.extractor, "sample"))))
        rows.append(cells)
    heads = ["Metric", "Agreement ρ", "Better arm won", "Better image won"]
    return pd.DataFrame(rows, columns=heads if by_sample else heads[:3])


def finding_words(claims: MetricClaims, labels: dict[str, str], simulated: bool) -> str:
    """Return the paper's finding on these votes, in a sentence; empty where it can't be asked."""
    found = claims.finding
    if found is None:
        return ""
    clip, cfg = labels[found.arm], labels[found.against]
    info = metric_info(found.metric)
    who = "simulated raters" if simulated else "raters"
    gap, elo = found.metric_interval, found.elo_interval
    told = (
        f"The paper found that {info.label} prefers CLIP guidance where people prefer "
        f"classifier-free guidance. Here, between the arms of each that {who} like best ({clip} "
        f"less {lower_first(cfg)}), {info.label} differs by {signed(found.metric_difference, 2)} "
        f"({bounds(gap.low, gap.high, 2)}) and Elo by {signed(found.elo_difference)} "
        f"({bounds(elo.low, elo.high)})"
    )
    if found.reason:
        return f"{told}; no test: {found.reason}."
    verdict = "the disagreement holds" if found.holds else "no such disagreement is shown"
    return f"{told}: {verdict} ({p_words(found.p)})."


def _correlation(row: Any) -> str:
    if np.isnan(row.spearman):
        return "–"
    interval = bounds(row.low, row.high, 2)
    return signed(row.spearman, 2) + ("" if interval == "–" else f" ({interval})")


def _accuracy(row: Any) -> str:
    if row is None or np.isnan(row.accuracy):
        return "–"
    interval = "" if np.isnan(row.low) else f" ({100 * row.low:.0f} to {100 * row.high:.0f}%)"
    return f"{100 * row.accuracy:.0f}%{interval}"
