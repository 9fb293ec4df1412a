"""One run or study as a page shows it: each section, ready for the template."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from analysis.ballots import rows_of
from analysis.report.contents import Contents
from analysis.report.figures.figure import Figure
from analysis.report.figures.gallery import gallery
from analysis.report.figures.metrics import TRADEOFFS
from analysis.report.figures.strategies import strategy_looks
from analysis.report.figures.theme import MARKERS, series_dashes, series_marker
from analysis.report.tables.printed import grid
from analysis.report.words.claims import curve_sentences, printed_best_scales
from analysis.report.words.findings import ballot_findings, metric_findings
from analysis.report.words.methods import methods_notes, methods_paragraph, nothing_counts
from analysis.report.words.metric_claims import finding_words, printed_metric_claims
from analysis.report.words.robustness import unsettled
from analysis.report.words.wording import heading_words, question_words, slug
from analysis.scores import BallotResult, curves, has_curve, variant_in

from .highlights import disputed_views, prompt_views
from .metrics import metric_view
from .scores import board, heat
from .trust import conduct_view, holds_view

SECTIONS = {
    "preference": "Preference",
    "holds": "Does it hold?",
    "metrics": "Metrics",
    "agreement": "Metrics against raters",
    "wins": "Who beats whom",
    "samples": "Samples",
    "best_prompts": "Best and worst prompts",
    "disputed": "Disputed pairs",
    "conduct": "Conduct",
    "methods": "Methods and provenance",
}


def part_view(contents: Contents) -> dict[str, Any]:
    """One run or study: everything the template prints of it."""
    inputs, results, prefix = contents.inputs, contents.results, contents.prefix
    drawn = {name: figure_view(figure) for name, figure in contents.figures.items()
             if not name.startswith("win-probability")}  # fmt: skip
    simulated = sum(r.ballot.votes for r in results if r.ballot.simulated)
    every = sum(r.ballot.votes for r in results)
    view = {
        "name": inputs.name,
        "prefix": prefix,
        "strategies": _strategies(contents),
        "facts": _facts(contents, simulated, every),
        "all_simulated": bool(every) and simulated == every,
        "findings": findings_view(contents),
        "elo_figure": drawn.get("elo-vs-scale", drawn.get("elo-ranking")),
        "boards": [board(*each, contents) for each in zip(results, contents.claims, strict=True)],
        "scales": _scales(contents),
        "holds": holds_view(contents),
        "tradeoffs": [drawn[name] for name, *_ in TRADEOFFS if name in drawn],
        "metrics": metric_view(contents),
        "remarks": list(inputs.remarks),
        "told": _metric_claims(contents),
        "agreement": list(_agreement(contents, drawn)),
        "wins": [heat(result, contents) for result in results],
        **_gallery(contents),
        "pictures": inputs.samples is not None and len(inputs.samples) > 0,
        "best_prompts": prompt_views(contents),
        "disputed": disputed_views(contents),
        "conduct": conduct_view(contents),
        "nothing_counts": nothing_counts(inputs.votes),
        "paragraph": methods_paragraph(contents),
        "notes": methods_notes(contents),
        "provenance": [row for row in provenance_rows(contents) if not _of_identity(row)],
        "identity": [row for row in provenance_rows(contents) if _of_identity(row)],
    }
    same = ("holds", "agreement", "wins", "best_prompts", "disputed", "conduct")
    shown: dict[str, Any] = {
        "preference": True,
        "metrics": view["metrics"] or view["tradeoffs"],
        "methods": True,
        **{name: view[name] for name in same},
        "samples": view["gallery"],
    }
    sections = [(prefix + name, words) for name, words in SECTIONS.items() if shown[name]]
    return {**view, "sections": sections}


def figure_view(figure: Figure) -> dict[str, Any]:
    """A figure's panels as SVG, and what stands below them."""
    return {
        "name": figure.name,
        "caption": figure.caption,
        "simulated": figure.simulated,
        "panels": figure.inline_panels(),
    }


def provenance_rows(contents: Contents) -> list[tuple[str, str]]:
    """Everything recorded about origins, as keys and printable values."""
    return list(_flat(contents.inputs.provenance))


