"""Who voted and how carefully, in sentences, and the raters that a screen flags."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from .conduct import TOO_FAST, rater_screens
from .wording import SIMULATED, rows_of, share, signed

MOST = 12  # flagged raters in the page; the file holds every rater
_DISPARATE, _ALIKE = 0.4, 0.67  # Krippendorff's α below which tastes differ, above which they agree


def numbered_screens(votes: pd.DataFrame) -> pd.DataFrame:
    """`rater_screens` without the raters' own names, which a report must not spread.

    Returns:
        Its columns, with `rater` a number in the order of first votes, and `first_vote`, the row
        (from 1) of that vote in the table of votes, by which an owner finds them again.
    """
    screens = rater_screens(votes)
    names = pd.Index(votes["rater"].astype(str))
    row = pd.Series(np.arange(1, len(names) + 1), index=names)
    first = row[~names.duplicated()]
    screens.insert(1, "first_vote", first.reindex(screens["rater"]).to_numpy())
    screens = screens.sort_values("first_vote", kind="stable").reset_index(drop=True)
    return screens.assign(rater=np.arange(1, len(screens) + 1))


def screens_words(screens: pd.DataFrame) -> str:
    """How many raters a screen flags, and for what."""
    told = []
    for kind, rows in screens.groupby("rater_kind", sort=False):
        who = SIMULATED if kind == "simulated" else "raters"
        flagged = rows[rows["flags"] != ""]
        if flagged.empty:
            told.append(f"None of the {len(rows):,} {who} stands out by speed, side, ties or gold.")
            continue
        counts = flagged["flags"].str.split(", ").explode().value_counts()
        why = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        of = share(float(flagged["votes"].sum() / rows["votes"].sum()))
        told.append(
            f"{len(flagged):,} of {len(rows):,} {who} stand{'s' * (len(flagged) == 1)} out "
            f"({why}); {of} of the votes are theirs."
        )
    return " ".join(told)


def conduct_words(measures: pd.DataFrame) -> str:
    """What the conduct of one ballot means for its scores.

    Args:
        measures: the ballot's rows of `study_conduct`.
    """
    found = {row.measure: row for row in rows_of(measures)}
    sentences = [_pace(found), _side(found), _agreement(found), _care(found)]
    return " ".join(sentence for sentence in sentences if sentence)


def printed_screens(screens: pd.DataFrame, most: int | None = None) -> pd.DataFrame:
    """Flagged raters as printed, those of most votes first; columns without a value left out."""
    flagged = screens[screens["flags"] != ""].sort_values("votes", ascending=False, kind="stable")
    rows = [
        (str(row.rater), row.flags, f"{row.votes:,}", _seconds(row.seconds), share(row.fast_share),
         share(row.left_share), share(row.tie_share), share(row.gold_accuracy))
        for row in rows_of(flagged.head(most or len(flagged)))
    ]  # fmt: skip
    heads = ["Rater", "Stands out by", "Votes", "Median time", f"Under {TOO_FAST:g} s",
             "Left of decided", "Ties", "Gold right"]  # fmt: skip
    table = pd.DataFrame(rows, columns=heads)
    said = (table != "–").any()
    return table[[name for name in heads if said[name] or name == "Rater"]]


def _pace(found: dict[str, Any]) -> str:
    median, fast = found.get("seconds_p50"), found.get("fast_share")
    if median is None or np.isnan(median.value):
        return ""
    told = f"Half of the votes took longer than {median.value:.1f} s"
    if fast is None or np.isnan(fast.value) or not fast.value:
        return f"{told}, none less than {TOO_FAST:g} s."
    return (
        f"{told}, {share(fast.value)} less than {TOO_FAST:g} s, too little to compare two images."
    )


def _side(found: dict[str, Any]) -> str:
    side = found.get("side_bias")
    if side is None or np.isnan(side.low) or side.low <= 0.5 <= side.high:
        return ""
    which = "left" if side.value > 0.5 else "right"
    chosen = side.value if side.value > 0.5 else 1 - side.value
    return f"Raters lean to the {which} ({share(chosen)} of decided votes)."


def _agreement(found: dict[str, Any]) -> str:
    raw, alpha = found.get("raw_agreement"), found.get("krippendorff_alpha")
    if raw is None or alpha is None or np.isnan(raw.value) or np.isnan(alpha.value):
        return ""
    told = (
        f"Two raters of one pair agree in {share(raw.value)} of cases (Krippendorff's α "
        f"{signed(alpha.value, 2)})"
    )
    if alpha.value < _DISPARATE:
        return f"{told}: pairs are close or tastes differ, so many raters matter."
    return f"{told}: they see alike." if alpha.value >= _ALIKE else f"{told}."


def _care(found: dict[str, Any]) -> str:
    told = [
        f"{share(found[name].value)} {words}"
        for name, words in (
            ("repeat_consistency", "of repeated pairs were answered alike"),
            ("gold_accuracy", "of gold pairs were answered rightly"),
        )
        if name in found and not np.isnan(found[name].value)
    ]
    return f"{' and '.join(told)}." if told else ""


def _seconds(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.1f} s"
