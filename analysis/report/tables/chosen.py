"""Which rows the tables and sections of a report are made of."""

from __future__ import annotations

import pandas as pd

from analysis.ballots import counted
from analysis.claims import disputed_pairs, prompt_scores, prompt_shares
from analysis.report.contents import BallotPart, Comparison
from analysis.report.inputs import ReportInputs


def prompt_tables(
    inputs: ReportInputs, ballots: list[BallotPart]
) -> list[tuple[str, str, pd.DataFrame]]:
    """Question, kind of raters and every arm's prompts; the metric and "" where nobody voted."""
    if ballots and inputs.votes is not None:
        kept = inputs.votes[counted(inputs.votes)]
        return [(b.question, b.rater_kind, prompt_shares(b.of(kept))) for b in ballots]
    metric, table = prompt_scores(inputs.scores)
    return [(metric, "", table)] if metric else []


def disputed_tables(
    inputs: ReportInputs, ballots: list[BallotPart], most: int = 6
) -> list[tuple[str, str, pd.DataFrame]]:
    """Question, kind of raters and the pairs they split on."""
    if not ballots or inputs.votes is None:
        return []
    kept = inputs.votes[counted(inputs.votes)]
    return [(b.question, b.rater_kind, disputed_pairs(b.of(kept), most)) for b in ballots]


def elo_questions(comparison: Comparison) -> list[tuple[str, pd.DataFrame]]:
    """Elo of each question that two studies at least asked."""
    elo = comparison.elo
    if elo.empty:
        return []
    groups = elo.groupby("question", sort=False, observed=True)
    return [(str(name), table) for name, table in groups if table["study"].nunique() > 1]
