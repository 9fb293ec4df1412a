"""The report as a page: what each section shows, ready for the template."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from .contents import Contents
from .figures import TRADEOFFS, Figure, elo_axis
from .findings import ballot_findings, metric_findings
from .gallery import gallery
from .results import BallotResult
from .tables import conduct_cell, metric_columns, metric_parts
from .theme import STRATEGIES
from .tradeoff import metric_info
from .wording import (
    ballot_words,
    bounds,
    measure_words,
    percent,
    question_words,
    rows_of,
    signed,
    slug,
)

SECTIONS = {
    "preference": "Preference",
    "metrics": "Metrics",
    "agreement": "Metrics against raters",
    "wins": "Who beats whom",
    "samples": "Samples",
    "conduct": "Conduct",
    "methods": "Methods and provenance",
}


def render_page(contents: Contents) -> str:
    """The whole page: styles, figures and images inside, no scripts, no requests."""
    templates = files("analysis") / "templates"
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((templates / "report.html.j2").read_text(encoding="utf-8"))
    view = _view(contents)
    view["css"] = (templates / "report.css").read_text(encoding="utf-8")
    shown = {
        "preference": True,
        "metrics": view["metrics"] or view["tradeoffs"],
        "methods": True,
        **{name: view[name] for name in ("agreement", "wins", "conduct")},
        "samples": view["gallery"],
    }
    view["sections"] = [(name, words) for name, words in SECTIONS.items() if shown[name]]
    return template.render(view)


def _view(contents: Contents) -> dict[str, Any]:
    inputs, results = contents.inputs, contents.results
    present = set(inputs.arms["strategy"])
    drawn = {name: _figure(figure) for name, figure in contents.figures.items()
             if not name.startswith("win-probability")}  # fmt: skip
    simulated = sum(r.ballot.votes for r in results if r.ballot.simulated)
    every = sum(r.ballot.votes for r in results)
    return {
        "title": inputs.title,
        "facts": _facts(contents, simulated, every),
        "banner": _banner(simulated, every),
        "all_simulated": bool(every) and simulated == every,
        "findings": _findings(contents),
        "strategies": [
            {"name": name, "words": words}
            for name, (words, *_) in STRATEGIES.items()
            if name in present
        ],
        "elo_figure": drawn.get("elo-vs-scale", drawn.get("elo-ranking")),
        "boards": [_board(result, contents) for result in results],
        "tradeoffs": [drawn[name] for name, *_ in TRADEOFFS if name in drawn],
        "metrics": _metrics(contents),
        "agreement": list(_agreement(contents, drawn)),
        "wins": [_heat(result, contents) for result in results],
        **_gallery(contents),
        "conduct": _conduct(contents),
        "methods": _methods(contents),
        "command": inputs.command,
        "provenance": list(_flat(inputs.provenance)),
    }


def _figure(figure: Figure) -> dict[str, Any]:
    return {
        "name": figure.name,
        "caption": figure.caption,
        "simulated": figure.simulated,
        "panels": figure.inline_panels(),
    }


def _facts(contents: Contents, simulated: int, every: int) -> list[list[tuple[str, str]]]:
    """Counts for the page's first line, each a list of (number, words)."""
    facts = [[(f"{len(contents.inputs.arms):,}", "arms")]]
    samples, votes = contents.inputs.samples, contents.inputs.votes
    if samples is not None and len(samples):
        facts.append([(f"{samples['prompt_id'].nunique():,}", "prompts")])
        facts.append([(f"{len(samples):,}", "images")])
    for kind, count in (("person", every - simulated), ("simulated", simulated)):
        if count and votes is not None:
            raters = votes.loc[votes["rater_kind"] == kind, "rater"].nunique()
            who = "simulated raters" if kind == "simulated" else "people"
            facts.append([(f"{count:,}", "votes by"), (f"{raters:,}", who)])
    return facts


def _banner(simulated: int, every: int) -> str:
    if not simulated:
        return ""
    if simulated == every:
        return (
            f"All {every:,} votes in this report were cast by simulated raters: programs, not "
            "people. They show how the toolkit works, not what people prefer."
        )
    return (
        f"{simulated:,} of the {every:,} votes in this report were cast by simulated raters: "
        "programs, not people. They are analysed apart from people's votes and marked wherever "
        "they appear."
    )


def _findings(contents: Contents) -> list[dict[str, Any]]:
    arms = contents.inputs.arms
    found = [
        {
            "heading": question_words(result.ballot.question) + ".",
            "simulated": result.ballot.simulated,
            "text": " ".join(ballot_findings(result, arms)),
        }
        for result in contents.results
    ]
    if not found:
        words = "No votes yet: this report compares the arms by metrics alone."
        found.append({"heading": "Preference.", "simulated": False, "text": words})
    if contents.inputs.metrics is not None:
        text = metric_findings(contents.inputs.metrics, arms, contents.results)
        if text:
            found.append({"heading": "Metrics.", "simulated": False, "text": text})
    for group in found:  # "s = 3" stays on one line
        group["text"] = str(group["text"]).replace(" = ", "\u00a0=\u00a0")
    return found


