"""Which raters a study's own rules leave out.

The rules are fixed in the design before the first vote. They look at conduct alone (gold pairs,
times, sides, repeated pairs), never at which arm won. Votes of excluded raters stay in the data,
flagged with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

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
        for rater, share, n in _by_rater(asked["rater"], right, "mean", fewest, limit):
            yield rater, f"gold accuracy {share:.2f} < {limit:g} (n = {n})"
    if (limit := rules.repeat_agreement_below) is not None:
        again = repeats(votes)
        for rater, share, n in _by_rater(again["rater"], again["alike"], "mean", fewest, limit):
            yield rater, f"repeat agreement {share:.2f} < {limit:g} (n = {n})"
    if (limit := rules.median_seconds_below) is not None:
        # gold pairs are looked at like any other, so their times tell as much of haste
        timed = votes.loc[~votes["revised"].astype(bool) & votes["seconds"].notna()]
        for rater, seconds, n in _by_rater(
            timed["rater"], timed["seconds"], "median", fewest, limit
        ):
            yield rater, f"median time {seconds:.2f} s < {limit:g} s (n = {n})"
    if (limit := rules.one_side_above) is not None:
        plain = votes.loc[counted(votes)]
        left = left_wins(plain)
        decided = left != 0.5
        fewest = max(fewest, SIDES_NEEDED)
        # 1 for left and −1 for right, so that the size of the mean says how far to one side
        for rater, balance, n in _by_rater(
            plain["rater"][decided], 2 * left[decided] - 1, "mean", fewest
        ):
            share = (1 + abs(balance)) / 2
            if share > limit:
                yield rater, f"one side {share:.2f} > {limit:g} (n = {n})"


def _by_rater(
    raters: pd.Series,
    values: pd.Series | np.ndarray,
    statistic: Literal["mean", "median"],
    fewest: int,
    below: float = math.inf,
) -> list[tuple[str, float, int]]:
    """Return the raters with that many values whose statistic is below a limit.

    Returns:
        Rater, statistic and number of values, in the order in which raters first appear.
    """
    table = pd.DataFrame({"rater": raters.to_numpy(), "value": np.asarray(values, np.float64)})
    of_rater = table.groupby("rater", sort=False, observed=True)["value"]
    told = of_rater.agg([statistic, "size"])
    found = told[(told["size"] >= fewest) & (told[statistic] < below)]
    return [(str(rater), float(value), int(n)) for rater, value, n in found.itertuples(name=None)]
