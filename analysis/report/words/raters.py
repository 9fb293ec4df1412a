"""Who voted and how carefully, in sentences, and the raters that a screen flags."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.ballots import rows_of
from analysis.raters import TOO_FAST

from .wording import SIMULATED, question_words, share, signed

MOST = 12  # flagged raters in the page; the file holds every rater
_FEWEST_PAIRS = 10  # before their agreement says anything
_DISPARATE, _ALIKE = 0.4, 0.67  # Krippendorff's α below which tastes differ, above which they agree


def screens_words(screens: pd.DataFrame) -> str:
    """Return how many raters of one ballot a screen flags, and for what."""
    if screens.empty:
        return ""
    who = SIMULATED if (screens["rater_kind"] == "simulated").all() else "raters"
    flagged = screens[screens["flags"] != ""]
    if flagged.empty:
        return f"None of the {len(screens):,} {who} stands out by speed, side, ties or gold."
    counts = flagged["flags"].str.split(", ").explode().value_counts()
    why = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    of = share(float(flagged["votes"].sum() / screens["votes"].sum()))
    return (
        f"{len(flagged):,} of {len(screens):,} {who} stand{'s' * (len(flagged) == 1)} out "
        f"({why}); {of} of the votes are theirs."
    )


def conduct_words(measures: pd.DataFrame) -> str:
    """Return what the conduct of one ballot means for its scores.

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
        (str(row.rater), question_words(row.question), row.flags, f"{row.votes:,}",
         _seconds(row.seconds), share(row.fast_share), share(row.left_share), share(row.tie_share),
         share(row.gold_accuracy))
        for row in rows_of(flagged.head(most or len(flagged)))
    ]  # fmt: skip
    heads = ["Rater", "Question", "Stands out by", "Votes", "Median time", f"Under {TOO_FAST:g} s",
             "Left of decided", "Ties", "Gold right"]  # fmt: skip
    table = pd.DataFrame(rows, columns=heads)
    said = (table != "–").any()
    said["Question"] = screens["question"].nunique() > 1
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
    if raw is None or alpha is None or np.isnan(alpha.value) or alpha.n < _FEWEST_PAIRS:
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