def _board(result: BallotResult, contents: Contents) -> dict[str, Any]:
    """One leaderboard: rows with whiskers as percentages of the board's own range."""
    ballot = result.ballot
    elo = contents.elo
    rows = elo[(elo["question"] == ballot.question) & (elo["rater_kind"] == ballot.rater_kind)]
    ends = np.concatenate([rows["elo"], rows["low"], rows["high"], [0.0]]).astype(np.float64)
    ends = ends[np.isfinite(ends)]
    low, span = ends.min(), max(float(np.ptp(ends)), 1.0)

    def at(value: float) -> float:
        return round(3 + 94 * (value - low) / span, 2)

    table = []
    for row in rows_of(rows):
        scored = np.isfinite(row.elo)
        whisker = {"dot": at(row.elo), "left": 0.0, "width": 0.0} if scored else None
        if whisker and np.isfinite(row.low) and row.high > row.low:
            whisker |= {"left": at(row.low), "width": round(at(row.high) - at(row.low), 2)}
        interval = bounds(row.low, row.high) if whisker and whisker["width"] else "–"
        table.append(
            {
                "rank": row.rank or "–",
                "label": row.label,
                "strategy": row.strategy,
                "elo": signed(row.elo),
                "interval": interval,
                "whisker": whisker,
                "reason": row.reason,
                "votes": f"{row.votes:,}",
                "won": f"{percent(row.win_share)}%" if row.votes else "–",
            }
        )
    reasons = {row.reason for row in rows_of(rows) if np.isfinite(row.elo) and row.reason}
    notes = [*result.fit.notes, *(f"No interval: {reason}." for reason in sorted(reasons))]
    if not reasons:
        notes.insert(0, f"Whiskers: 95% intervals, {result.intervals.method}.")
    return {
        "question": question_words(ballot.question),
        "simulated": ballot.simulated,
        "axis": elo_axis(rows["anchor"].iloc[0]),
        "zero": at(0.0),
        "rows": table,
        "note": " ".join(notes),
        "table": f"elo-{slug(ballot.question, ballot.rater_kind)}",
    }


def _metrics(contents: Contents) -> dict[str, Any] | None:
    metrics = contents.inputs.metrics
    if metrics is None or metrics.empty:
        return None
    columns = metric_columns(metrics)
    one = len({extractor for _, extractor in columns}) == 1
    rows = [
        {"label": arm.label, "strategy": arm.strategy,
         "cells": [_metric_cell(metrics, arm.name, *column) for column in columns]}
        for arm in rows_of(contents.inputs.arms)
    ]  # fmt: skip
    counts = metrics["n"].dropna().astype(int)
    samples = ""
    if len(counts):
        several = f"{counts.min():,} to {counts.max():,}"
        each = f"{counts.min():,}" if counts.min() == counts.max() else several
        samples = f"Each value is of n = {each} images"
        samples += f", measured by {columns[0][1]}." if one and columns[0][1] else "."
    return {
        "columns": [
            {
                "label": f"{metric_info(metric).label} {metric_info(metric).arrow}",
                "extractor": "" if one else extractor,
            }
            for metric, extractor in columns
        ],
        "rows": rows,
        "samples": samples,
        "notes": list(_metric_notes(metrics, contents.labels)),
    }


def _metric_cell(metrics: pd.DataFrame, arm: str, metric: str, extractor: str) -> dict[str, Any]:
    column = metrics[(metrics["metric"] == metric) & (metrics["extractor"] == extractor)]
    found = column[column["arm"] == arm]
    if found.empty:
        return {"value": "–", "bounds": "", "best": False}
    info = metric_info(metric)
    row = found.iloc[0]
    value, interval = metric_parts(row, info.decimals)
    best = column["value"].min() if info.better == "lower" else column["value"].max()
    return {"value": value, "bounds": interval, "best": len(column) > 1 and row["value"] == best}


def _metric_notes(metrics: pd.DataFrame, labels: dict[str, str]) -> Iterator[str]:
    """Each note of the metrics table once, with what it is about."""
    noted = metrics[metrics["note"] != ""]
    for note, rows in noted.groupby("note", sort=False):
        about = []
        for metric, of_metric in rows.groupby("metric", sort=False):
            everywhere = len(of_metric) == (metrics["metric"] == metric).sum()
            arms = "" if everywhere else " of " + ", ".join(labels[a] for a in of_metric["arm"])
            about.append(metric_info(str(metric)).label + arms)
        yield f"{'; '.join(about)}: {note}"


