"""Scores as the page shows them: leaderboards with whiskers, and who beats whom."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.ballots import rows_of
from analysis.report.contents import BallotPart
from analysis.report.figures.elo import elo_axis
from analysis.report.words.claims import distinct_words, rank_sets
from analysis.report.words.goodness import misfitting
from analysis.report.words.wording import bounds, percent, question_words, signed
from analysis.scores import READABLE

from .behind import FOLDER, Behind

MOST_NAMED = 4  # arms in the heading of a group's table


def board(ballot: BallotPart, elo: pd.DataFrame, prefix: str) -> dict[str, Any]:
    """Return one leaderboard: a table for each group of arms that votes link.

    Ranks and scores of different groups say nothing of each other, so they share no table.

    Args:
        ballot: which one.
        elo: `Part.elo`.
        prefix: of the part's file names.
    """
    rows = ballot.of(elo)
    axis = elo_axis(rows["anchor"].iloc[0])
    labels = dict(zip(rows["arm"], rows["label"], strict=True))
    apart = _scored_apart(ballot, rows)
    here = rows[~rows["arm"].isin({arm for group in apart for arm in group["arm"]})]
    tables = [_table(here, ballot, axis, f"Linked by votes: {_named(here, labels)}" * bool(apart))]
    looks = rows[["arm", "label", "strategy"]]
    for group in apart:
        words = f"Scored apart: {_named(group, labels)}"
        tables.append(_table(group.merge(looks, on="arm"), ballot, elo_axis(""), words))
    reasons = {row.reason for row in rows_of(here) if np.isfinite(row.elo) and row.reason}
    notes = [*ballot.result.fit.notes, *(f"No interval: {reason}." for reason in sorted(reasons))]
    if not reasons:
        notes.insert(0, f"Whiskers: 95% intervals, {ballot.result.intervals.method}.")
    return {
        "question": question_words(ballot.question),
        "simulated": ballot.simulated,
        "tables": tables,
        "note": " ".join(notes),
        "distinct": distinct_words(ballot.claims),
        "compared": "All pairs" if ballot.claims.comparisons.every_pair else "Pairs compared",
        "comparisons": f"{prefix}comparisons-{ballot.slug}",
        "table": f"{prefix}elo-{ballot.slug}",
    }


def _scored_apart(ballot: BallotPart, rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the mean-zero scores of each group that has no score among `rows`."""
    scored = ballot.result.scores()
    scored = scored[np.isfinite(scored["elo"])]
    shown = set(rows.loc[np.isfinite(rows["elo"]), "arm"])
    groups = [of_group for _, of_group in scored.groupby("group", sort=False)]
    return [of_group for of_group in groups if not shown & set(of_group["arm"])]


def _named(rows: pd.DataFrame, labels: dict[str, str]) -> str:
    """Return the scored arms of a table, or how many there are."""
    arms = [labels[arm] for arm in rows.loc[np.isfinite(rows["elo"]), "arm"]]
    return ", ".join(arms) if len(arms) <= MOST_NAMED else f"{len(arms):,} arms"


def _table(rows: pd.DataFrame, ballot: BallotPart, axis: str, heading: str) -> dict[str, Any]:
    """Return arms with whiskers as percentages of the table's own range."""
    ends = np.concatenate([rows["elo"], rows["low"], rows["high"], [0.0]]).astype(np.float64)
    ends = ends[np.isfinite(ends)]
    low, span = ends.min(), max(float(np.ptp(ends)), 1.0)

    def at(value: float) -> float:
        return round(3 + 94 * (value - low) / span, 2)

    table, ranks = [], rank_sets(ballot.claims)
    for row in rows_of(rows):
        scored = np.isfinite(row.elo)
        whisker = {"dot": at(row.elo), "left": 0.0, "width": 0.0} if scored else None
        if whisker and np.isfinite(row.low) and row.high > row.low:
            whisker |= {"left": at(row.low), "width": round(at(row.high) - at(row.low), 2)}
        interval = bounds(row.low, row.high) if whisker and whisker["width"] else "–"
        table.append(
            {
                "rank": row.rank or "–",
                "ranks": ranks.get(row.arm, "–"),
                "label": row.label,
                "strategy": row.strategy,
                "elo": signed(row.elo),
                "interval": interval,
                "whisker": whisker,
                "reason": row.reason,
                "votes": f"{row.votes:,}",
                "won": f"{percent(row.win_share)}%" if row.votes else "–",
            }
        )
    return {"heading": heading, "axis": axis, "zero": at(0.0), "rows": table}


def heat(ballot: BallotPart, labels: dict[str, str], prefix: str, behind: Behind) -> dict[str, Any]:
    """Return who beats whom, arms in the order of their scores; cells link to their votes."""
    order = list(ballot.result.relative()["arm"])
    left_out = len(order) - READABLE
    order = order[:READABLE]
    cells = {(row.arm, row.against): row for row in rows_of(ballot.result.win_table())}
    odd = misfitting(ballot.claims.goodness)
    return {
        "question": question_words(ballot.question),
        "simulated": ballot.simulated,
        "columns": [labels[arm] for arm in order],
        "rows": [
            {
                "label": labels[arm],
                "cells": [
                    {
                        **_heat_cell(cells.get((arm, other)), labels, (arm, other) in odd),
                        "votes": behind.pair(arm, other),
                    }
                    for other in order
                ],
            }
            for arm in order
        ],
        "left_out": left_out,
        "votes": f"{FOLDER}/{behind.name}.html" if len(behind.votes) else "",
        "table": f"{prefix}win-probability-{ballot.slug}",
    }


def _heat_cell(row: Any, labels: dict[str, str], odd: bool) -> dict[str, Any]:
    if row is None:
        return {"text": "", "observed": "", "title": "", "style": "", "odd": False}
    title = f"{labels[row.arm]} against {labels[row.against]}: "
    if np.isfinite(row.low):
        title += f"{percent(row.low)} to {percent(row.high)}% at 95%; "
    elif row.reason:
        title += f"{row.reason}; "
    title += f"won {row.wins:g} of {row.n} votes (ties half)"
    if np.isnan(row.probability):
        return {"text": "–", "observed": "", "title": title, "style": "", "odd": False}
    side = "--wins" if row.probability > 0.5 else "--loses"
    strength = round(200 * abs(row.probability - 0.5))
    style = f"background:color-mix(in oklab, var({side}) {strength}%, var(--even))"
    return {"text": percent(row.probability), "observed": percent(row.observed) if row.n else "",
            "title": title, "style": style, "odd": odd}  # fmt: skip
