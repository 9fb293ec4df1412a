"""All that votes say about a run: a fit, intervals and tables for each ballot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.ballots import Ballot, ballots, win_matrix

from .bootstrap import Bootstrap, bootstrap
from .elo import EloFit, fit_elo
from .intervals import Sandwich, sandwich
from .leaderboard import elo_table, win_table


@dataclass(frozen=True)
class BallotResult:
    """One question's answer by one kind of rater.

    Attributes:
        ballot: the votes.
        fit: Elo scores.
        intervals: clustered by rater, and by prompt where votes carry prompts; used throughout.
        resampled: the rater bootstrap, beside them in the tables.
        anchor: the arm that Elo is measured from in figures: the one asked for if the votes link
            it with others, else None.
    """

    ballot: Ballot
    fit: EloFit
    intervals: Sandwich
    resampled: Bootstrap
    anchor: str | None

    def scores(self) -> pd.DataFrame:
        """`elo_table` on the mean-zero scale, with bootstrap_low and bootstrap_high."""
        resampled = elo_table(self.fit, self.resampled)[["arm", "low", "high"]]
        return elo_table(self.fit, self.intervals).merge(
            resampled.rename(columns={"low": "bootstrap_low", "high": "bootstrap_high"}), on="arm"
        )

    def relative(self) -> pd.DataFrame:
        """`elo_table` measured from the anchor; on the mean-zero scale without one.

        Without an anchor only arms of the largest group that votes link keep a number: other
        groups' zeros are elsewhere.
        """
        table = elo_table(self.fit, self.intervals, self.anchor)
        if self.anchor is None and len(table):
            largest = table["group"].mode().min()
            apart = (table["group"] != largest) & np.isfinite(table["elo"])
            table.loc[apart, ["elo", "low", "high"]] = np.nan
            table.loc[apart, "reason"] = "scored apart from the largest group of arms"
        return table

    def win_table(self) -> pd.DataFrame:
        """Return who beats whom (`leaderboard.win_table`)."""
        return win_table(self.fit, self.intervals)


def analyse(
    votes: pd.DataFrame, anchor: str | None = None, rounds: int = 1000, seed: int = 0
) -> list[BallotResult]:
    """Fit every ballot of checked votes (`read_votes`).

    Args:
        votes: may be empty: then nothing is found.
        anchor: the arm to measure from, usually the unguided one.
        rounds: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        One result per question and kind of rater, in the order of `ballots`.

    Raises:
        ValueError: `anchor` is no arm of the votes.

    Examples:
        >>> (result,) = analyse(votes, "unguided", rounds=50)
        >>> result.ballot.question, result.anchor
        ('photorealism', 'unguided')
    """
    return [_result(ballot, anchor, rounds, seed) for ballot in ballots(votes)]


def _result(ballot: Ballot, anchor: str | None, rounds: int, seed: int) -> BallotResult:
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    if anchor is not None:
        # An arm alone in its group has no finite difference from any other, so it anchors nothing.
        linked = fit.groups == fit.groups[fit.arms.index(anchor)]
        anchor = anchor if linked.sum() > 1 else None
    return BallotResult(
        ballot, fit, sandwich(fit, ballot), bootstrap(fit, ballot, rounds, seed), anchor
    )
