"""Whether the ranking holds, and who voted how carefully, as the page shows them."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.ballots import rows_of
from analysis.claims import REPORTED
from analysis.report.contents import BallotPart, Conduct
from analysis.report.inputs import ReportInputs
from analysis.report.tables.printed import conduct_cell, grid
from analysis.report.words.controlled import controlled_words, printed_controlled
from analysis.report.words.goodness import fit_words
from analysis.report.words.next_votes import next_votes_words
from analysis.report.words.raters import MOST, conduct_words, printed_screens, screens_words
from analysis.report.words.robustness import (
    categories_words,
    category_views,
    side_and_ties,
    verdict,
)
from analysis.report.words.wording import (
    asked,
    heading_words,
    measure_words,
    question_words,
    signed,
)


def holds_view(
    ballots: list[BallotPart], inputs: ReportInputs, prefix: str
) -> dict[str, Any] | None:
    """Return other analyses of every ballot, categories and what more votes would buy; None with
    none.

    Args:
        ballots: of the part.
        inputs: the arms' labels and strategies.
        prefix: of the part's file names.
    """
    labels, told, categories, equal = inputs.labels, [], [], []
    for ballot in ballots:
        found, heading = ballot.claims.robustness, _heading(ballot.question, ballot.rater_kind)
        fit = ballot.claims.goodness
        sentences = [fit_words(fit, labels), verdict(found, labels), more_words(ballot, labels)]
        if any(sentences):
            told.append(
                {**heading, "sentences": list(filter(None, sentences)),
                 "side": side_and_ties(found) if len(found.others) else "",
                 "file": f"{prefix}robustness-{ballot.slug}" if len(found.others) else "",
                 "fit": f"{prefix}fit-{ballot.slug}" if len(fit.pairs) else ""}
            )  # fmt: skip
        if ballot.claims.controlled is not None:
            equal.append(
                {**heading, "told": controlled_words(ballot.claims.controlled, labels),
                 "table": grid(printed_controlled(ballot.claims.controlled, labels)),
                 "file": f"{prefix}equal-properties-{ballot.slug}"}
            )  # fmt: skip
        if found.categories is not None:
            categories.append(
                {**heading, "told": categories_words(found, labels),
                 "views": category_views(found, labels),
                 "file": f"{prefix}categories-{ballot.slug}"}
            )  # fmt: skip
    if not told:
        return None
    return {"ballots": told, "table": _analyses(ballots, inputs), "categories": categories,
            "equal": equal}  # fmt: skip


def _analyses(ballots: list[BallotPart], inputs: ReportInputs) -> dict[str, Any] | None:
    """Return a row per analysis and a column per ballot: who is first, how alike the order is."""
    told = [
        (ballot, {row.analysis: row for row in rows_of(ballot.claims.robustness.table)})
        for ballot in ballots
        if len(ballot.claims.robustness.others)
    ]
    if not told:
        return None
    labels, strategies = inputs.labels, inputs.strategies
    names = dict.fromkeys(name for _, rows in told for name in rows)
    return {
        "columns": [_heading(ballot.question, ballot.rater_kind) for ballot, _ in told],
        "rows": [
            {
                "words": name,
                "cells": [_analysis(rows.get(name), labels, strategies) for _, rows in told],
            }
            for name in names
        ],
    }


def _analysis(row: Any, labels: dict[str, str], strategies: dict[str, str]) -> dict[str, str]:
    if row is None:
        return {"value": "–", "small": "", "mark": ""}
    first = labels.get(row.best, "–")
    votes = f"{row.votes:,} votes"
    if np.isnan(row.kendall_tau):
        return {"value": first, "small": f"{votes}; {row.note}", "mark": ""}
    tau = "" if row.analysis == REPORTED else f"τ\u00a0=\u00a0{signed(row.kendall_tau, 2)}; "
    return {"value": first, "small": tau + votes, "mark": strategies.get(row.best, "")}


def more_words(ballot: BallotPart, labels: dict[str, str]) -> str:
    """Return what more votes would buy, with the arms' labels."""
    ranked = [labels[arm] for arm in ballot.result.relative()["arm"]]
    if len(ranked) < 2:
        return ""
    return next_votes_words(ballot.claims.next_votes, (ranked[0], ranked[1]))


def conduct_view(conduct: Conduct | None, ballots: list[BallotPart]) -> dict[str, Any] | None:
    """Return sentences on each ballot, measures side by side, and raters that stand out."""
    if conduct is None:
        return None
    measures, screens = conduct.measures, conduct.screens
    cells = {(row.question, row.rater_kind, row.measure): row for row in rows_of(measures)}
    rows = []
    for measure in dict.fromkeys(measures["measure"]):
        found = [cells.get((b.question, b.rater_kind, measure)) for b in ballots]
        parts = [conduct_cell(cell) for cell in found]
        rows.append(
            {
                "words": measure_words(measure),
                "cells": [{"value": value, "small": small} for value, small in parts],
            }
        )
    flagged = int((screens["flags"] != "").sum())
    return {
        "columns": [_heading(b.question, b.rater_kind) for b in ballots],
        "rows": rows,
        "sentences": [
            {**_heading(b.question, b.rater_kind), "text": text}
            for b in ballots
            if (text := _sentences(conduct, b))
        ],
        "flagged": grid(printed_screens(screens, MOST)),
        "left_out": max(flagged - MOST, 0),
    }


def _sentences(conduct: Conduct, ballot: BallotPart) -> str:
    said = screens_words(ballot.of(conduct.screens)), conduct_words(ballot.of(conduct.measures))
    return " ".join(said).strip()


def _heading(question: str, kind: str) -> dict[str, Any]:
    return {
        "question": question_words(question),
        "heading": heading_words(question),
        "asked": asked(question),
        "simulated": kind == "simulated",
    }
