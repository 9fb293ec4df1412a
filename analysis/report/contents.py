"""Everything computed from a report's inputs before it is laid out.

A `Report` holds a `Part` for each run or study, and a `Comparison` where there are several; a part
holds a `BallotPart` for each question and kind of rater.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pandas as pd

from analysis.claims import Claims, MetricClaims
from analysis.scores import COLUMNS, BallotResult

from .figures.figure import Figure
from .inputs import ReportInputs
from .words.wording import ballot_words, slug

_DESCRIBED = ("label", "strategy", "scale", *COLUMNS)  # of an arm, beside its numbers


@dataclass(frozen=True)
class BallotPart:
    """Everything said of one question by one kind of rater.

    Attributes:
        result: scores and intervals.
        claims: how far the ranking may be claimed.
        metric_claims: what each metric says of these votes; None without metrics.
    """

    result: BallotResult
    claims: Claims
    metric_claims: MetricClaims | None = None

    @property
    def question(self) -> str:
        """What was asked."""
        return self.result.ballot.question

    @property
    def rater_kind(self) -> str:
        """Who answered: `person` or `simulated`."""
        return self.result.ballot.rater_kind

    @property
    def simulated(self) -> bool:
        """Whether simulated raters answered."""
        return self.result.ballot.simulated

    @property
    def words(self) -> str:
        """The question, marked where its raters are simulated."""
        return ballot_words(self.question, self.rater_kind)

    @property
    def slug(self) -> str:
        """The ballot as part of a file name."""
        return slug(self.question, self.rater_kind)

    def of(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of a table with question and rater_kind that are about this ballot."""
        mine = (table["question"] == self.question) & (table["rater_kind"] == self.rater_kind)
        return table[mine]


@dataclass(frozen=True)
class Conduct:
    """How raters voted.

    Attributes:
        measures: `study_conduct`.
        screens: `numbered_screens`.
    """

    measures: pd.DataFrame
    screens: pd.DataFrame


@dataclass(frozen=True)
class Part:
    """One run or study, computed before it is laid out.

    Attributes:
        inputs: as given, tables checked.
        ballots: people's first; empty without votes that count.
        elo: all ballots' scores from the anchor, with the arms' columns; one row per arm and
            ballot.
        correlations: of each metric with Elo over the arms.
        conduct: None without votes.
        figures: by name, without `prefix`.
        prefix: begins this part's file names and anchors; empty where a report has one part.
    """

    inputs: ReportInputs
    ballots: list[BallotPart]
    elo: pd.DataFrame
    correlations: pd.DataFrame
    conduct: Conduct | None
    figures: dict[str, Figure]
    prefix: str = ""

    @property
    def results(self) -> list[BallotResult]:
        """Each ballot's scores and intervals."""
        return [ballot.result for ballot in self.ballots]

    def own(self, figure: Figure) -> Figure:
        """Return a figure with this part's prefix, and the part's name in its title."""
        if not self.prefix:
            return figure
        title = f"{figure.title}: {self.inputs.name}"
        return dataclasses.replace(figure, name=self.prefix + figure.name, title=title)

    def votes(self, kind: str | None = None) -> int:
        """Return how many votes count; `kind` counts those of one kind of rater."""
        return sum(b.result.ballot.votes for b in self.ballots if kind in (None, b.rater_kind))


@dataclass(frozen=True)
class Comparison:
    """Several runs or studies side by side.

    Attributes:
        overview: one row per part: what it holds.
        elo: part, and the columns of `Part.elo`, for arms of every part.
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
        parts: one per run or study.
        comparison: of the parts; None where there is one.
    """

    title: str
    command: str
    parts: list[Part]
    comparison: Comparison | None = None

    def votes(self, kind: str | None = None) -> int:
        """Return how many votes, of all parts; `kind` counts those of one kind of rater."""
        return sum(part.votes(kind) for part in self.parts)


def described(table: pd.DataFrame, arms: pd.DataFrame) -> pd.DataFrame:
    """Return the table with label, strategy, scale and series of each row's `arm`."""
    columns = arms.rename(columns={"name": "arm"})[["arm", *_DESCRIBED]]
    return table.merge(columns, on="arm")


def labelled(result: BallotResult, scores: pd.DataFrame, arms: pd.DataFrame) -> pd.DataFrame:
    """Return one of a ballot's tables of scores with its ballot and the arms' columns."""
    scores = scores.copy()
    scores.insert(0, "question", result.ballot.question)
    scores.insert(1, "rater_kind", result.ballot.rater_kind)
    return described(scores, arms)
