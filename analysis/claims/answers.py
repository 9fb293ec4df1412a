"""What raters answered where they named no winner, arm by arm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.ballots import ANSWERS
from analysis.scores import clustered_share

_COLUMNS = ["arm", "answer", "count", "n", "value", "low", "high", "reason"]


def answer_rates(votes: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Return how often each arm's votes named no winner, by answer.

    Scores count such answers as half a win for each arm: they cannot tell two good arms from two
    bad ones. The intervals are those of `clustered_share`, by rater.

    Args:
        votes: those that count, on one question by one kind of rater, as `read_votes` returned
            them.
        level: confidence level, between 0 and 1.

    Returns:
        One row per arm and answer without a winner that occurs: arm, answer, count, n (votes that
        the arm took part in), value (count / n), low, high, reason (why there is no interval); the
        arms with the highest share first.
    """
    given, rater = votes["answer"].astype(str).to_numpy(), votes["rater"].cat.codes.to_numpy()
    sides = [votes[side].astype(str).to_numpy() for side in ("arm_left", "arm_right")]
    rows: list[tuple[Any, ...]] = []
    for answer in (a.name for a in ANSWERS.values() if not a.decided and a.name in set(given)):
        said = (given == answer).astype(np.float64)
        for arm in sorted({*sides[0], *sides[1]}):
            own = (sides[0] == arm) | (sides[1] == arm)
            bounds = clustered_share(said[own], rater[own].astype(np.int64), level)
            count, n = int(said[own].sum()), int(own.sum())
            rows.append((arm, answer, count, n, count / n, bounds.low, bounds.high, bounds.reason))
    table = pd.DataFrame(rows, columns=_COLUMNS)
    order = table.assign(turn=pd.Categorical(table["answer"], list(ANSWERS)))
    return order.sort_values(
        ["turn", "value", "arm"], ascending=[True, False, True], ignore_index=True
    )[_COLUMNS]
