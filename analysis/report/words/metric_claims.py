"""What each metric says of people's votes, as the report prints it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.ballots import rows_of
from analysis.claims import MetricClaims
from analysis.metrics import LINEAR, MONOTONE, Predictors, metric_info

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


def printed_predictors(found: Predictors, labels: dict[str, str]) -> pd.DataFrame:
    """Return a row per predictor: held-out accuracies, log loss, and whether its winner is ours."""
    several = found.table["extractor"].nunique() > 2
    return pd.DataFrame(
        [
            (
                predictor_words(row.predictor, row.extractor if several else ""),
                _share(row.accuracy, row.low, row.high),
                _share(row.accuracy_with_ties, row.ties_low, row.ties_high),
                f"{row.log_loss:.3f}",
                labels.get(row.winner, "–"),
                "–" if np.isnan(row.same_winner) else f"{100 * row.same_winner:.0f}%",
            )
            for row in rows_of(found.table)
        ],
        columns=["Predictor", "Right, decided votes", "Right, ties too", "Log loss",
                 "Its best arm", "People's too"],
    )  # fmt: skip


def predictors_words(found: Predictors) -> str:
    """Return which prediction is best and whether it beats a coin; empty without one."""
    if found.table.empty:
        return ""
    best = found.best
    name = predictor_words(best["predictor"])
    told = (
        f"On prompts it has not seen, {lower_first(name)} predicts votes best: "
        f"{_share(best['accuracy'], best['low'], best['high'])} of the decided ones"
    )
    beats = best["log_loss"] < np.log(2) and best["low"] > 0.5
    return f"{told}." if beats else f"{told}, which is no better than a coin for certain."


def predictor_words(name: str, extractor: str = "") -> str:
    """Return what a predictor is called: a metric by its label, or a combination of all."""
    combined = {
        LINEAR: "All metrics, linear",
        MONOTONE: "All metrics, none against its better direction",
    }
    if name in combined:
        return combined[name]
    info = metric_info(name)
    return f"{info.label} {info.arrow}" + (f" ({extractor})" if extractor else "")


def _share(value: float, low: float, high: float) -> str:
    if np.isnan(value):
        return "–"
    interval = "" if np.isnan(low) else f" ({100 * low:.0f} to {100 * high:.0f}%)"
    return f"{100 * value:.0f}%{interval}"


def _correlation(row: Any) -> str:
    if np.isnan(row.spearman):
        return "–"
    interval = bounds(row.low, row.high, 2)
    return signed(row.spearman, 2) + ("" if interval == "–" else f" ({interval})")


def _accuracy(row: Any) -> str:
    return "–" if row is None else _share(row.accuracy, row.low, row.high)
