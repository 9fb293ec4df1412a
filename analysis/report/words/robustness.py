"""Whether the ranking holds, in sentences and as printed tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.ballots import rows_of
from analysis.claims import Robustness

from .wording import bounds, p_words, share, signed


def verdict(found: Robustness, labels: Mapping[str, str]) -> str:
    """Return what follows for the ranking, in a sentence; empty without another analysis."""
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
    """Return a sentence for the report's beginning if another analysis puts another arm first."""
    told = leaders(found, labels)
    return [f"But who leads hangs on the analysis: {told}."] if told else []


def leaders(found: Robustness, labels: Mapping[str, str]) -> str:
    """Return other arms that lead, and where: `CLIP, s = 2 with a side term`; empty where none
    does.
    """
    told = []
    for best, rows in found.leaders.groupby("best", sort=False):
        told.append(f"{labels.get(str(best), best)} {'; '.join(rows['analysis'])}")
    return "; ".join(told)


def side_and_ties(found: Robustness) -> str:
    """Return what standing on the left is worth and how readily raters tie; empty without a fit."""
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
    """Return the table as printed; without notes where there is none."""
    rows = [
        (row.analysis, f"{row.votes:,}", f"{row.raters:,}", signed(row.kendall_tau, 2),
         labels.get(row.best, "–"), signed(row.largest_change), row.note)
        for row in rows_of(found.table)
    ]  # fmt: skip
    heads = ["Analysis", "Votes", "Raters", "Kendall's τ", "First", "Largest change in Elo", "Note"]
    table = pd.DataFrame(rows, columns=heads)
    return table if (table["Note"] != "").any() else table.drop(columns="Note")


def categories_words(found: Robustness, labels: Mapping[str, str]) -> str:
    """Return whether categories of prompts differ, in a sentence; empty without categories."""
    scores = found.categories
    if scores is None:
        return ""
    if np.isnan(scores.p):
        return f"No test of whether the categories differ: {scores.reason}."
    most, told = scores.clearest, p_words(scores.p)
    if scores.p >= 0.05:
        return (
            f"Nothing shows that the arms compare differently from category to category ({told})."
        )
    arm = labels.get(str(most["arm"]), str(most["arm"]))
    return (
        f"How the arms compare depends on the category ({told}). Most clearly, "
        f"{arm} is worth {signed(most['deviation'])} Elo "
        f"({bounds(most['deviation_low'], most['deviation_high'])}) in {most['category']} beside "
        "its mean over the categories."
    )


def printed_categories(found: Robustness, labels: Mapping[str, str]) -> pd.DataFrame:
    """Return scores by category as printed: a row per arm, best on top, a column per category."""
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


def category_views(found: Robustness, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return what a page can choose from: all categories side by side, and a board for each."""
    assert found.categories is not None
    views: list[dict[str, Any]] = [
        {"name": "All categories", "table": _grid(printed_categories(found, labels))}
    ]
    for category, rows in found.categories.table.groupby("category"):
        views.append({"name": str(category), "table": _grid(printed_category(rows, labels))})
    return views


def printed_category(rows: pd.DataFrame, labels: Mapping[str, str]) -> pd.DataFrame:
    """Return one category's board as printed: own scores, and those drawn towards the mean."""
    by = rows["shrunk"].fillna(rows["elo"].where(np.isfinite(rows["elo"])))
    told = rows.loc[by.sort_values(ascending=False, kind="stable").index]
    return pd.DataFrame({
        "Arm": [labels.get(row.arm, row.arm) for row in rows_of(told)],
        "Elo with shrinkage": [signed(row.shrunk) for row in rows_of(told)],
        "95% interval": [bounds(row.shrunk_low, row.shrunk_high) for row in rows_of(told)],
        "Elo of its own votes": [_score(row) for row in rows_of(told)],
        "Beside all categories": [signed(row.deviation) for row in rows_of(told)],
        "Votes": [f"{row.votes:,}" for row in rows_of(told)],
    })  # fmt: skip


def _grid(table: pd.DataFrame) -> dict[str, Any]:
    return {"columns": list(table.columns), "rows": table.to_numpy().tolist()}