def _of_identity(row: tuple[str, str]) -> bool:
    return row[0].startswith("identity.")


def _strategies(contents: Contents) -> list[dict[str, Any]]:
    """The legend; empty where every arm is of one series, which needs none.

    A strategy of several series has them as `variants`, each with its words, marker and dashes.
    """
    arms = contents.inputs.arms
    if len(set(arms["strategy"])) < 2 and not arms["variant"].any():
        return []
    lines = has_curve(arms) or "unguided" in set(arms["strategy"])
    return [
        {
            "name": look.name,
            "words": look.words,
            "variants": _variants(arms[arms["strategy"] == look.name], lines),
        }
        for look in strategy_looks(arms["strategy"])
    ]


def _variants(arms: pd.DataFrame, lines: bool) -> list[dict[str, Any]]:
    """The series of one strategy as the legend draws them; empty where it has one.

    Args:
        arms: of the strategy.
        lines: whether any figure has lines.
    """
    found = curves(arms).drop_duplicates("series")
    if not found["variant"].any():
        return []
    return [
        {
            "words": variant_in(row.series),
            "marker": MARKERS[series_marker(row.strategy, row.variant)],
            "dashes": " ".join(map(str, series_dashes(row.variant))) if lines else "",
        }
        for row in rows_of(found)
    ]


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


def findings_view(contents: Contents) -> list[dict[str, Any]]:
    """The first sentences of a part: heading, whether simulated raters voted, text."""
    arms = contents.inputs.arms
    found = [
        {
            "heading": heading_words(result.ballot.question),
            "simulated": result.ballot.simulated,
            "text": " ".join(
                [*ballot_findings(result, arms), *unsettled(claims.robustness, contents.labels)]
            ),
        }
        for result, claims in zip(contents.results, contents.claims, strict=True)
    ]
    if not found:
        words = f"{nothing_counts(contents.inputs.votes)} This report compares the arms by metrics "
        words += "alone."
        found.append({"heading": "Preference.", "simulated": False, "text": words})
    if contents.inputs.metrics is not None:
        text = metric_findings(contents.inputs.metrics, arms, contents.results)
        if text:
            found.append({"heading": "Metrics.", "simulated": False, "text": text})
    for group in found:  # "s = 3" stays on one line
        group["text"] = str(group["text"]).replace(" = ", "\u00a0=\u00a0")
    return found


def _agreement(contents: Contents, drawn: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for result in contents.results:
        ballot = result.ballot
        figure = drawn.get(f"metric-vs-elo-{slug(ballot.question, ballot.rater_kind)}")
        if figure:
            yield {**figure, "heading": question_words(ballot.question)}


def _scales(contents: Contents) -> list[dict[str, Any]]:
    """Best scales and tests of curves, of each ballot that has curves."""
    return [
        {
            "question": question_words(result.ballot.question),
            "simulated": result.ballot.simulated,
            "table": grid(printed_best_scales(claims)),
            "sentences": curve_sentences(claims),
            "file": f"{contents.prefix}scales-{_slug(result)}",
        }
        for result, claims in zip(contents.results, contents.claims, strict=True)
        if len(claims.curves.best)
    ]


def _slug(result: BallotResult) -> str:
    return slug(result.ballot.question, result.ballot.rater_kind)


def _metric_claims(contents: Contents) -> list[dict[str, Any]]:
    """What each metric says of each ballot's votes."""
    return [
        {
            "question": question_words(result.ballot.question),
            "simulated": result.ballot.simulated,
            "table": grid(printed_metric_claims(claims)),
            "finding": finding_words(claims, contents.labels, result.ballot.simulated),
            "file": f"{contents.prefix}metric-agreement-{_slug(result)}",
        }
        for result, claims in zip(contents.results, contents.metric_claims, strict=False)
        if len(claims.ranks)
    ]


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


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested provenance as dotted keys and printable values."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, (list, tuple)) and any(isinstance(item, dict) for item in value):
            value = {str(number): item for number, item in enumerate(value, 1)}
        if isinstance(value, dict):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, (list, tuple)):
            yield name, ", ".join(map(str, value))
        elif value is not None and value != "":
            yield name, str(value)
