"""How far a ballot's ranking may be claimed: over all pairs, along scales, under doubt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.ballots import ANSWERS, counted
from analysis.planning import NextVotes, next_votes
from analysis.scores import (
    BallotResult,
    Comparisons,
    Goodness,
    ScaleCurves,
    compare_arms,
    goodness_of_fit,
    scale_curves,
)

from .answers import answer_rates
from .controlled import Controlled, controlled
from .robustness import Robustness, robustness_of


@dataclass(frozen=True)
class Claims:
    """What stands behind one ballot's order.

    Attributes:
        comparisons: every two arms, simultaneously, and rank sets.
        curves: Elo along each series' scale.
        robustness: the ranking under other exclusions and models.
        next_votes: what more votes would buy; None without intervals.
        goodness: whether one score per arm describes the votes.
        answers: `answer_rates`, where raters said "both bad"; else empty.
        controlled: arms at equal properties of their pictures; None without any.
    """

    comparisons: Comparisons
    curves: ScaleCurves
    robustness: Robustness
    next_votes: NextVotes | None
    goodness: Goodness
    answers: pd.DataFrame
    controlled: Controlled | None = None


def claims_of(
    result: BallotResult,
    arms: pd.DataFrame,
    votes: pd.DataFrame,
    categories: Mapping[str, str] | None = None,
    seed: int = 0,
    properties: pd.DataFrame | None = None,
) -> Claims:
    """Return one ballot's comparisons, curves, robustness, fit and what more votes would buy.

    Args:
        result: its fit and intervals.
        arms: name, strategy, scale.
        votes: what `read_votes` returned.
        categories: prompt id → category.
        seed: of the simulations.
        properties: of samples, as `controlled` takes them.
    """
    described = arms.rename(columns={"name": "arm"})[["arm", "strategy", "scale"]]
    # Curves run along log(scale), so an arm at scale 0 is no point of one.
    usable = described["scale"].where(described["scale"] > 0)
    return Claims(
        compare_arms(result.intervals, seed=seed, baseline=_baseline(result)),
        scale_curves(
            result.intervals, described.assign(scale=usable), result.anchor, seed=seed
        ),
        robustness_of(result, votes, categories),
        next_votes(result),
        goodness_of_fit(result.fit, result.ballot, seed=seed),
        _answers(result, votes),
        controlled(result, votes, properties),
    )  # fmt: skip


def _answers(result: BallotResult, votes: pd.DataFrame) -> pd.DataFrame:
    """Return the rates of answers without a winner, where ties are not the only ones."""
    ballot = result.ballot
    mine = (votes["question"] == ballot.question) & (votes["rater_kind"] == ballot.rater_kind)
    own = votes[mine.to_numpy() & counted(votes)]
    unusual = [answer.name for answer in ANSWERS.values() if not answer.usual]
    return answer_rates(own if own["answer"].isin(unusual).any() else own.iloc[:0])


def _baseline(result: BallotResult) -> str | None:
    """Return the arm that many others are compared with: the anchor, or the one on top."""
    scores = result.fit.scores
    if result.anchor is not None or not np.isfinite(scores).any():
        return result.anchor
    return result.fit.arms[int(np.nanargmax(np.where(np.isfinite(scores), scores, np.nan)))]
