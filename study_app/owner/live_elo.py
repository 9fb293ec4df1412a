"""Live Elo scores of the votes so far."""

from __future__ import annotations

import pandas as pd

from analysis import AnalysisError, elo_table, fit_elo, sandwich
from analysis.ballots import RaterKind, ballots, counted, read_votes, win_matrix
from study_app.errors import StudyError
from study_app.rules import of_kind

COLUMNS = ("arm", "elo", "ci_low", "ci_high", "votes", "note")


def live_elo(votes: pd.DataFrame, question: str, rater_kind: RaterKind) -> pd.DataFrame:
    """Return Elo scores of one question from one kind of rater, never mixed; best first.

    They are made of the votes that count (`analysis.ballots.counted`).

    Args:
        votes: the columns of votes.csv.
        question: its key.
        rater_kind: `person` or `simulated`.

    Returns:
        Columns `COLUMNS`; scores and 95% bounds in Elo points, NaN where `note` says why. Empty
        without votes.
    """
    mine = of_kind(votes, rater_kind)
    mine = mine.loc[counted(mine) & (mine["question"] == question)]
    if mine.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    try:
        (ballot,) = ballots(read_votes(mine))
        fit = fit_elo(win_matrix(ballot), ballot.arms)
        table = elo_table(fit, sandwich(fit, ballot))
    except AnalysisError as error:
        raise StudyError(str(error)) from error
    names = {"low": "ci_low", "high": "ci_high", "reason": "note"}
    return table.rename(columns=names).loc[:, list(COLUMNS)]
