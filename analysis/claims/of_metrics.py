"""What each metric says of people's votes on one question, as the report prints it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.metrics import (
    Finding,
    Predictors,
    finding,
    rank_agreement,
    vote_agreement,
    vote_predictors,
)
from analysis.scores import BallotResult

SAMPLE_KEYS = ("arm", "prompt_id", "replica", "metric", "value", "extractor")


@dataclass(frozen=True)
class MetricClaims:
    """Metrics against one ballot.

    Attributes:
        ranks: `rank_agreement`.
        votes: `vote_agreement`.
        finding: the paper's, of the best arms of CLIP and classifier-free guidance; None where
            there is no such arm, no CLIP score, or more than one extractor of it.
        predictors: `vote_predictors`.
    """

    ranks: pd.DataFrame
    votes: pd.DataFrame
    finding: Finding | None
    predictors: Predictors


def metric_claims_of(
    result: BallotResult,
    arms: pd.DataFrame,
    metrics: pd.DataFrame,
    votes: pd.DataFrame,
    scores: pd.DataFrame | None,
    seed: int = 0,
) -> MetricClaims:
    """Return rank agreement, agreement with single votes, and the paper's finding.

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
        vote_predictors(mine, scores, seed),
    )


def _finding(result: BallotResult, arms: pd.DataFrame, metrics: pd.DataFrame) -> Finding | None:
    of_clip = metrics[metrics["metric"] == "clip_score"]
    if of_clip.empty or of_clip["extractor"].nunique() > 1:
        return None
    strategies = dict(zip(map(str, arms["name"]), map(str, arms["strategy"]), strict=True))
    fit, measured = result.fit, set(map(str, of_clip["arm"]))
    best: dict[str, str] = {}
    for i in np.argsort(-np.where(np.isfinite(fit.scores), fit.scores, -np.inf), kind="stable"):
        arm = fit.arms[int(i)]
        if np.isfinite(fit.scores[i]) and arm in measured:
            best.setdefault(strategies[arm], arm)
    if not {"clip", "classifier_free"} <= set(best):
        return None
    # Arms of two groups have no finite difference, so people say nothing of the two.
    if (
        fit.groups[fit.arms.index(best["clip"])]
        != fit.groups[fit.arms.index(best["classifier_free"])]
    ):
        return None
    return finding(result.intervals, of_clip, "clip_score", best["clip"], best["classifier_free"])
