"""Whether one score per arm describes the votes, in sentences and as printed tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.ballots import rows_of
from analysis.scores import Goodness

from .wording import bounds, lower_first, p_words, probability_words, share, signed

MOST = 3  # pairs or circles named


def test_words(found: Goodness) -> str:
    """Return the test: `F(3, 87) = 4.20, p = 0.008`."""
    return f"F({found.df1:.3g}, {found.df2:.0f}) = {found.f:.2f}, {p_words(found.p)}"


def misfit(found: Goodness, labels: Mapping[str, str]) -> list[str]:
    """Return the warning for the report's beginning; empty where one score per arm will do."""
    if not found.misfits():
        return []
    circles = found.certain_circles()
    told = [f"But these votes do not lie on one scale ({test_words(found)})"]
    if len(circles):
        told.append(f"{_circle(next(rows_of(circles)), labels)}, so no ranking of the three holds")
    else:
        told.append(_pair(next(rows_of(found.pairs)), labels))
    return [f"{': '.join(told)}. Scores alone mislead here: “Who beats whom” has the votes."]


def fit_words(found: Goodness, labels: Mapping[str, str]) -> str:
    """Return whether the votes lie on one scale, with the worst pairs and the circles."""
    if not found.misfits():
        if found.reason:
            return f"No test of whether the votes lie on one scale: {found.reason}."
        return f"Nothing shows that one score per arm is too few ({test_words(found)})."
    worst = list(rows_of(found.pairs[found.pairs["p_adjusted"] < 0.05]))[:MOST]
    told = [_pair(row, labels) for row in worst] or [_pair(next(rows_of(found.pairs)), labels)]
    text = (
        f"One score per arm does not describe these votes ({test_words(found)}). "
        f"Least of all: {'; '.join(told)}."
    )
    circles = [_circle(row, labels) for row in rows_of(found.certain_circles())][:MOST]
    text += f" In a circle: {'; '.join(circles)}." if circles else ""
    return text + " Every other analysis below gives each arm one score too."


def misfitting(found: Goodness) -> set[tuple[str, str]]:
    """Return the ordered pairs of arms that the scores misjudge, where the votes do not fit."""
    if not found.misfits():
        return set()
    odd = found.pairs[found.pairs["p_adjusted"] < 0.05]
    pairs = set(zip(odd["arm"], odd["against"], strict=True))
    return pairs | {(against, arm) for arm, against in pairs}


def printed_fit(found: Goodness, labels: Mapping[str, str]) -> pd.DataFrame:
    """Return observed beside fitted shares as printed, the least fitting pair first."""
    rows = [
        (labels[row.arm], labels[row.against], f"{row.n:,}", share(row.observed),
         share(row.fitted), _points(row.deviation), _interval(row),
         probability_words(row.p_adjusted))
        for row in rows_of(found.pairs)
    ]  # fmt: skip
    heads = ["Arm", "Against", "Votes", "Observed", "Fitted", "Difference, points",
             "95% interval of it", "p"]  # fmt: skip
    return pd.DataFrame(rows, columns=heads)


def printed_circles(found: Goodness, labels: Mapping[str, str]) -> pd.DataFrame:
    """Return arms that beat each other in a circle as printed, the surest first."""
    rows = [
        (*(labels[arm] for arm in (row.first, row.second, row.third)),
         *(share(value) for value in (row.first_second, row.second_third, row.third_first)),
         probability_words(row.p_adjusted))
        for row in rows_of(found.circles)
    ]  # fmt: skip
    heads = ["First", "Second", "Third", "First beats second", "Second beats third",
             "Third beats first", "p"]  # fmt: skip
    return pd.DataFrame(rows, columns=heads)


def _pair(row: Any, labels: Mapping[str, str]) -> str:
    against = lower_first(labels[row.against])
    return (
        f"{labels[row.arm]} won {share(row.observed)} of {row.n:,} votes against {against}, "
        f"where the scores expect {share(row.fitted)}"
    )


def _circle(row: Any, labels: Mapping[str, str]) -> str:
    a, b, c = (lower_first(labels[arm]) for arm in (row.first, row.second, row.third))
    return (
        f"{labels[row.first]} beats {b} ({share(row.first_second)}), {b} beats {c} "
        f"({share(row.second_third)}) and {c} beats {a} ({share(row.third_first)})"
    )


def _points(value: float) -> str:
    return signed(100 * value, 1)


def _interval(row: Any) -> str:
    return bounds(100 * np.float64(row.low), 100 * np.float64(row.high), 1)
