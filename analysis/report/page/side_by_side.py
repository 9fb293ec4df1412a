"""Several runs or studies side by side, as the page shows them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.report.contents import Report
from analysis.report.figures.theme import PARTS
from analysis.report.tables.chosen import elo_questions
from analysis.report.tables.printed import (
    grid,
    printed_agreement,
    printed_part_metrics,
    printed_study_elo,
)
from analysis.report.words.wording import question_words, slug

from .sections import figure_view


def comparison_view(report: Report) -> dict[str, Any] | None:
    """Overview, Elo and metrics of every part side by side; None where there is one part."""
    comparison = report.comparison
    if comparison is None:
        return None
    names = [part.inputs.name for part in report.parts]
    drawn = [figure_view(figure) for figure in comparison.figures.values()]
    return {
        "overview": [
            {**row, "words": row["part"], "look": number % len(PARTS), "prefix": part.prefix}
            for number, (row, part) in enumerate(
                zip(comparison.overview.to_dict("records"), report.parts, strict=True)
            )
        ],
        "elo_figures": [figure for figure in drawn if figure["name"] == "runs-elo-vs-scale"],
        "metric_figures": [figure for figure in drawn if figure["name"] != "runs-elo-vs-scale"],
        "studies": [
            {"words": study, "look": number % len(PARTS)}
            for number, study in enumerate(dict.fromkeys(comparison.elo["study"]))
        ],
        "elo": [
            {"question": question_words(question), "simulated": _simulated(table),
             "table": grid(printed_study_elo(table)), "file": f"runs-elo-{slug(question, '')}"}
            for question, table in elo_questions(comparison)
        ],
        "agreement": grid(printed_agreement(comparison.agreement)),
        "metrics": grid(printed_part_metrics(comparison.metrics, names)),
        "apart": incomparable(comparison.metrics),
    }  # fmt: skip


def _simulated(elo: pd.DataFrame) -> bool:
    return bool((elo["rater_kind"] == "simulated").all())


def incomparable(metrics: pd.DataFrame) -> list[str]:
    """Return metrics that parts measured in ways that don't compare, one sentence each."""
    finite = metrics[np.isfinite(metrics["value"].astype(np.float64))]
    if finite.empty:
        return []
    of = finite.groupby("metric", sort=False)["extractor"].nunique()
    apart = list(of.index[of > 1])
    sentences = []
    if apart:
        named = sorted({name for name in finite["extractor"] if name})
        sentences.append(
            "Values in different columns of one metric are not compared: they come from "
            f"{'; '.join(named)}."
        )
    counts = finite.groupby("part", sort=False)["n"].max().astype(int)
    if counts.nunique() > 1:
        told = ", ".join(f"{part} {count:,}" for part, count in counts.items())
        sentences.append(
            f"The parts have different numbers of images per arm ({told}): FID and Inception Score "
            "depend on that number, so compare them with care."
        )
    return sentences
