"""Raters that a screen flags, numbered so that a report can speak of them without their names."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .conduct import rater_screens


def numbered_screens(votes: pd.DataFrame) -> pd.DataFrame:
    """`rater_screens` of each question, without raters' own names, which a report must not spread.

    Returns:
        question, its columns, with `rater` a number in the order of first votes, and `first_vote`,
        the row (from 1) of that vote in the table of votes, by which an owner finds them again.
    """
    names = votes["rater"].astype(str)
    first = pd.Series(np.arange(1, len(votes) + 1), index=names)[~names.duplicated().to_numpy()]
    number = pd.Series(np.arange(1, len(first) + 1), index=first.index)
    parts = [
        rater_screens(of_one).assign(question=str(question))
        for question, of_one in votes.groupby("question", observed=True, sort=False)
    ]
    if not parts:
        return rater_screens(votes).assign(question="", first_vote=0)
    screens = pd.concat(parts, ignore_index=True)
    screens.insert(1, "first_vote", first.reindex(screens["rater"]).to_numpy())
    screens["rater"] = number.reindex(screens["rater"]).to_numpy()
    screens.insert(0, "question", screens.pop("question"))
    return screens.sort_values("first_vote", kind="stable").reset_index(drop=True)
