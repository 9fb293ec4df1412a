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


def board(ballot: BallotPart, elo: pd.DataFrame, prefix: str) -> dict[str, Any]:
    """Return one leaderboard: rows with whiskers as percentages of the board's own range.

    Args:
        ballot: which one.
        elo: `Part.elo`.
        prefix: of the part's file names.
    """
    rows = ballot.of(elo)
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
    reasons = {row.reason for row in rows_of(rows) if np.isfinite(row.elo) and row.reason}
    notes = [*ballot.result.fit.notes, *(f"No interval: {reason}." for reason in sorted(reasons))]
    if not reasons:
        notes.insert(0, f"Whiskers: 95% intervals, {ballot.result.intervals.method}.")
    return {
        "question": question_words(ballot.question),
        "simulated": ballot.simulated,
        "axis": elo_axis(rows["anchor"].iloc[0]),
        "zero": at(0.0),
        "rows": table,
        "note": " ".join(notes),
        "distinct": distinct_words(ballot.claims),
        "compared": "All pairs" if ballot.claims.comparisons.every_pair else "Pairs compared",
        "comparisons": f"{prefix}comparisons-{ballot.slug}",
        "table": f"{prefix}elo-{ballot.slug}",
    }


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
