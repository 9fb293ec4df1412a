"""Several runs or studies side by side: what each holds, and where they agree."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from analysis.metrics import rank_correlation, tell_versions
from analysis.scores import COLUMNS

from .contents import Comparison, Part
from .figures import side_by_side as compare_figures
from .figures.metrics import TRADEOFFS
from .words.wording import voters

PART_METRICS = (
    "part", "arm", "label", "strategy", "scale", *COLUMNS, "metric", "extractor", "value",
    "ci_low", "ci_high", "n",
)  # fmt: skip


def compare(parts: list[Part]) -> Comparison:
    """Return what a report of several parts says about all of them.

    Votes of different parts are never pooled: each study has its own fit, measured from its own
    unguided arm, as the paper overlays its sweeps. Metrics stand side by side only where extractor,
    version and reference are the same.

    Args:
        parts: at least two, each with a name of its own.
    """
    names = [part.inputs.name for part in parts]
    elo = _elo(parts)
    metrics = _metrics(parts)
    drawn = [
        compare_figures.elo_by_part(elo),
        *(compare_figures.tradeoff_by_part(metrics, names, *each) for each in TRADEOFFS),
    ]
    return Comparison(
        overview=pd.DataFrame([_overview(part) for part in parts]),
        elo=elo,
        agreement=_agreement(parts),
        metrics=metrics,
        figures={figure.name: figure for figure in drawn if figure is not None},
    )


def _elo(parts: list[Part]) -> pd.DataFrame:
    """Return every part's scores; `study` names part and, where they are simulated, raters."""
    table = pd.concat(
        [part.elo.assign(part=part.inputs.name) for part in parts], ignore_index=True
    )  # fmt: skip
    pairs = zip(table["part"], table["rater_kind"], strict=True)
    return table.assign(study=[voters(part, kind) for part, kind in pairs])


def _overview(part: Part) -> dict[str, object]:
    samples, votes, metrics = part.inputs.samples, part.inputs.votes, part.inputs.metrics
    return {
        "part": part.inputs.name,
        "arms": len(part.inputs.arms),
        "prompts": 0 if samples is None else samples["prompt_id"].nunique(),
        "images": 0 if samples is None else len(samples),
        "votes_people": part.votes("person"),
        "votes_simulated": part.votes("simulated"),
        "raters": 0 if votes is None else votes["rater"].nunique(),
        "extractors": ""
        if metrics is None
        else ", ".join(sorted(set(metrics["extractor_given"]) - {""})),
    }


def _metrics(parts: list[Part]) -> pd.DataFrame:
    """Return metrics that two runs at least have; several studies of one run count once."""
    tables, seen = [], []
    for part in parts:
        measured = part.inputs.metrics
        if measured is None or measured.empty or any(measured.equals(other) for other in seen):
            continue
        seen.append(measured)
        arms = part.inputs.arms.rename(columns={"name": "arm"})
        table = measured.merge(arms[["arm", "label", "strategy", "scale", *COLUMNS]], on="arm")
        table["part"] = part.inputs.name
        if "fingerprint" not in table:
            table["fingerprint"] = ""
        # Of unknown versions it isn't known that they are the same one.
        unknown = table["fingerprint"] == ""
        own = table["extractor_given"] + " of " + part.inputs.name
        table["extractor_given"] = table["extractor_given"].mask(unknown, own)
        tables.append(table)
    if len(tables) < 2:
        return pd.DataFrame(columns=list(PART_METRICS))
    joined = tell_versions(pd.concat(tables, ignore_index=True))[list(PART_METRICS)]
    finite = joined[np.isfinite(joined["value"])]
    shared = finite.groupby("metric")["part"].nunique()
    return joined[joined["metric"].isin(shared.index[shared > 1])].reset_index(drop=True)


def _agreement(parts: list[Part]) -> pd.DataFrame:
    """Return a row for each two parts that asked one question about at least two shared arms."""
    rows = []
    for one, other in itertools.combinations(parts, 2):
        for mine, theirs in itertools.product(one.ballots, other.ballots):
            if mine.question != theirs.question:
                continue
            both = _scores(mine.of(one.elo)).merge(_scores(theirs.of(other.elo)), on="arm")
            if len(both) < 2:
                continue
            found = rank_correlation(both["elo_x"].to_numpy(), both["elo_y"].to_numpy())
            rows.append((mine.question, one.inputs.name, mine.rater_kind, other.inputs.name,
                         theirs.rater_kind, len(both), *found))  # fmt: skip
    columns = ["question", "part", "rater_kind", "against", "against_kind", "n", "spearman", "low",
               "high", "reason"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _scores(elo: pd.DataFrame) -> pd.DataFrame:
    return elo.loc[np.isfinite(elo["elo"]), ["arm", "elo"]]
