"""Does the ranking hold? One ballot's votes under other exclusions and other models."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.ballots import counted, rows_of
from analysis.errors import AnalysisError
from analysis.scores import (
    BallotResult,
    CategoryScores,
    OutcomeFit,
    by_category,
    crowd_bt,
    fit_graded,
    fit_outcomes,
)

from .sensitivity import first_alone, order_change, sensitivity

REPORTED = "as reported"
_FEWEST_RATERS = 3  # before it means something to weigh them
_MOST_VOTES = 1_000_000  # beyond which weighing raters takes minutes
_MOST_CATEGORIES = 12
_MOST_ARMS = 200  # beyond which other models than scores alone take minutes


@dataclass(frozen=True)
class Robustness:
    """The ranking under other analyses of the same votes.

    Attributes:
        table: one row per analysis, the reported one first: analysis, votes, raters, kendall_tau
            (with the reported ranking), best (arm), largest_change (Elo points, of any difference
            between two arms), note.
        outcomes: ties as an outcome of their own, with a side term; None where it has no fit.
        categories: scores by category of prompt; None without two categories.
    """

    table: pd.DataFrame
    outcomes: OutcomeFit | None = None
    categories: CategoryScores | None = None

    @property
    def others(self) -> pd.DataFrame:
        """The rows of other analyses that can be compared with the reported one."""
        return self.table[1:][self.table["kendall_tau"][1:].notna()]

    @property
    def leaders(self) -> pd.DataFrame:
        """The rows of analyses that put another arm first, where one arm is first at all."""
        first = self.table["best"].iloc[0]
        return self.others[~self.others["best"].isin(["", first]) & bool(first)]


def robustness_of(
    result: BallotResult, votes: pd.DataFrame, categories: Mapping[str, str] | None = None
) -> Robustness:
    """Fit one ballot anew in every way that could change its ranking.

    Exclusions are those of `sensitivity`. The models are: a side term; ties as an outcome of their
    own with a side term (Davidson); raters weighed by quality (Crowd-BT); the grades of graded
    answers (ordinal); categories of prompts counted equally. An analysis that changes nothing here,
    or that can't be fitted, is left out.

    Args:
        result: the reported fit.
        votes: what `read_votes` returned.
        categories: prompt id → category.
    """
    ballot = result.ballot
    excluded = sensitivity(votes, ballot.question, ballot.rater_kind).table
    rows = [
        (REPORTED if n == 0 else row.rule, row.votes, row.raters, row.kendall_tau, row.best,
         row.largest_change, row.reason)
        for n, row in enumerate(rows_of(excluded))
    ]  # fmt: skip
    fitted = _outcomes(result)
    of_categories = _by_category(result, votes, categories or {})
    before = _of_largest_group(result)
    for name, scores, note in _models(result, fitted, of_categories):
        both = np.isfinite(before) & np.isfinite(scores)
        if both.sum() < 2:
            continue
        tau, change, reason = order_change(before, scores, both[:, None] & both)
        best = first_alone(ballot.arms, np.where(both, scores, np.nan))
        rows.append((name, ballot.votes, ballot.raters, tau, best, change, reason or note))
    columns = ["analysis", "votes", "raters", "kendall_tau", "best", "largest_change", "note"]
    return Robustness(pd.DataFrame(rows, columns=columns), fitted, of_categories)


def _models(
    result: BallotResult, fitted: OutcomeFit | None, categories: CategoryScores | None
) -> Iterator[tuple[str, NDArray[np.float64], str]]:
    """Name, (K,) scores and a note of each other model that has a fit."""
    ballot = result.ballot
    if fitted is not None:
        if not np.isnan(fitted.log_ties):
            sided = fit_outcomes(ballot, ties="half")
            note = "differences are of decided votes, so larger"
            yield "with a side term", sided.scores, ""
            yield "with ties as an outcome (Davidson) and a side term", fitted.scores, note
        else:
            yield "with a side term", fitted.scores, ""
    few = len(ballot.arms) <= _MOST_ARMS
    if few and ballot.raters >= _FEWEST_RATERS and ballot.votes <= _MOST_VOTES:
        # Crowd-BT's prior links all arms; those that the votes don't link stay without a score.
        weighed = crowd_bt(ballot).table["elo"].to_numpy(np.float64)
        apart = np.isnan(_of_largest_group(result))
        yield "with raters weighed by quality (Crowd-BT)", np.where(apart, np.nan, weighed), ""
    if few and ballot.grade is not None:
        with contextlib.suppress(AnalysisError):  # where a grade was never given
            yield "with the grades of answers (ordinal model)", fit_graded(ballot).scores, ""
    if categories is not None:
        wide = categories.table.pivot(index="arm", columns="category", values="elo")
        finite = wide.reindex(list(ballot.arms)).to_numpy(np.float64)
        equal = np.where(np.isfinite(finite).all(axis=1), finite.sum(axis=1), np.nan)
        yield "with prompt categories counted equally", equal / finite.shape[1], ""


def _outcomes(result: BallotResult) -> OutcomeFit | None:
    if len(result.ballot.arms) > _MOST_ARMS:
        return None
    try:
        return fit_outcomes(result.ballot)
    except AnalysisError:
        return None


def _by_category(
    result: BallotResult, votes: pd.DataFrame, categories: Mapping[str, str]
) -> CategoryScores | None:
    """Return scores by category, where votes that count are of two at least."""
    if not categories or "prompt_id" not in votes or len(result.ballot.arms) > _MOST_ARMS:
        return None
    ballot = result.ballot
    mine = (votes["question"] == ballot.question) & (votes["rater_kind"] == ballot.rater_kind)
    named = votes.loc[mine & counted(votes), "prompt_id"].astype(str).map(dict(categories))
    if not 2 <= named.nunique() <= _MOST_CATEGORIES:
        return None
    kept = votes[(mine & counted(votes)).to_numpy()].reset_index(drop=True)
    return by_category(kept, categories, ballot.question, ballot.rater_kind)


def _of_largest_group(result: BallotResult) -> NDArray[np.float64]:
    """(K,) scores of the largest group of arms that votes link; NaN for others."""
    fit = result.fit
    finite = np.isfinite(fit.scores)
    if not finite.any():
        return np.full(len(fit.arms), np.nan)
    largest = np.argmax(np.bincount(fit.groups[finite]))
    return np.where(finite & (fit.groups == largest), fit.scores, np.nan)
