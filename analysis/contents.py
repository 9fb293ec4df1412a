"""What goes into a report, and everything computed from it before it is laid out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from .figures import Figure
from .results import BallotResult


@dataclass(frozen=True)
class ReportInputs:
    """What a report is made of; nothing else is read but the sample images shown.

    Attributes:
        title: the page's heading.
        arms: name, strategy (unguided | classifier_free | clip | classifier | imported), scale (NaN
            without one), label; in the order to show.
        metrics: arm, metric, value, ci_low, ci_high, n, extractor, note; None or empty before
            they are measured.
        votes: as `read_votes` takes them; None without a study.
        samples: arm, prompt_id, caption, replica, path (relative to `root`), and seed where
            known: equal seeds across arms are what "equal noise" means.
        root: the folder sample paths start from.
        provenance: what to print about origins; nested dicts are joined with dots.
        command: the command line that makes this report again.
    """

    title: str
    arms: pd.DataFrame
    metrics: pd.DataFrame | None = None
    votes: pd.DataFrame | None = None
    samples: pd.DataFrame | None = None
    root: Path = Path()
    provenance: dict[str, Any] = field(default_factory=dict)
    command: str = ""


@dataclass(frozen=True)
class Contents:
    """Everything computed for a report, before it is laid out.

    Attributes:
        inputs: as given, tables checked.
        seed: of the bootstrap.
        results: one a ballot; empty without votes.
        elo: all ballots' scores from the anchor, with the arms' columns; a row an arm and ballot.
        joined: metrics beside Elo.
        correlations: of each metric with Elo.
        conduct: of the study.
        figures: by name.
    """

    inputs: ReportInputs
    seed: int
    results: list[BallotResult]
    elo: pd.DataFrame
    joined: pd.DataFrame
    correlations: pd.DataFrame
    conduct: pd.DataFrame
    figures: dict[str, Figure]

    @property
    def labels(self) -> dict[str, str]:
        """Arm name → label."""
        return dict(zip(self.inputs.arms["name"], self.inputs.arms["label"], strict=True))
