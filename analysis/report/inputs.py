"""What goes into a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ARM_COLUMNS = ("name", "strategy", "scale", "label")
METRIC_COLUMNS = ("arm", "metric", "value", "ci_low", "ci_high", "n", "extractor", "note")
SAMPLE_COLUMNS = ("arm", "prompt_id", "caption", "replica", "path")
SCORE_COLUMNS = ("arm", "prompt_id", "replica", "metric", "value")
_NUMBERS = ("value", "ci_low", "ci_high", "n")


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
            known: equal seeds across arms are what "equal noise" means. `sha256` where known:
            an image that is shown must have it.
        root: the folder sample paths start from.
        provenance: what to print about origins; nested dicts are joined with dots.
        command: the command line that makes this report again.
        name: of the run or study, where a report holds several.
        scores: arm, prompt_id, replica, metric, value: metrics of single samples.
        remarks: sentences to print below the metrics.
        images: the folder that files named by the votes' `image_left` and `image_right` are in; a
            file elsewhere is not shown.
        categories: prompt id → category, to score apart; without them the votes' own column
            `category` is taken, where there is one.
    """

    title: str
    arms: pd.DataFrame
    metrics: pd.DataFrame | None = None
    votes: pd.DataFrame | None = None
    samples: pd.DataFrame | None = None
    root: Path = Path()
    provenance: dict[str, Any] = field(default_factory=dict[str, Any])
    command: str = ""
    name: str = ""
    scores: pd.DataFrame | None = None
    remarks: tuple[str, ...] = ()
    images: Path | None = None
    categories: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def labels(self) -> dict[str, str]:
        """Arm name → label."""
        return dict(zip(self.arms["name"], self.arms["label"], strict=True))

    @property
    def strategies(self) -> dict[str, str]:
        """Arm name → strategy."""
        return dict(zip(self.arms["name"], self.arms["strategy"], strict=True))

    @property
    def captions(self) -> dict[str, str]:
        """Prompt id → caption, of the samples; of the votes where there are none."""
        if self.samples is None:
            votes = self.votes
            if votes is None or not {"prompt_id", "caption"} <= set(votes):
                return {}
            told = votes[["prompt_id", "caption"]].dropna().drop_duplicates("prompt_id").astype(str)
            return dict(zip(told["prompt_id"], told["caption"], strict=True))
        ids = self.samples["prompt_id"].astype(str)
        return dict(zip(ids, self.samples["caption"], strict=True))


def metrics_of(inputs: ReportInputs) -> pd.DataFrame:
    """Return the metrics' columns; an empty table of that shape without metrics."""
    if inputs.metrics is not None:
        return inputs.metrics[list(METRIC_COLUMNS)]
    return pd.DataFrame(
        {name: pd.Series(dtype=np.float64 if name in _NUMBERS else str) for name in METRIC_COLUMNS}
    )


def defined(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the metrics table that have a value; of the others a note says why not."""
    return metrics[metrics["value"].notna()]