def _agreement(contents: Contents, drawn: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for result in contents.results:
        ballot = result.ballot
        figure = drawn.get(f"metric-vs-elo-{slug(ballot.question, ballot.rater_kind)}")
        if figure:
            yield {**figure, "heading": question_words(ballot.question)}


def _heat(result: BallotResult, contents: Contents) -> dict[str, Any]:
    order = list(result.relative()["arm"])
    cells = {(row.arm, row.against): row for row in rows_of(result.win_table())}
    labels = contents.labels
    return {
        "question": question_words(result.ballot.question),
        "simulated": result.ballot.simulated,
        "columns": [labels[arm] for arm in order],
        "rows": [
            {
                "label": labels[arm],
                "cells": [_heat_cell(cells.get((arm, other)), labels) for other in order],
            }
            for arm in order
        ],
        "table": f"win-probability-{slug(result.ballot.question, result.ballot.rater_kind)}",
    }


def _heat_cell(row: Any, labels: dict[str, str]) -> dict[str, Any]:
    if row is None:
        return {"text": "", "title": "", "style": "", "far": False}
    title = f"{labels[row.arm]} against {labels[row.against]}: "
    if np.isfinite(row.low):
        title += f"{percent(row.low)} to {percent(row.high)}% at 95%; "
    elif row.reason:
        title += f"{row.reason}; "
    title += f"won {row.wins:g} of {row.n} votes (ties half)"
    if np.isnan(row.probability):
        return {"text": "–", "title": title, "style": "", "far": False}
    side = "--wins" if row.probability > 0.5 else "--loses"
    strength = round(200 * abs(row.probability - 0.5))
    style = f"background:color-mix(in oklab, var({side}) {strength}%, var(--even))"
    return {"text": percent(row.probability), "title": title, "style": style,
            "far": strength > 60}  # fmt: skip


def _gallery(contents: Contents) -> dict[str, Any]:
    samples = contents.inputs.samples
    if samples is None or samples.empty:
        return {"gallery": [], "gallery_note": ""}
    arms = contents.inputs.arms
    shown = arms[arms["name"].isin(set(samples["arm"]))]
    rows = gallery(samples, list(shown["name"]), contents.inputs.root)
    labels = list(shown["label"])
    note = f"{len(rows)} of {samples['prompt_id'].nunique()} prompts, a column an arm. "
    return {
        "gallery": [
            {
                "caption": row.caption,
                "difference": row.difference,
                "images": [
                    {"label": label, "uri": uri}
                    for label, uri in zip(labels, row.images, strict=True)
                ],
            }
            for row in rows
        ],
        "gallery_note": note + _noise_words(samples, arms),
    }


def _noise_words(samples: pd.DataFrame, arms: pd.DataFrame) -> str:
    if "seed" not in samples:
        return ""
    imported = set(arms.loc[arms["strategy"] == "imported", "name"])
    made = samples[~samples["arm"].isin(imported)]
    seeds = made.groupby(["prompt_id", "replica"])["seed"].nunique(dropna=False)
    if made["arm"].nunique() < 2:
        return ""
    if (seeds > 1).any():
        return "Arms were drawn from different noise, so images differ by luck too."
    words = (
        "In each row all arms start from equal noise and draw equal noise at every step, so what "
        "differs is the guidance."
    )
    return words + (" Imported images have noise of their own." if imported else "")


def _conduct(contents: Contents) -> dict[str, Any] | None:
    table = contents.conduct
    if table.empty:
        return None
    keys = [(r.ballot.question, r.ballot.rater_kind) for r in contents.results]
    cells = {(row.question, row.rater_kind, row.measure): row for row in rows_of(table)}
    rows = []
    for measure in dict.fromkeys(table["measure"]):
        parts = [conduct_cell(cells.get((*key, measure))) for key in keys]
        rows.append(
            {
                "words": measure_words(measure),
                "cells": [{"value": value, "small": small} for value, small in parts],
            }
        )
    return {
        "columns": [
            {"question": question_words(question), "simulated": kind == "simulated"}
            for question, kind in keys
        ],
        "rows": rows,
    }


def _methods(contents: Contents) -> list[str]:
    words = []
    if contents.results:
        clusters = "; ".join(
            f"{ballot_words(r.ballot.question, r.ballot.rater_kind)}: {r.intervals.method}"
            + (f", t with {r.intervals.df} degrees of freedom" if r.intervals.df else "")
            for r in contents.results
        )
        words += [
            "Scores σ minimise GLIDE's logistic loss (Nichol et al. 2021, appendix A.1) over all "
            "votes on a question: P(i beats j) = 1 / (1 + 10^((σj − σi) / 400)), a tie half a win "
            "for each, winners first. Arms that the votes don't link in both directions get no "
            "number, only their order.",
            "Intervals are 95% and cluster-robust (CR1), since votes of one rater or on one "
            f"prompt are not independent. {clusters}. The tables hold a percentile bootstrap of "
            f"raters beside them ({contents.results[0].resampled.draws.shape[0]:,} rounds, seed "
            f"{contents.seed}). Intervals are for one comparison at a time, without correction "
            "for the number of arms.",
        ]
    if len(contents.correlations):
        words.append(
            "Rank correlations between a metric and Elo are over arms, with Bonett and Wright's "
            "interval; arms of one strategy are not independent, so read them as descriptions."
        )
    if contents.inputs.metrics is not None and len(contents.inputs.metrics):
        words.append(
            "Metrics, their intervals and their notes are those of the run's metrics table. "
            "Values of different extractors are never compared."
        )
    return words


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested provenance as dotted keys and printable values."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, (list, tuple)):
            yield name, ", ".join(map(str, value))
        elif value is not None and value != "":
            yield name, str(value)
