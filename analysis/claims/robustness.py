"""Does the ranking hold? One ballot's votes under other exclusions and other models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.ballots.votes import counted
from analysis.errors import AnalysisError
from analysis.report.words.wording import bounds, p_words, rows_of, share, signed
from analysis.scores.ballot_result import BallotResult
from analysis.scores.categories import CategoryScores, by_category
from analysis.scores.crowd import crowd_bt
from analysis.scores.davidson import OutcomeFit, fit_outcomes

from .sensitivity import order_change, sensitivity

REPORTED = "as reported"
_FEWEST_RATERS = 3  # before it means something to weigh them
_MOST_VOTES = 1_000_000  # beyond which weighing raters takes minutes
_MOST_CATEGORIES = 12


@dataclass(frozen=True)
class Robustness:
    """The ranking under other analyses of the same votes.

    Attributes:
        table: a row an analysis, the reported one first: analysis, votes, raters, kendall_tau
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

    Exclusions are those of `sensitivity`. Models: a side term; ties as an outcome of their own
    with a side term (Davidson); raters weighed by quality (Crowd-BT); categories of prompts
    counted equally. One that changes nothing here, or can't be fitted, is left out.

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
        best = ballot.arms[int(np.argmax(np.where(both, scores, -np.inf)))]
        rows.append((name, ballot.votes, ballot.raters, tau, best, change, reason or note))
    columns = ["analysis", "votes", "raters", "kendall_tau", "best", "largest_change", "note"]
    return Robustness(pd.DataFrame(rows, columns=columns), fitted, of_categories)


def verdict(found: Robustness, labels: Mapping[str, str]) -> str:
    """What follows for the ranking, in a sentence; empty without another analysis."""
    others = found.others
    if others.empty:
        return ""
    first = labels.get(found.table["best"].iloc[0], "")
    many = "the one other analysis" if len(others) == 1 else f"all {len(others)} other analyses"
    if len(found.leaders):
        return f"Who leads hangs on the analysis: {first} as reported, {leaders(found, labels)}."
    changed = others[others["kendall_tau"] < 1 - 1e-9]
    if changed.empty:
        return f"The ranking is the same in {many} of these votes."
    least = changed.sort_values("kendall_tau", kind="stable").iloc[0]
    tau = f"Kendall's τ\u00a0=\u00a0{signed(least['kendall_tau'], 2)}"
    order = f"order{'s' * (len(changed) == 1)} other arms differently"
    how = f"which {order} ({tau})"
    if not first:
        return f"Of {len(others)} other analyses of these votes, {len(changed)} {order} ({tau})."
    if len(others) > 1:
        how = f"{len(changed)} of which {order} (least alike: {least['analysis']}, {tau})"
    return f"{first} stays first in {many} of these votes, {how}."


def unsettled(found: Robustness, labels: Mapping[str, str]) -> list[str]:
    """A sentence for the report's beginning where another analysis puts another arm first."""
    told = leaders(found, labels)
    return [f"But who leads hangs on the analysis: {told}."] if told else []


def leaders(found: Robustness, labels: Mapping[str, str]) -> str:
    """Other arms that lead, and where: `CLIP, s = 2 with a side term`; empty where none does."""
    told = []
    for best, rows in found.leaders.groupby("best", sort=False):
        told.append(f"{labels.get(str(best), best)} {'; '.join(rows['analysis'])}")
    return "; ".join(told)


def side_and_ties(found: Robustness) -> str:
    """What standing on the left is worth and how readily raters tie; empty without a fit."""
    fitted = found.outcomes
    if fitted is None:
        return ""
    side = fitted.side_interval()
    told = f"Standing on the left is worth {signed(fitted.side)} Elo"
    if not side.reason:
        nothing = side.low <= 0 <= side.high
        told += f" ({bounds(side.low, side.high)}), {'nothing certain' if nothing else 'a bias'}"
    if np.isnan(fitted.log_ties):
        return told + "."
    return f"{told}; two equal arms would tie in {share(fitted.tie_share)} of votes."


def printed_robustness(found: Robustness, labels: Mapping[str, str]) -> pd.DataFrame:
    """The table as printed; without notes where there is none."""
    rows = [
        (row.analysis, f"{row.votes:,}", f"{row.raters:,}", signed(row.kendall_tau, 2),
         labels.get(row.best, "–"), signed(row.largest_change), row.note)
        for row in rows_of(found.table)
    ]  # fmt: skip
    heads = ["Analysis", "Votes", "Raters", "Kendall's τ", "First", "Largest change in Elo", "Note"]
    table = pd.DataFrame(rows, columns=heads)
    return table if (table["Note"] != "").any() else table.drop(columns="Note")


def categories_words(found: Robustness) -> str:
    """Whether categories of prompts differ, in a sentence; empty without categories."""
    scores = found.categories
    if scores is None:
        return ""
    if np.isnan(scores.p):
        return f"No test of whether the categories differ: {scores.reason}."
    told = f"F({scores.df1}, {scores.df2:.0f}) = {scores.f:.2f}, {p_words(scores.p)}"
    if scores.p < 0.05:
        return f"How the arms compare depends on the category ({told})."
    return f"Nothing shows that the arms compare differently from category to category ({told})."


def printed_categories(found: Robustness, labels: Mapping[str, str]) -> pd.DataFrame:
    """Scores by category as printed: a row an arm, best on top, a column a category."""
    if found.categories is None:
        return pd.DataFrame()
    table = found.categories.table
    cells = {(row.arm, row.category): _score(row) for row in rows_of(table)}
    finite = table.assign(elo=table["elo"].where(np.isfinite(table["elo"])))
    arms = finite.groupby("arm", sort=False)["elo"].mean().sort_values(ascending=False).index
    columns: dict[str, list[str]] = {"Arm": [labels.get(arm, arm) for arm in arms]}
    for category, rows in table.groupby("category"):
        votes = int(rows["votes"].sum()) // 2
        heading = f"{category} ({votes:,} votes)"
        columns[heading] = [cells[arm, category] for arm in arms]
    return pd.DataFrame(columns)


def _score(row: Any) -> str:
    interval = bounds(row.low, row.high)
    return signed(row.elo) + ("" if interval == "–" else f" ({interval})")


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
    if ballot.raters >= _FEWEST_RATERS and ballot.votes <= _MOST_VOTES:
        weighed = crowd_bt(ballot).table["elo"].to_numpy(np.float64)
        apart = np.isnan(_of_largest_group(result))
        yield "with raters weighed by quality (Crowd-BT)", np.where(apart, np.nan, weighed), ""
    if categories is not None:
        wide = categories.table.pivot(index="arm", columns="category", values="elo")
        finite = wide.reindex(list(ballot.arms)).to_numpy(np.float64)
        equal = np.where(np.isfinite(finite).all(axis=1), finite.sum(axis=1), np.nan)
        yield "with prompt categories counted equally", equal / finite.shape[1], ""


def _outcomes(result: BallotResult) -> OutcomeFit | None:
    try:
        return fit_outcomes(result.ballot)
    except AnalysisError:
        return None


def _by_category(
    result: BallotResult, votes: pd.DataFrame, categories: Mapping[str, str]
) -> CategoryScores | None:
    """Scores by category, where votes that count are of two at least."""
    if not categories or "prompt_id" not in votes:
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
