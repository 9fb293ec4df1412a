"""The one seam to `analysis`: live Elo scores of the votes so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("arm", "elo", "ci_low", "ci_high", "votes", "note")


def live_elo(votes: pd.DataFrame, question: str, rater_kind: str, seed: int = 0) -> pd.DataFrame:
    """Elo scores of one question from one kind of rater, never mixed; best first.

    Args:
        votes: the columns of votes.csv.
        question: its key.
        rater_kind: `person` or `simulated`.
        seed: of the intervals' resampling, where they resample.

    Returns:
        Columns `COLUMNS`; scores and 95% bounds in Elo points, NaN where `note` says why. Empty
        without votes.
    """
    import pandas as pd

    mine = votes[(votes["question"] == question) & (votes["rater_kind"] == rater_kind)]
    if mine.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    from analysis import elo_table

    table = elo_table(mine, question, seed=seed)
    return table.sort_values("elo", ascending=False, ignore_index=True)[list(COLUMNS)]
