"""Everything a report says about one run or study, computed before anything is laid out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pandas as pd

from analysis.claims import claims_of, metric_claims_of
from analysis.metrics import join_metrics, metric_correlations
from analysis.raters import numbered_screens, study_conduct
from analysis.scores import BallotResult, analyse

from .contents import BallotPart, Conduct, Part, described, labelled
from .figures.calibration import calibration_curve
from .figures.elo import elo_axis, elo_by_scale, elo_ranking
from .figures.figure import Figure
from .figures.metrics import TRADEOFFS, metric_tradeoff, metrics_against_elo
from .figures.theme import unchecked
from .figures.wins import win_heatmap
from .inputs import ReportInputs, metrics_of
from .pictures import picture_properties
from .progress import Progress, between, quiet

ROUNDS = 1000


def compute(
    inputs: ReportInputs, seed: int = 0, prefix: str = "", progress: Progress = quiet
) -> Part:
    """Compute all numbers and figures of one run or study.

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
    metrics = described(metrics_of(inputs), arms)
    joined = described(join_metrics(metrics, elo), arms)
    progress("looking at raters", 0.2)
    conduct = None
    if votes is not None and len(votes):
        conduct = Conduct(study_conduct(votes), numbered_screens(votes))
    ballots = list(_ballots(inputs, results, metrics, seed, between(progress, 0.3, 0.8)))
    progress("planning figures", 0.8)
    part = Part(inputs, ballots, elo, metric_correlations(joined), conduct, {}, prefix)
    with unchecked():
        made = [figure for figures in FIGURES for figure in figures(part) if figure is not None]
    return dataclasses.replace(part, figures={figure.name: part.own(figure) for figure in made})


def _ballots(
    inputs: ReportInputs,
    results: list[BallotResult],
    metrics: pd.DataFrame,
    seed: int,
    progress: Progress,
) -> Iterator[BallotPart]:
    """Yield what may be claimed of each ballot, and what each metric says of its votes."""
    arms, votes = inputs.arms, inputs.votes
    properties = picture_properties(inputs) if results else None
    for n, result in enumerate(results):
        assert votes is not None  # there is a result
        progress("testing the ranking", n / len(results))
        claims = claims_of(result, arms, votes, inputs.categories, seed, properties)
        of_metrics = None
        if len(metrics):
            of_metrics = metric_claims_of(result, arms, metrics, votes, inputs.scores, seed)
        yield BallotPart(result, claims, of_metrics)


def _elo_rows(results: list[BallotResult], arms: pd.DataFrame) -> pd.DataFrame:
    labels = dict(zip(arms["name"], arms["label"], strict=True))
    parts = [
        labelled(result, result.relative(), arms).assign(
            anchor=labels[result.anchor] if result.anchor else ""
        )
        for result in results
    ]
    if parts:
        return pd.concat(parts, ignore_index=True)
    words = {name: pd.Series(dtype=str) for name in ("question", "rater_kind", "arm", "anchor")}
    numbers = {name: pd.Series(dtype=np.float64) for name in ("elo", "low", "high")}
    return pd.DataFrame(words | numbers)


def _elo_figures(part: Part) -> list[Figure | None]:
    if not part.results:
        return []
    arms = part.inputs.arms
    mean_zero = pd.concat([labelled(result, result.scores(), arms) for result in part.results])
    return [elo_by_scale(part.elo, _claimed_curves(part)), elo_ranking(mean_zero)]


def _claimed_curves(part: Part) -> pd.DataFrame:
    """Return the curves that best scales between those tried are read from, of every ballot."""
    found = [
        ballot.claims.curves.smooth().assign(
            question=ballot.question, rater_kind=ballot.rater_kind
        )
        for ballot in part.ballots
    ]  # fmt: skip
    return pd.concat(found, ignore_index=True)


def _metric_figures(part: Part) -> list[Figure | None]:
    metrics = described(metrics_of(part.inputs), part.inputs.arms)
    return [metric_tradeoff(metrics, *each) for each in TRADEOFFS]


def _ballot_figures(part: Part) -> Iterator[Figure | None]:
    arms, labels = part.inputs.arms, part.inputs.labels
    joined = described(join_metrics(described(metrics_of(part.inputs), arms), part.elo), arms)
    for ballot in part.ballots:
        question, kind, result = ballot.question, ballot.rater_kind, ballot.result
        axis = elo_axis(ballot.of(part.elo)["anchor"].iloc[0])
        order = list(result.relative()["arm"])
        yield metrics_against_elo(joined, part.correlations, question, kind, axis)
        if ballot.metric_claims is not None:
            yield calibration_curve(ballot.metric_claims.predictors, question, kind)
        yield win_heatmap(result.win_table(), labels, order, question, kind)


# The figures of a run or study; a function yields None for a figure whose numbers are missing.
FIGURES: tuple[Callable[[Part], Iterable[Figure | None]], ...] = (
    _elo_figures,
    _metric_figures,
    _ballot_figures,
)
