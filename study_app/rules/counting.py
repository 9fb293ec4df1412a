"""Which votes count: taken back, gold, repeated, of excluded raters.

Functions of the votes table; they take the columns of votes.csv.
"""

from __future__ import annotations

import pandas as pd

from analysis.ballots import RaterKind


def of_kind(votes: pd.DataFrame, rater_kind: RaterKind) -> pd.DataFrame:
    """The votes of people, or of simulated raters."""
    return votes.loc[votes["rater_kind"] == rater_kind]


def standing(votes: pd.DataFrame) -> pd.DataFrame:
    """The votes that stand: those taken back left out."""
    return votes.loc[~votes["revised"].astype(bool)] if "revised" in votes else votes


def counted(votes: pd.DataFrame) -> pd.DataFrame:
    """The votes that count towards those wanted: standing, neither gold nor repeated."""
    votes = standing(votes)
    for name in ("gold", "repeat_of"):
        if name in votes:
            votes = votes.loc[votes[name] == ""]
    return votes


def scored(votes: pd.DataFrame) -> pd.DataFrame:
    """The votes that scores are made of: standing ones, neither gold nor of excluded raters."""
    votes = standing(votes)
    for name in ("gold", "excluded"):
        if name in votes:
            votes = votes.loc[votes[name] == ""]
    return votes
