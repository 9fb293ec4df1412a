"""Scores by category of prompt, and whether the categories differ.

Two images of a pair share their prompt, so each category's votes make a scale of their own. They
are fitted side by side, as arms of (category, arm), so that raters who voted in several
categories link their errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import fdtrc  # pyright: ignore[reportMissingTypeStubs]

from analysis.ballots import ballots, counted, win_matrix
from analysis.errors import AnalysisError

from .curves import NO_TEST, wald
from .elo import fit_elo
from .intervals import Sandwich, sandwich

_MARK = "\x1f"  # between category and arm, in no name


@dataclass(frozen=True)
class CategoryScores:
    """One question's scores by category.

    Attributes:
        table: category, arm, elo (mean zero within the category), low, high, votes, reason.
        f: Hotelling's F of "differences between arms are the same in all categories".
        df1: its degrees of freedom.
        df2: its second degrees of freedom.
        p: its p-value; NaN with a reason.
        reason: why there is no test; empty when there is.
    """

    table: pd.DataFrame
    f: float
    df1: int
    df2: float
    p: float
    reason: str = ""


def by_category(
    votes: pd.DataFrame,
    categories: Mapping[str, str],
    question: str,
    rater_kind: str = "person",
) -> CategoryScores:
    """Fit each category of prompts on its own, and test whether the categories differ.

    The test is `curves.wald`'s F of H0: σ_arm − σ_first is equal in all categories, for the arms
    that have a finite score in each of them.

    Args:
        votes: what `read_votes` returned, with prompt ids.
        categories: prompt id → category; votes on other prompts are left out.
        question: of the ballot.
        rater_kind: of the ballot.

    Raises:
        AnalysisError: votes carry no prompt ids, or none of a category.

    Examples:
        >>> kinds = {f"p{i}": "indoors" if i < 6 else "outdoors" for i in range(12)}
        >>> table = by_category(votes, kinds, "photorealism").table
        >>> table.groupby("category")["votes"].sum().to_dict()
        {'indoors': 36, 'outdoors': 36}
    """
    mine, named = _of_categories(votes, categories, question, rater_kind)
    arms = list(mine["arm_left"].cat.categories)
    kinds = list(dict.fromkeys(named))
    labels = [kind + _MARK + arm for kind in kinds for arm in arms]
    for side in ("arm_left", "arm_right"):
        words = [f"{kind}{_MARK}{arm}" for kind, arm in zip(named, mine[side], strict=True)]
        mine[side] = pd.Categorical(words, categories=labels)
    (ballot,) = ballots(mine)
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    intervals = sandwich(fit, ballot)
    rows: list[tuple[Any, ...]] = []
    for i, label in enumerate(fit.arms):
        kind, arm = label.split(_MARK)
        bounds = intervals.score(i)
        given = int(fit.comparisons[i].sum())
        rows.append((kind, arm, fit.scores[i], bounds.low, bounds.high, given, bounds.reason))
    columns = ["category", "arm", "elo", "low", "high", "votes", "reason"]
    return CategoryScores(
        pd.DataFrame(rows, columns=columns), *_test(intervals, len(kinds), len(arms))
    )


def _of_categories(
    votes: pd.DataFrame, categories: Mapping[str, str], question: str, rater_kind: str
) -> tuple[pd.DataFrame, list[str]]:
    """Votes of one ballot that count and whose prompt has a category, and those categories."""
    if "prompt_id" not in votes:
        raise AnalysisError(
            "Scores by category need votes with a prompt_id; found "
            f"{', '.join(map(str, votes.columns))}."
        )
    of_ballot = (votes["question"] == question) & (votes["rater_kind"] == rater_kind)
    category = votes["prompt_id"].astype(str).map(dict(categories))
    chosen = of_ballot.to_numpy() & category.notna().to_numpy() & counted(votes)
    if not chosen.any():
        raise AnalysisError(
            f"No vote on {question} is on a prompt with a category; the {len(categories)} prompts "
            "named should be among the votes' prompt ids."
        )
    return votes[chosen].reset_index(drop=True), list(category[chosen].astype(str))


def _test(intervals: Sandwich, kinds: int, arms: int) -> tuple[float, int, float, float, str]:
    """F, its degrees of freedom, p and why there is none, of scores stacked by category."""
    fit = intervals.fit
    finite = np.isfinite(fit.scores).reshape(kinds, arms)
    groups = fit.groups.reshape(kinds, arms)
    linked = all(len(set(groups[k][finite[k]])) == 1 for k in range(kinds))
    shared = np.flatnonzero(finite.all(axis=0))
    if kinds < 2 or len(shared) < 2 or not linked:
        reason = "two categories, and two arms linked in each of them, are needed to compare"
        return np.nan, 0, np.nan, np.nan, reason
    rows: list[NDArray[np.float64]] = []
    for k in range(1, kinds):
        for arm in shared[1:]:
            weights = np.zeros((kinds, arms))
            weights[0, [arm, shared[0]]] = 1, -1
            weights[k, [arm, shared[0]]] = -1, 1
            rows.append(weights.ravel())
    scores = np.where(np.isfinite(fit.scores), fit.scores, 0.0)
    contrasts = np.array(rows)
    f, df2 = wald(intervals, contrasts, contrasts @ scores)
    if np.isnan(f):
        return np.nan, 0, np.nan, np.nan, intervals.reason or NO_TEST
    return f, len(contrasts), df2, float(fdtrc(len(contrasts), df2, f)), ""
