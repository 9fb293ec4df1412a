"""What more votes would buy, in a sentence or two."""

from __future__ import annotations

import numpy as np

from analysis.planning import LIMIT, NextVotes


def next_votes_words(found: NextVotes | None, labels: tuple[str, str]) -> str:
    """Return the answer in a sentence or two; empty without one.

    Args:
        found: what `next_votes` returned.
        labels: of the first and the second arm.
    """
    if found is None:
        return ""
    told = "With more raters like these, intervals half as wide need "
    if np.isnan(found.halved):
        told += "more prompts: more votes on the same ones are not enough"
    else:
        told += f"about {_round(found.halved)} votes in all (now {found.votes:,})"
    if found.settled or found.gap <= 0:
        return told + "."
    pair = f"{labels[0]} from {labels[1]}, {found.gap:.0f} Elo apart"
    if np.isnan(found.found):
        return f"{told}. Even {LIMIT} times the votes would not tell {pair}, on the same prompts."
    if found.found <= found.votes:
        return f"{told}."
    return f"{told}; to tell {pair}, about {_round(found.found)}."


def _round(votes: float) -> str:
    """Round to two digits, which is all that the estimate bears: `4,300`."""
    digits = max(int(np.floor(np.log10(votes))) - 1, 0)
    return f"{round(votes / 10**digits) * 10**digits:,}"
