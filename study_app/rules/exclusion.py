"""Which raters a study's own rules leave out.

The rules are fixed in the design before the first vote, and look at conduct alone: gold pairs,
times, sides, repeated pairs; never at which arm won. Votes of excluded raters stay in the data,
flagged with the reason.
"""

from __future__ import annotations

import pandas as pd

from .design import ExcludeTable

SIDES_NEEDED = 10
"""Fewer answers say nothing of sides: of three, a quarter of all fair raters have all on one; of
ten, one in 500."""

_MIRRORED = {"left": "right", "right": "left"}


def exclusions(votes: pd.DataFrame, rules: ExcludeTable) -> dict[str, str]:
    """The raters left out, each with the first rule that says so, in words.

    Args:
        votes: the columns of votes.csv; answers taken back are passed over.
        rules: the study's.
    """
    standing = votes.loc[~votes["revised"].astype(bool)]
    reasons: dict[str, str] = {}
    for rater, own in standing.groupby("rater", sort=False):
        reason = _reason(own, rules)
        if reason:
            reasons[str(rater)] = reason
    return reasons


def _reason(own: pd.DataFrame, rules: ExcludeTable) -> str:
    """Why a rater with these votes is left out; empty: they are not."""
    gold = own.loc[own["gold"] != ""]
    limit = rules.gold_accuracy_below
    if limit is not None and len(gold) >= rules.min_answers:
        accuracy = (gold["answer"] == gold["gold"]).mean()
        if accuracy < limit:
            return f"gold accuracy {accuracy:.2f} < {limit:g} (n = {len(gold)})"
    alike = repeats_alike(own)
    limit = rules.repeat_agreement_below
    if limit is not None and len(alike) >= rules.min_answers and alike.mean() < limit:
        return f"repeat agreement {alike.mean():.2f} < {limit:g} (n = {len(alike)})"
    seconds = own["seconds"].dropna()
    limit = rules.median_seconds_below
    if limit is not None and len(seconds) >= rules.min_answers and seconds.median() < limit:
        return f"median time {seconds.median():.2f} s < {limit:g} s (n = {len(seconds)})"
    decided = own.loc[own["answer"].isin(["left", "right"]) & (own["gold"] == ""), "answer"]
    limit = rules.one_side_above
    if limit is not None and len(decided) >= max(rules.min_answers, SIDES_NEEDED):
        share = decided.value_counts(normalize=True).max()
        if share > limit:
            return f"one side {share:.2f} > {limit:g} (n = {len(decided)})"
    return ""


def repeats_alike(votes: pd.DataFrame) -> pd.Series[bool]:
    """Whether each repeated pair was answered as before, by rater; sides may have changed.

    Args:
        votes: the columns of votes.csv, without answers taken back.

    Returns:
        One value a repeated pair whose first answer stands; indexed by rater.
    """
    again = votes.loc[votes["repeat_of"] != ""]
    first = votes.set_index("assignment").reindex(again["repeat_of"])
    turned = again["arm_left"].to_numpy() != first["arm_left"].to_numpy()
    before = [
        _MIRRORED.get(str(answer), answer) if mirrored else answer
        for answer, mirrored in zip(first["answer"], turned, strict=True)
    ]
    known = first["answer"].notna().to_numpy()
    alike = pd.Series(again["answer"].to_numpy() == before, index=again["rater"], dtype=bool)
    return alike[known]
