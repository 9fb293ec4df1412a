"""Scores by category of prompt, and whether the categories differ.

Two images of a pair share their prompt, so each category's votes make a scale of their own. They
are fitted side by side, as arms of (category, arm), so that raters who voted in several
categories link their errors.

A category has few votes, so its scores scatter more than the arms differ from category to
category. `shrunk` draws each towards the arm's mean over categories, by how much of the scatter is
more than its error (empirical Bayes; Efron & Morris 1975, doi:10.1080/01621459.1975.10479864).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit  # pyright: ignore[reportMissingTypeStubs]

from analysis.ballots import ballots, counted, win_matrix
from analysis.errors import AnalysisError

from .all_pairs import simultaneous
from .elo import fit_elo
from .intervals import Sandwich, sandwich
from .shown import Shown

_MARK = "\x1f"  # between category and arm, in no name
_DEVIATIONS = ("deviation", "deviation_low", "deviation_high", "p", "shrunk", "shrunk_low",
               "shrunk_high")  # fmt: skip


@dataclass(frozen=True)
class CategoryScores(Shown):
    """One question's scores by category.

    Attributes:
        table: category, arm, elo (mean zero within the category), low, high, votes, reason;
            deviation (how much better the arm does in the category than in all, Elo points, for
            arms scored in every category) with deviation_low and deviation_high, which hold
            together, and its p; shrunk, shrunk_low, shrunk_high.
        p: p-value of "arms compare alike in all categories"; NaN with a reason.
        spread: standard deviation of true deviations, Elo points; NaN without a test.
        reason: why there is no test; empty when there is.
    """

    table: pd.DataFrame
    p: float
    spread: float
    reason: str = ""

    @property
    def clearest(self) -> Any:
        """The row of the deviation with the smallest p."""
        return self.table.iloc[int(np.nanargmin(self.table["p"]))]


def by_category(
    votes: pd.DataFrame,
    categories: Mapping[str, str],
    question: str,
    rater_kind: str = "person",
) -> CategoryScores:
    """Fit each category of prompts on its own, and test whether the categories differ.

    With s_ca the score of arm a in category c, mean zero over the arms that have one in every
    category, the deviation is

        d_ca = s_ca − Σ_c' s_c'a / C.

    The test is of the largest |d_ca| / SE_ca, by the joint distribution of all (`simultaneous`),
    so many arms and categories cost it little. The spread of true deviations is
    τ² = Σ (d² − SE²) / ((C − 1)(A − 1)), at least 0, and

        shrunk_ca = s̄_a + d_ca τ² / (τ² + SE²_ca).

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
    return _with_deviations(pd.DataFrame(rows, columns=columns), intervals, len(kinds), len(arms))


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


def _with_deviations(
    table: pd.DataFrame, intervals: Sandwich, kinds: int, arms: int
) -> CategoryScores:
    """Return scores stacked by category with their deviations, tested and shrunk."""
    fit = intervals.fit
    finite = np.isfinite(fit.scores).reshape(kinds, arms)
    groups = fit.groups.reshape(kinds, arms)
    linked = all(len(set(groups[k][finite[k]])) == 1 for k in range(kinds))
    shared = np.flatnonzero(finite.all(axis=0))
    empty = table.assign(**dict.fromkeys(_DEVIATIONS, np.nan))
    if kinds < 2 or len(shared) < 2 or not linked:
        reason = "two categories, and two arms linked in each of them, are needed to compare"
        return CategoryScores(empty, np.nan, np.nan, reason)
    if intervals.reason:
        return CategoryScores(empty, np.nan, np.nan, intervals.reason)
    of_mean, of_deviation = _contrasts(kinds, arms, shared)
    scores = np.where(np.isfinite(fit.scores), fit.scores, 0.0)
    deviation, together = of_deviation @ scores, simultaneous(intervals, of_deviation)
    variance = intervals.covariance.variances(of_deviation)
    free = (kinds - 1) * (len(shared) - 1)
    spread = max(float((deviation**2 - variance).sum()) / free, 0.0)
    kept = spread / np.maximum(spread + variance, 1e-300)
    shrunk = of_mean @ scores + kept * deviation
    # The mean over categories and a deviation from it are nearly uncorrelated.
    error = np.sqrt(intervals.covariance.variances(of_mean) + kept * variance)
    half = error * stdtrit(intervals.covariance.dfs(of_deviation), (1 + intervals.level) / 2)
    values = (deviation, together.low, together.high, together.p_adjusted,
              shrunk, shrunk - half, shrunk + half)  # fmt: skip
    at = (np.arange(kinds)[:, None] * arms + shared).ravel()
    empty.loc[at, list(_DEVIATIONS)] = np.array(values).T
    return CategoryScores(empty, float(together.p_adjusted.min()), float(np.sqrt(spread)))


def _contrasts(
    kinds: int, arms: int, shared: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(Q, C·K) weights of each shared arm's mean over categories, and of its deviation from it."""
    centred = np.zeros((len(shared), arms), np.float64)
    centred[:, shared] = np.eye(len(shared)) - 1 / len(shared)
    mean = np.asarray(np.kron(np.full((kinds, kinds), 1 / kinds), centred), np.float64)
    return mean, np.asarray(np.kron(np.eye(kinds), centred) - mean, np.float64)
