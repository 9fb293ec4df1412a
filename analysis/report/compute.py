"""Everything a report says about one run or study, computed before anything is laid out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from analysis.claims import Claims, MetricClaims, claims_of, metric_claims_of
from analysis.metrics import join_metrics, metric_correlations
from analysis.raters import numbered_screens, study_conduct
from analysis.scores import COLUMNS, BallotResult, analyse

from .check import METRIC_COLUMNS, table_of
from .contents import Contents, ReportInputs
from .figures.elo import elo_axis, elo_by_scale, elo_ranking
from .figures.figure import Figure
from .figures.metrics import TRADEOFFS, metric_tradeoff, metrics_against_elo
from .figures.wins import win_heatmap
from .progress import Progress, between, quiet

ROUNDS = 1000
DESCRIBED = ["arm", "label", "strategy", "scale", *COLUMNS]  # of an arm, beside its numbers


def compute(
    inputs: ReportInputs, seed: int = 0, prefix: str = "", progress: Progress = quiet
) -> Contents:
    """All numbers and figures of one run or study.

    Args:
        inputs: already `checked`.
        seed: of the bootstrap.
        prefix: of its file names, where a report holds several.
        progress: told what is done next.
    """
    arms, votes = inputs.arms, inputs.votes
    unguided = arms.loc[arms["strategy"] == "unguided", "name"]
    anchor = unguided.iloc[0] if len(unguided) else None
    progress("fitting scores", 0.0)
    results = [] if votes is None else analyse(votes, anchor, ROUNDS, seed)
    elo = _elo_rows(results, arms)
    described = arms.rename(columns={"name": "arm"})[DESCRIBED]
    metrics = table_of(inputs.metrics, METRIC_COLUMNS).merge(described, on="arm")
    joined = join_metrics(metrics, elo).merge(described, on="arm")
    progress("looking at raters", 0.2)
    conduct = study_conduct(votes) if votes is not None else pd.DataFrame()
    screens = numbered_screens(votes) if votes is not None else pd.DataFrame()
    claims, metric_claims = _claims(inputs, results, metrics, seed, between(progress, 0.3, 0.8))
    contents = Contents(
        inputs=inputs,
        seed=seed,
        results=results,
        elo=elo,
        joined=joined,
        correlations=metric_correlations(joined),
        conduct=conduct,
        screens=screens,
        claims=claims,
        metric_claims=metric_claims,
        figures={},
        prefix=prefix,
    )
    progress("planning figures", 0.8)
    for figure in _figures(contents, metrics):
        title = f"{figure.title}: {inputs.name}" if prefix else figure.title
        contents.figures[figure.name] = dataclasses.replace(
            figure, name=prefix + figure.name, title=title
        )
    return contents


def _claims(
    inputs: ReportInputs,
    results: list[BallotResult],
    metrics: pd.DataFrame,
    seed: int,
    progress: Progress,
) -> tuple[list[Claims], list[MetricClaims]]:
    """How far each ballot's ranking may be claimed, and what each metric says of its votes."""
    claims: list[Claims] = []
    of_metrics: list[MetricClaims] = []
    arms, votes = inputs.arms, inputs.votes
    for n, result in enumerate(results):
        assert votes is not None  # there is a result
        progress("testing the ranking", n / len(results))
        claims.append(claims_of(result, arms, votes, inputs.categories, seed))
        if len(metrics):
            of_metrics.append(metric_claims_of(result, arms, metrics, votes, inputs.scores, seed))
    return claims, of_metrics


def _figures(contents: Contents, metrics: pd.DataFrame) -> list[Figure]:
    elo = contents.elo
    mean_zero = [labelled(result, contents.inputs.arms, "scores") for result in contents.results]
    made = [
        elo_by_scale(elo) if mean_zero else None,
        elo_ranking(pd.concat(mean_zero)) if mean_zero else None,
        *(metric_tradeoff(metrics, *each) for each in TRADEOFFS),
    ]
    for result in contents.results:
        question, kind = result.ballot.question, result.ballot.rater_kind
        of_ballot = elo[(elo["question"] == question) & (elo["rater_kind"] == kind)]
        axis = elo_axis(of_ballot["anchor"].iloc[0])
        made.append(
            metrics_against_elo(contents.joined, contents.correlations, question, kind, axis)
        )
        order = list(result.relative()["arm"])
        made.append(win_heatmap(result.win_table(), contents.labels, order, question, kind))
    return [figure for figure in made if figure is not None]


def _elo_rows(results: list[BallotResult], arms: pd.DataFrame) -> pd.DataFrame:
    labels = dict(zip(arms["name"], arms["label"], strict=True))
    parts = [
        labelled(result, arms, "relative").assign(
            anchor=labels[result.anchor] if result.anchor else ""
        )
        for result in results
    ]
    if parts:
        return pd.concat(parts, ignore_index=True)
    words = {name: pd.Series(dtype=str) for name in ("question", "rater_kind", "arm", "anchor")}
    numbers = {name: pd.Series(dtype=np.float64) for name in ("elo", "low", "high")}
    return pd.DataFrame(words | numbers)


def labelled(result: BallotResult, arms: pd.DataFrame, which: str) -> pd.DataFrame:
    """A ballot's `scores` or `relative` table with its ballot and the arms' columns."""
    table: pd.DataFrame = getattr(result, which)()
    described = arms.rename(columns={"name": "arm"})[DESCRIBED]
    table.insert(0, "question", result.ballot.question)
    table.insert(1, "rater_kind", result.ballot.rater_kind)
    return table.merge(described, on="arm", how="left")
