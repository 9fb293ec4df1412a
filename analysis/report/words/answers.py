"""What raters answered where they named no winner, as the report prints it."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from analysis.ballots import ANSWERS, rows_of

from .wording import bounds, share

_LABELS = {answer.name: answer.label for answer in ANSWERS.values()}
NOTE = (
    "Both answers count as half a win for each arm, so scores do not tell two good arms from two "
    "bad ones. “Does it hold?” has the ranking without “both bad” votes."
)


def printed_answers(rates: pd.DataFrame, labels: Mapping[str, str]) -> pd.DataFrame:
    """Return `answer_rates` as printed: a row per arm, two columns per answer.

    The arms with most of the last answer, usually “both bad”, come first.
    """
    if rates.empty:
        return pd.DataFrame()
    by_answer = {str(answer): rows for answer, rows in rates.groupby("answer", sort=False)}
    arms = [str(arm) for arm in list(by_answer.values())[-1]["arm"]]
    columns = {"Arm": [labels.get(arm, arm) for arm in arms]}
    for answer in reversed(by_answer):
        cells = list(rows_of(by_answer[answer].set_index("arm").loc[arms].reset_index()))
        label = _LABELS[answer]
        columns[label] = [share(row.value) for row in cells]
        columns[f"95% interval of {label.lower()}"] = [
            bounds(100 * row.low, 100 * row.high) for row in cells
        ]
    return pd.DataFrame(columns)
