"""Rankings and best scales as the report prints them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.ballots import rows_of
from analysis.claims import Claims
from analysis.report.strategies import series_words

from .wording import bounds, lower_first, p_words, probability_words, signed

_EDGES = {"the largest scale tried": " or more", "the smallest scale tried": " or less"}


def printed_comparisons(claims: Claims, labels: dict[str, str]) -> pd.DataFrame:
    """Return every pair of arms as printed."""
    rows = [
        (labels[row.arm], labels[row.against], signed(row.difference), bounds(row.low, row.high),
         probability_words(row.p_adjusted), row.reason or ("yes" if row.distinct else "no"))
        for row in rows_of(claims.comparisons.table)
    ]  # fmt: skip
    heads = ["Arm", "Against", "Elo difference", "95% interval", "p", "Apart"]
    return pd.DataFrame(rows, columns=heads)


def printed_best_scales(claims: Claims) -> pd.DataFrame:
    """Return each series' best tried scale as printed, the others that may be the best, and where
    the curve between scales is highest; `6 or more` where it is the largest one tried.
    """
    rows = []
    for row in rows_of(claims.curves.best):
        reach = "–" if np.isnan(row.low) else f"{row.low:.3g} to {row.high:.3g}"
        reach = f"{row.low:.3g}" if row.low == row.high else reach
        edge = next((words for start, words in _EDGES.items() if row.reason.startswith(start)), "")
        rows.append(
            (series_words(row.strategy), f"{row.scale:.3g}{edge}", reach, _between(row),
             signed(row.elo), bounds(row.elo_low, row.elo_high), "" if edge else row.reason)
        )  # fmt: skip
    heads = ["Strategy", "Best scale tried", "May be the best",
             "Between scales", "Elo there", "95% interval of it", "Note"]  # fmt: skip
    table = pd.DataFrame(rows, columns=heads)
    empty = [
        head for head, nothing in (("Note", ""), ("Between scales", "–"))
        if (table[head] == nothing).all()
    ]  # fmt: skip
    return table.drop(columns=empty)


def _between(row: Any) -> str:
    return "–" if np.isnan(row.peak_low) else f"{row.peak_low:.3g} to {row.peak_high:.3g}"


def best_scale_notes(claims: Claims) -> list[str]:
    """Return how to read the columns of best scales."""
    best = claims.curves.best
    if best["low"].isna().all():
        return []
    told = "A tried scale may be the best unless another one is certainly above it (95%)."
    if best["peak_low"].notna().any():
        told += (
            " Between scales: a 95% interval of the highest point of a smooth curve, with the "
            "error of interpolating; it means nothing if the curve has a spike between scales."
        )
    return [told]


def curve_sentences(claims: Claims) -> list[str]:
    """Return whether two series' curves differ, one sentence per pair."""
    sentences = []
    for row in rows_of(claims.curves.tests):
        first, second = series_words(row.strategy), lower_first(series_words(row.against))
        gap = f"{signed(row.best_difference)} Elo ({bounds(row.low, row.high)})"
        if np.isnan(row.f):
            test = f"no test of the curves: {row.reason}"
        else:
            test = f"F({row.df1:g}, {row.df2:.0f}) = {row.f:.2f}, {p_words(row.p)} for equal curves"
        sentences.append(f"{first} against {second}, each at its best scale: {gap}; {test}.")
    return sentences


def rank_sets(claims: Claims) -> dict[str, str]:
    """Arm → `1 to 3`; a dash where it has no score."""
    return {
        row.arm: "–" if not row.rank
        else f"{row.best}" if row.best == row.worst
        else f"{row.best} to {row.worst}"
        for row in rows_of(claims.comparisons.ranks)
    }  # fmt: skip


def distinct_words(claims: Claims) -> str:
    """Return how many pairs of arms are apart for certain."""
    table = claims.comparisons.table
    known = int((table["reason"] == "").sum())
    apart = int(table["distinct"].sum())
    if not known:
        return ""
    pairs = f"{known:,} pairs" if known > 1 else "1 pair"
    found = f"{apart:,} {'is' if apart == 1 else 'are'}" if apart else "none is"
    which, together = "of arms", "all pairs"
    if not claims.comparisons.every_pair:
        which, together = "of neighbours in rank and of the baseline with each arm", "these pairs"
    return (
        f"Of {pairs} {which}, {found} apart with 95% confidence over {together} together; a "
        "rank set holds every rank an arm may then have."
    )
