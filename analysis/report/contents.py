"""What goes into a report, and everything computed from it before it is laid out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.claims import Claims, MetricClaims
from analysis.scores import BallotResult

from .figures.figure import Figure


@dataclass(frozen=True)
class ReportInputs:
    """What a report is made of; nothing else is read but the sample images shown.

    Attributes:
        title: the page's heading.
        arms: name, strategy (see `describe_strategies`), scale (NaN without one), label; in the
            order to show. `sampler` and `steps` where known.
        metrics: arm, metric, value, ci_low, ci_high, n, extractor, note; None or empty before
            they are measured. `fingerprint` and `reference` where known: values that differ in
            them are never compared.
        votes: as `read_votes` takes them; None without a study.
        samples: arm, prompt_id, caption, replica, path (relative to `root`), and seed where
            known: equal seeds across arms are what "equal noise" means.
        root: the folder sample paths start from.
        provenance: what to print about origins; nested dicts are joined with dots.
        command: the command line that makes this report again.
        name: of the run or study, where a report holds several.
        scores: arm, prompt_id, replica, metric, value: metrics of single samples.
        remarks: sentences to print below the metrics.
        categories: prompt id → category, to score apart; without them the votes' own column
            `category` is taken, where there is one.
    """

    title: str
    arms: pd.DataFrame
    metrics: pd.DataFrame | None = None
    votes: pd.DataFrame | None = None
    samples: pd.DataFrame | None = None
    root: Path = Path()
    provenance: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    name: str = ""
    scores: pd.DataFrame | None = None
    remarks: tuple[str, ...] = ()
    categories: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Contents:
    """Everything computed for one run or study, before it is laid out.

    Attributes:
        inputs: as given, tables checked.
        seed: of the bootstrap.
        results: one a ballot; empty without votes.
        elo: all ballots' scores from the anchor, with the arms' columns; a row an arm and ballot.
        joined: metrics beside Elo.
        correlations: of each metric with Elo.
        conduct: of the study.
        screens: a row a rater, numbered.
        claims: one a ballot, in the order of `results`.
        metric_claims: one a ballot; empty without metrics.
        figures: by name, without `prefix`.
        prefix: begins this part's file names and anchors; empty where a report has one part.
    """

    inputs: ReportInputs
    seed: int
    results: list[BallotResult]
    elo: pd.DataFrame
    joined: pd.DataFrame
    correlations: pd.DataFrame
    conduct: pd.DataFrame
    screens: pd.DataFrame
    claims: list[Claims]
    metric_claims: list[MetricClaims]
    figures: dict[str, Figure]
    prefix: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """Arm name → label."""
        return dict(zip(self.inputs.arms["name"], self.inputs.arms["label"], strict=True))

    @property
    def strategies(self) -> dict[str, str]:
        """Arm name → strategy."""
        return dict(zip(self.inputs.arms["name"], self.inputs.arms["strategy"], strict=True))


@dataclass(frozen=True)
class Comparison:
    """Several runs or studies side by side.

    Attributes:
        overview: a row a part: what it holds.
        elo: part, and the columns of `Contents.elo`, for arms of every part.
        agreement: rank correlation of Elo between two parts over the arms both have.
        metrics: part, arm, label, strategy, scale, metric, extractor, value, ci_low, ci_high, n;
            `extractor` tells apart what can't be compared.
        figures: by name.
    """

    overview: pd.DataFrame
    elo: pd.DataFrame
    agreement: pd.DataFrame
    metrics: pd.DataFrame
    figures: dict[str, Figure]


@dataclass(frozen=True)
class Report:
    """A whole report.

    Attributes:
        title: the heading.
        command: the command line that makes it again.
        parts: one a run or study.
        comparison: of the parts; None where there is one.
    """

    title: str
    command: str
    parts: list[Contents]
    comparison: Comparison | None = None

    def votes(self, kind: str | None = None) -> int:
        """How many votes, of all parts; `kind` counts those of one kind of rater."""
        results = [result for part in self.parts for result in part.results]
        return sum(r.ballot.votes for r in results if kind in (None, r.ballot.rater_kind))
