"""What each metric says of people's votes on one question, as the report prints it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.metrics.against_elo import metric_info
from analysis.metrics.against_votes import Finding, finding, rank_agreement, vote_agreement
from analysis.report.words.wording import bounds, lower_first, p_words, rows_of, signed
from analysis.scores.ballot_result import BallotResult

SAMPLE_KEYS = ("arm", "prompt_id", "replica", "metric", "value", "extractor")


@dataclass(frozen=True)
class MetricClaims:
    """Metrics against one ballot.

    Attributes:
        ranks: `rank_agreement`.
        votes: `vote_agreement`.
        finding: the paper's, of the best arms of CLIP and classifier-free guidance; None where
            there is no such arm, no CLIP score, or more than one extractor of it.
    """

    ranks: pd.DataFrame
    votes: pd.DataFrame
    finding: Finding | None


def metric_claims_of(
    result: BallotResult,
    arms: pd.DataFrame,
    metrics: pd.DataFrame,
    votes: pd.DataFrame,
    scores: pd.DataFrame | None,
    seed: int = 0,
) -> MetricClaims:
    """Rank agreement, agreement with single votes, and the paper's finding.

    Args:
        result: the ballot's fit and intervals.
        arms: name, strategy.
        metrics: arm, metric, value, ci_low, ci_high, extractor.
        votes: what `read_votes` returned.
        scores: metrics of single samples, or None.
        seed: of the redrawn tables.
    """
    ballot = result.ballot
    mine = votes[
        (votes["question"] == ballot.question) & (votes["rater_kind"] == ballot.rater_kind)
    ]
    measured = metrics[np.isfinite(metrics["value"])]
    return MetricClaims(
        rank_agreement(result.intervals, measured, seed=seed),
        vote_agreement(mine, measured, scores),
        _finding(result, arms, measured),
    )


def printed_metric_claims(claims: MetricClaims) -> pd.DataFrame:
    """A row a metric and extractor: rank agreement, and how often its better value won a vote."""
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
    """The paper's finding on these votes, in a sentence; empty where it can't be asked."""
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


def _finding(result: BallotResult, arms: pd.DataFrame, metrics: pd.DataFrame) -> Finding | None:
    of_clip = metrics[metrics["metric"] == "clip_score"]
    if of_clip.empty or of_clip["extractor"].nunique() > 1:
        return None
    strategies = dict(zip(arms["name"], arms["strategy"], strict=True))
    fit, measured, best = result.fit, set(of_clip["arm"]), {}
    for i in np.argsort(-np.where(np.isfinite(fit.scores), fit.scores, -np.inf), kind="stable"):
        arm = fit.arms[i]
        if np.isfinite(fit.scores[i]) and arm in measured:
            best.setdefault(strategies[arm], arm)
    if not {"clip", "classifier_free"} <= set(best):
        return None
    if (
        fit.groups[fit.arms.index(best["clip"])]
        != fit.groups[fit.arms.index(best["classifier_free"])]
    ):
        return None
    return finding(result.intervals, of_clip, "clip_score", best["clip"], best["classifier_free"])


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
