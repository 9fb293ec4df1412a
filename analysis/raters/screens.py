"""Each rater's habits beside limits, none of which looks at which arm won."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.ballots import counted, left_wins, tied

from .agreement import gold_answers, repeats
from .limits import FEWEST_VOTES, GOLD_RIGHT, ONE_SIDED, TOO_FAST

_HABITS = ["rater", "rater_kind"]


def rater_screens(votes: pd.DataFrame, with_excluded: bool = False) -> pd.DataFrame:
    """Return each rater's habits, and by which of them the rater stands out.

    Args:
        votes: what `read_votes` returned. Habits are those of votes that count (`counted`), gold
            accuracy that of `on_gold`; raters without a vote that counts have no row.
        with_excluded: take votes that the study excluded as if they counted, so that excluded
            raters have rows too.

    Returns:
        One row per rater: rater, rater_kind, votes, seconds (median; NaN without times),
        fast_share (of votes under `TOO_FAST` seconds), left_share (of decided votes), tie_share,
        gold_accuracy (NaN without gold pairs), repeat_consistency (NaN without repeated pairs),
        flags (`too fast`, `one side`, `always ties`, `gold`, joined by commas; empty where none
        applies). Raters with fewer than ten votes are not flagged for sides or ties.

    Examples:
        >>> rater_screens(votes)[["rater", "votes", "seconds", "flags"]].head(1).values.tolist()
        [['r0', 6, 2.5, '']]
    """
    if with_excluded:
        votes = votes.drop(columns="excluded", errors="ignore")
    table = _habits(votes[counted(votes)])
    asked, right = gold_answers(votes)
    again = repeats(votes)
    for name, raters, yes in (
        ("gold_accuracy", asked["rater"], right),
        ("repeat_consistency", again["rater"], again["alike"]),
    ):
        shares = pd.Series(np.asarray(yes, np.float64), index=raters.astype(str))
        table[name] = table["rater"].map(shares.groupby(level=0).mean())
    table["flags"] = _flags(table)
    return table


def _habits(votes: pd.DataFrame) -> pd.DataFrame:
    """Return one row per rater and kind: votes, seconds and shares of fast, left and tied votes."""
    no_winner = tied(votes)
    seconds = votes["seconds"] if "seconds" in votes else pd.Series(np.nan, index=votes.index)
    frame = pd.DataFrame(
        {
            "rater": votes["rater"].astype(str),
            "rater_kind": votes["rater_kind"].astype(str),
            "seconds": seconds,
            "fast": (seconds < TOO_FAST).where(seconds.notna()).astype(float),
            "left": np.where(no_winner, np.nan, left_wins(votes)),
            "tied": no_winner.astype(float),
        }
    )
    of_rater = frame.groupby(_HABITS)
    return pd.DataFrame(
        {
            "votes": of_rater.size(),
            "seconds": of_rater["seconds"].median(),
            "fast_share": of_rater["fast"].mean(),
            "left_share": of_rater["left"].mean(),
            "tie_share": of_rater["tied"].mean(),
        }
    ).reset_index()


def _flags(table: pd.DataFrame) -> list[str]:
    enough = table["votes"] >= FEWEST_VOTES
    # Nine in ten votes for the right are as odd as nine in ten for the left.
    one_sided = (table["left_share"] - 0.5).abs() >= ONE_SIDED - 0.5
    flags = {
        "too fast": table["seconds"] < TOO_FAST,
        "one side": enough & one_sided,
        "always ties": enough & (table["tie_share"] >= ONE_SIDED),
        "gold": table["gold_accuracy"] < GOLD_RIGHT,
    }
    marks = np.column_stack([np.where(flagged, name, "") for name, flagged in flags.items()])
    return [", ".join(mark for mark in row if mark) for row in marks.tolist()]


def numbered_screens(votes: pd.DataFrame) -> pd.DataFrame:
    """Return `rater_screens` of each question without raters' own names.

    A report is passed on, so it must not hold names.

    Returns:
        One row per rater and question: question, rater (a number, in the order of first votes),
        first_vote (the row, from 1, of that vote in the table of votes, by which an owner finds
        the rater again), and the habits and flags of `rater_screens`.

    Examples:
        >>> numbered_screens(votes)[["rater", "first_vote"]].head(2).values.tolist()
        [[1, 1], [2, 7]]
    """
    names = votes["rater"].astype(str)
    # Numbers follow all votes and not one question's, so a rater has one number everywhere.
    first = pd.Series(np.arange(1, len(votes) + 1), index=names)[~names.duplicated().to_numpy()]
    number = pd.Series(np.arange(1, len(first) + 1), index=first.index)
    parts = [
        _printed(of_one).assign(question=str(question))
        for question, of_one in votes.groupby("question", observed=True, sort=False)
    ]
    if not parts:
        return _printed(votes).assign(question="", first_vote=0)
    screens = pd.concat(parts, ignore_index=True)
    screens.insert(1, "first_vote", first.reindex(screens["rater"]).to_numpy())
    screens["rater"] = number.reindex(screens["rater"]).to_numpy()
    screens.insert(0, "question", screens.pop("question"))
    return screens.sort_values("first_vote", kind="stable").reset_index(drop=True)


def _printed(votes: pd.DataFrame) -> pd.DataFrame:
    return rater_screens(votes).drop(columns="repeat_consistency")
