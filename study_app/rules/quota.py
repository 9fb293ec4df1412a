"""Which votes count towards those that a study wants.

Two notions of counting, each defined once:

* for scores and conduct, `analysis.ballots.counted`: answers to repeated pairs count, votes of
  excluded raters don't;
* for a study's quota, `filling_quota`: votes of excluded raters don't count, since their pairs go
  back to the pool, and asking the same rater again doesn't add to it.
"""

from __future__ import annotations

import pandas as pd

from analysis.ballots import RaterKind


def of_kind(votes: pd.DataFrame, rater_kind: RaterKind) -> pd.DataFrame:
    """Return the votes of people, or those of simulated raters."""
    return votes.loc[votes["rater_kind"] == rater_kind]


def filling_quota(votes: pd.DataFrame) -> pd.DataFrame:
    """Return the votes towards those wanted: neither revised, gold, repeated nor excluded.

    Args:
        votes: the columns of votes.csv.
    """
    plain = (votes["gold"] == "") & (votes["repeat_of"] == "") & ~votes["revised"].astype(bool)
    return votes.loc[plain & (votes["excluded"] == "")]
