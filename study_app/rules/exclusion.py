"""Which raters a study's own rules leave out.

The rules are fixed in the design before the first vote. They look at conduct alone (gold pairs,
times, sides, repeated pairs), never at which arm won. Votes of excluded raters stay in the data,
flagged with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis.ballots import counted, left_wins, read_votes

from .design import ExcludeTable
from .limits import SIDES_NEEDED


def exclusions(votes: pd.DataFrame, rules: ExcludeTable) -> dict[str, str]:
    """Return the raters that the rules leave out, each with the first rule it breaks, in words.

    Args:
        votes: the columns of votes.csv. Answers taken back are passed over; who was excluded
            before makes no difference.
        rules: the study's.
    """
    if rules == ExcludeTable(min_answers=rules.min_answers):
        return {}
    checked = read_votes(votes.drop(columns="excluded", errors="ignore"))
    reasons: dict[str, str] = {}
    for rater, reason in _broken(checked, rules):
        reasons.setdefault(rater, reason)
    return reasons


def _broken(votes: pd.DataFrame, rules: ExcludeTable) -> Iterator[tuple[str, str]]:
    """Yield each rater who breaks a rule, and how: all of the first rule, then of the next."""
    from analysis.raters import gold_answers, repeats  # what most studies start without

    fewest = rules.min_answers
    if (limit := rules.gold_accuracy_below) is not None:
        asked, right = gold_answers(votes)
        for rater, own in _by_rater(asked["rater"], right, fewest):
            if own.mean() < limit:
                yield rater, f"gold accuracy {own.mean():.2f} < {limit:g} (n = {len(own)})"
    if (limit := rules.repeat_agreement_below) is not None:
        again = repeats(votes)
        for rater, own in _by_rater(again["rater"], again["alike"], fewest):
            if own.mean() < limit:
                yield rater, f"repeat agreement {own.mean():.2f} < {limit:g} (n = {len(own)})"
    if (limit := rules.median_seconds_below) is not None:
        # gold pairs are looked at like any other, so their times tell as much of haste
        timed = votes.loc[~votes["revised"].astype(bool) & votes["seconds"].notna()]
        for rater, own in _by_rater(timed["rater"], timed["seconds"], fewest):
            if own.median() < limit:
                yield rater, f"median time {own.median():.2f} s < {limit:g} s (n = {len(own)})"
    if (limit := rules.one_side_above) is not None:
        plain = votes.loc[counted(votes)]
        left = left_wins(plain)
        decided = left != 0.5
        for rater, own in _by_rater(
            plain["rater"][decided], left[decided], max(fewest, SIDES_NEEDED)
        ):
            share = max(own.sum(), len(own) - own.sum()) / len(own)
            if share > limit:
                yield rater, f"one side {share:.2f} > {limit:g} (n = {len(own)})"


def _by_rater(
    raters: pd.Series, values: pd.Series | np.ndarray, fewest: int
) -> Iterator[tuple[str, pd.Series]]:
    """Yield each rater with that many values, and the values."""
    table = pd.Series(np.asarray(values, np.float64), index=raters.astype(str))
    for rater, own in table.groupby(level=0, sort=False):
        if len(own) >= fewest:
            yield str(rater), own
