"""Whether the ranking holds, and who voted how carefully, as the page shows them."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.ballots import rows_of
from analysis.claims import REPORTED, Claims
from analysis.report.contents import Contents
from analysis.report.tables.printed import conduct_cell, grid
from analysis.report.words.next_votes import next_votes_words
from analysis.report.words.raters import MOST, conduct_words, printed_screens, screens_words
from analysis.report.words.robustness import (
    categories_words,
    printed_categories,
    side_and_ties,
    verdict,
)
from analysis.report.words.wording import (
    asked,
    heading_words,
    measure_words,
    question_words,
    signed,
    slug,
)
from analysis.scores import BallotResult


def holds_view(contents: Contents) -> dict[str, Any] | None:
    """Other analyses of every ballot, categories and what more votes would buy; None with none."""
    labels, ballots, categories = contents.labels, [], []
    for result, claims in zip(contents.results, contents.claims, strict=True):
        found, heading = (
            claims.robustness,
            _heading(result.ballot.question, result.ballot.rater_kind),
        )
        name = slug(result.ballot.question, result.ballot.rater_kind)
        sentences = [verdict(found, labels), more_words(result, claims, contents)]
        if any(sentences):
            ballots.append(
                {**heading, "sentences": list(filter(None, sentences)),
                 "side": side_and_ties(found) if len(found.others) else "",
                 "file": f"{contents.prefix}robustness-{name}" if len(found.others) else ""}
            )  # fmt: skip
        if found.categories is not None:
            categories.append(
                {**heading, "table": grid(printed_categories(found, labels)),
                 "told": categories_words(found), "file": f"{contents.prefix}categories-{name}"}
            )  # fmt: skip
    if not ballots:
        return None
    return {"ballots": ballots, "table": _analyses(contents), "categories": categories}


def _analyses(contents: Contents) -> dict[str, Any] | None:
    """A row an analysis, a column a ballot: who is first, and how alike the order is."""
    told = [
        (result, {row.analysis: row for row in rows_of(claims.robustness.table)})
        for result, claims in zip(contents.results, contents.claims, strict=True)
        if len(claims.robustness.others)
    ]
    if not told:
        return None
    names = dict.fromkeys(name for _, rows in told for name in rows)
    return {
        "columns": [_heading(r.ballot.question, r.ballot.rater_kind) for r, _ in told],
        "rows": [
            {"words": name, "cells": [_analysis(rows.get(name), contents) for _, rows in told]}
            for name in names
        ],
    }


def _analysis(row: Any, contents: Contents) -> dict[str, str]:
    if row is None:
        return {"value": "–", "small": "", "mark": ""}
    first = contents.labels.get(row.best, "–")
    votes = f"{row.votes:,} votes"
    if np.isnan(row.kendall_tau):
        return {"value": first, "small": f"{votes}; {row.note}", "mark": ""}
    tau = "" if row.analysis == REPORTED else f"τ\u00a0=\u00a0{signed(row.kendall_tau, 2)}; "
    mark = contents.strategies.get(row.best, "")
    return {"value": first, "small": tau + votes, "mark": mark}


def more_words(result: BallotResult, claims: Claims, contents: Contents) -> str:
    """What more votes would buy, with the arms' labels."""
    table = result.relative()
    ranked = [contents.labels[arm] for arm in table["arm"]]
    return next_votes_words(claims.next_votes, (ranked[0], ranked[1])) if len(ranked) > 1 else ""


def conduct_view(contents: Contents) -> dict[str, Any] | None:
    """Sentences on each ballot, measures side by side, and raters that stand out."""
    table = contents.conduct
    if table.empty:
        return None
    keys = [(r.ballot.question, r.ballot.rater_kind) for r in contents.results]
    cells = {(row.question, row.rater_kind, row.measure): row for row in rows_of(table)}
    rows = []
    for measure in dict.fromkeys(table["measure"]):
        found = [cells.get((*key, measure)) for key in keys]
        parts = [conduct_cell(cell) for cell in found]
        rows.append(
            {
                "words": measure_words(measure),
                "cells": [{"value": value, "small": small} for value, small in parts],
            }
        )
    flagged = int((contents.screens["flags"] != "").sum())
    return {
        "columns": [_heading(*key) for key in keys],
        "rows": rows,
        "sentences": [
            {**_heading(*key), "text": text} for key in keys if (text := _sentences(contents, *key))
        ],
        "flagged": grid(printed_screens(contents.screens, MOST)),
        "left_out": max(flagged - MOST, 0),
    }


def _sentences(contents: Contents, question: str, kind: str) -> str:
    measures, screens = (
        table[(table["question"] == question) & (table["rater_kind"] == kind)]
        for table in (contents.conduct, contents.screens)
    )
    return f"{screens_words(screens)} {conduct_words(measures)}".strip()


def _heading(question: str, kind: str) -> dict[str, Any]:
    return {
        "question": question_words(question),
        "heading": heading_words(question),
        "asked": asked(question),
        "simulated": kind == "simulated",
    }
