"""Report inputs checked before anything is computed: cheap failures come first."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.ballots import read_votes
from analysis.errors import ReportError, some_of
from analysis.metrics import tell_versions
from analysis.scores import variant_of, with_series

from .inputs import ARM_COLUMNS, METRIC_COLUMNS, SAMPLE_COLUMNS, SCORE_COLUMNS, ReportInputs
from .words.wording import strip_control


def checked(inputs: ReportInputs) -> ReportInputs:
    """Return the inputs with tables checked, votes read and extractors' versions told apart.

    Raises:
        ReportError: a missing column, an unknown arm, a value given twice.
        VotesError: votes that can't be counted.
    """
    _require(inputs.arms, ARM_COLUMNS, "arms")
    arms = inputs.arms.reset_index(drop=True)
    arms = arms.assign(scale=pd.to_numeric(arms["scale"]).astype(np.float64))
    if arms.empty:
        raise ReportError("arms: expected one at least, found none. Name what is compared.")
    if arms["name"].duplicated().any():
        raise ReportError(f"arms: expected each name once, found {list(arms['name'])}.")
    arms = with_series(arms.assign(label=_labels(arms)))
    names = list(arms["name"])
    for table, columns, what in (
        (inputs.metrics, METRIC_COLUMNS, "metrics"),
        (inputs.samples, SAMPLE_COLUMNS, "samples"),
        (inputs.scores, SCORE_COLUMNS, "scores"),
    ):
        if table is None:
            continue
        _require(table, columns, what)
        unknown = sorted(set(table["arm"]) - set(names))
        if unknown:
            raise ReportError(
                f"{what}: found arm {some_of(map(repr, unknown))}, expected one of "
                f"{some_of(names, 20)}. Make the {what} again from this run."
            )
    votes = None if inputs.votes is None else read_votes(inputs.votes, names)
    categories = dict(inputs.categories) or _categories(votes)
    return dataclasses.replace(
        inputs, arms=arms, metrics=_checked_metrics(inputs.metrics), votes=votes,
        scores=None if inputs.scores is None else _with_versions(inputs.scores),
        root=Path(inputs.root), categories=categories,
    )  # fmt: skip


def _categories(votes: pd.DataFrame | None) -> dict[str, str]:
    """Prompt id → category, by the votes' column `category`.

    Raises:
        ReportError: a prompt stands in two.
    """
    if votes is None or not {"category", "prompt_id"} <= set(votes):
        return {}
    told = votes[["prompt_id", "category"]].dropna().astype(str).drop_duplicates()
    told = told[told["category"].str.strip() != ""]
    twice = told[told["prompt_id"].duplicated(keep=False)]
    if len(twice):
        prompt, named = next(iter(twice.groupby("prompt_id")["category"]))
        raise ReportError(
            f"votes: prompt {prompt} stands in the categories {', '.join(named)}, expected one "
            "category for each prompt. Correct the column `category`, or leave it out."
        )
    return dict(zip(told["prompt_id"], told["category"], strict=True))


def _labels(arms: pd.DataFrame) -> list[str]:
    """Return what to print of each arm: on one line, `s = 3` unbroken, no two alike."""
    plain = arms["label"].astype(str).map(strip_control).str.strip()
    plain = plain.where(plain != "", arms["name"].astype(str))
    names = arms["name"].astype(str)
    twice = plain.duplicated(keep=False)
    # By the variant where that will do, since the label says the scale: `[dpm20]`, not `[dpm20-3]`.
    variants = [variant_of(*each) for each in zip(names, arms["scale"], strict=True)]
    of_variant = plain + " [" + pd.Series(variants, arms.index) + "]"
    told = plain.where(~twice, of_variant)
    told = told.where(~told.duplicated(keep=False), plain + " [" + names + "]")
    return list(told.str.replace(" = ", "\u00a0=\u00a0"))


def _checked_metrics(metrics: pd.DataFrame | None) -> pd.DataFrame | None:
    if metrics is None or metrics.empty:  # as where every metric is one per sample
        return None
    metrics = _with_versions(metrics)
    twice = metrics[metrics.duplicated(["arm", "metric", "extractor"])]
    if len(twice):
        raise ReportError(
            f"metrics: found {twice['metric'].iloc[0]} of {twice['arm'].iloc[0]} twice, "
            "expected one value an arm, metric and extractor. Measure the run again."
        )
    return metrics


def _with_versions(table: pd.DataFrame) -> pd.DataFrame:
    # An all-empty column reads as numbers, so it is made text first.
    texts = [name for name in ("extractor", "note", "fingerprint", "reference") if name in table]
    words = table[texts].astype(object)
    table = table.drop(columns=texts).join(words.where(words.notna(), ""))
    return tell_versions(table if "extractor" in table else table.assign(extractor=""))


def _require(table: pd.DataFrame, columns: tuple[str, ...], what: str) -> None:
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise ReportError(
            f"{what}: missing column{'s' * (len(missing) > 1)} {', '.join(missing)}; found "
            f"{', '.join(map(str, table.columns)) or 'none'}, expected {', '.join(columns)}."
        )
