"""One run or study as a page shows it: each section, ready for the template."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from analysis.ballots import RATER_KINDS, names_raters, rows_of
from analysis.report.contents import BallotPart, Part
from analysis.report.figures.figure import Figure
from analysis.report.figures.gallery import gallery
from analysis.report.figures.metrics import TRADEOFFS
from analysis.report.figures.theme import MARKERS, series_dashes, series_marker
from analysis.report.inputs import ReportInputs
from analysis.report.strategies import strategy_looks
from analysis.report.tables.printed import grid
from analysis.report.words.answers import NOTE, printed_answers
from analysis.report.words.claims import (
    best_scale_notes,
    curve_sentences,
    printed_best_scales,
)
from analysis.report.words.findings import ballot_findings, metric_findings
from analysis.report.words.goodness import misfit
from analysis.report.words.methods import methods_notes, methods_paragraph, nothing_counts
from analysis.report.words.metric_claims import (
    finding_words,
    predictors_words,
    printed_metric_claims,
    printed_predictors,
)
from analysis.report.words.robustness import unsettled
from analysis.report.words.wording import heading_words, question_words
from analysis.scores import curves, has_curve, variant_in

from .behind import Behind, Originals
from .highlights import Pictures, disputed_views, prompt_views
from .metrics import metric_view
from .scores import board, heat
from .trust import conduct_view, holds_view

MOST_ANSWERS = 60  # arms with their rates of answers; the table has every arm

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


def part_view(part: Part, behind: list[Behind], originals: Originals) -> dict[str, Any]:
    """Return one run or study: everything the template prints of it.

    Args:
        part: the run or study.
        behind: the votes behind each of its ballots, to link to.
        originals: its pictures at full size, to link to.
    """
    inputs, ballots, prefix = part.inputs, part.ballots, part.prefix
    pictures = Pictures(inputs, originals, behind)
    arms, labels = inputs.arms, inputs.labels
    drawn = {name: figure_view(figure) for name, figure in part.figures.items()
             if not name.startswith("win-probability")}  # fmt: skip
    simulated, every = part.votes("simulated"), part.votes()
    provenance = provenance_rows(inputs.provenance)
    view = {
        "name": inputs.name,
        "prefix": prefix,
        "strategies": _strategies(arms),
        "facts": _facts(part),
        "all_simulated": bool(every) and simulated == every,
        "findings": findings_view(inputs, ballots),
        "more": {
            section: [
                drawn[name] for name, figure in part.figures.items() if figure.section == section
            ]
            for section in SECTIONS
        },
        "elo_figure": drawn.get("elo-vs-scale", drawn.get("elo-ranking")),
        "boards": [board(ballot, part.elo, prefix) for ballot in ballots],
        "scales": _scales(ballots, prefix),
        "answers": _answers(ballots, labels, prefix),
        "holds": holds_view(ballots, inputs, prefix),
        "tradeoffs": [drawn[name] for name, *_ in TRADEOFFS if name in drawn],
        "metrics": metric_view(inputs.metrics, arms),
        "remarks": list(inputs.remarks),
        "told": _metric_claims(ballots, labels, prefix),
        "agreement": list(_agreement(ballots, drawn)),
        "wins": [heat(b, labels, prefix, of) for b, of in zip(ballots, behind, strict=True)],
        **_gallery(inputs, pictures),
        "pictures": inputs.samples is not None and len(inputs.samples) > 0,
        "best_prompts": prompt_views(inputs, ballots, prefix, pictures),
        "disputed": disputed_views(inputs, ballots, prefix, pictures),
        "conduct": conduct_view(part.conduct, ballots),
        "nothing_counts": nothing_counts(inputs.votes),
        "paragraph": methods_paragraph(inputs, part.results),
        "notes": methods_notes(inputs, part.results, part.correlations),
        "provenance": [row for row in provenance if not _of_identity(row)],
        "identity": [row for row in provenance if _of_identity(row)],
    }
    same = ("holds", "agreement", "wins", "best_prompts", "disputed", "conduct")
    shown: dict[str, Any] = {
        "preference": True,
        "metrics": view["metrics"] or view["tradeoffs"],
        "methods": True,
        **{name: view[name] for name in same},
        "samples": view["gallery"],
    }
    return {**view, "sections": [(prefix + n, words) for n, words in SECTIONS.items() if shown[n]]}


def figure_view(figure: Figure) -> dict[str, Any]:
    """Return a figure's panels as SVG, and what stands below them."""
    return {
        "name": figure.name,
        "caption": figure.caption,
        "simulated": figure.simulated,
        "panels": figure.inline_panels(),
    }


def provenance_rows(provenance: dict[str, Any]) -> list[tuple[str, str]]:
    """Return everything recorded about origins, as dotted keys and printable values."""
    return list(_flat(provenance))


def _of_identity(row: tuple[str, str]) -> bool:
    return row[0].startswith("identity.")


def _strategies(arms: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the legend; empty where every arm is of one series, which needs none.

    A strategy of several series has them as `variants`, each with its words, marker and dashes.
    """
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
    """Return the series of one strategy as the legend draws them; empty where it has one.

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


def _facts(part: Part) -> list[list[tuple[str, str]]]:
    """Return counts for the page's first line, each a list of (number, words)."""
    facts = [[(f"{len(part.inputs.arms):,}", "arms")]]
    samples, votes = part.inputs.samples, part.inputs.votes
    if samples is not None and len(samples):
        facts.append([(f"{samples['prompt_id'].nunique():,}", "prompts")])
        facts.append([(f"{len(samples):,}", "images")])
    for kind in RATER_KINDS:
        if (count := part.votes(kind)) and votes is not None:
            raters = votes.loc[votes["rater_kind"] == kind, "rater"].nunique()
            who = "simulated raters" if kind == "simulated" else "people"
            named = [(f"{raters:,}", who)] if names_raters(votes) else []
            facts.append([(f"{count:,}", "votes by" if named else "votes"), *named])
    return facts


def findings_view(inputs: ReportInputs, ballots: list[BallotPart]) -> list[dict[str, Any]]:
    """Return the first sentences of a part: heading, whether simulated raters voted, text."""
    arms, labels = inputs.arms, inputs.labels
    found = [
        {
            "heading": heading_words(ballot.question),
            "simulated": ballot.simulated,
            "text": " ".join(
                [
                    *ballot_findings(ballot.result, arms),
                    *misfit(ballot.claims.goodness, labels),
                    *unsettled(ballot.claims.robustness, labels),
                ]
            ),
        }
        for ballot in ballots
    ]
    if not found:
        words = f"{nothing_counts(inputs.votes)} This report compares the arms by metrics "
        words += "alone."
        found.append({"heading": "Preference.", "simulated": False, "text": words})
    if inputs.metrics is not None:
        text = metric_findings(inputs.metrics, arms, [ballot.result for ballot in ballots])
        if text:
            found.append({"heading": "Metrics.", "simulated": False, "text": text})
    for group in found:  # "s = 3" stays on one line
        group["text"] = str(group["text"]).replace(" = ", "\u00a0=\u00a0")
    return found


def _agreement(ballots: list[BallotPart], drawn: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for ballot in ballots:
        figure = drawn.get(f"metric-vs-elo-{ballot.slug}")
        if figure:
            yield {**figure, "heading": question_words(ballot.question)}


def _scales(ballots: list[BallotPart], prefix: str) -> list[dict[str, Any]]:
    """Return best scales and tests of curves, of each ballot that has curves."""
    return [
        {
            "question": question_words(ballot.question),
            "simulated": ballot.simulated,
            "table": grid(printed_best_scales(ballot.claims)),
            "sentences": [*curve_sentences(ballot.claims), *best_scale_notes(ballot.claims)],
            "file": f"{prefix}scales-{ballot.slug}",
        }
        for ballot in ballots
        if len(ballot.claims.curves.best)
    ]


def _answers(
    ballots: list[BallotPart], labels: dict[str, str], prefix: str
) -> list[dict[str, Any]]:
    """Return how often each arm's votes named no winner, of ballots with unusual answers."""
    return [
        {
            "question": question_words(ballot.question),
            "simulated": ballot.simulated,
            "table": grid(printed_answers(ballot.claims.answers, labels).head(MOST_ANSWERS)),
            "note": NOTE,
            "file": f"{prefix}answers-{ballot.slug}",
        }
        for ballot in ballots
        if len(ballot.claims.answers)
    ]


def _metric_claims(
    ballots: list[BallotPart], labels: dict[str, str], prefix: str
) -> list[dict[str, Any]]:
    """Return what each metric says of each ballot's votes."""
    return [
        {
            "question": question_words(ballot.question),
            "simulated": ballot.simulated,
            "table": grid(printed_metric_claims(claims)),
            "finding": finding_words(claims, labels, ballot.simulated),
            "file": f"{prefix}metric-agreement-{ballot.slug}",
            "predictors": grid(printed_predictors(claims.predictors, labels)),
            "best": predictors_words(claims.predictors),
            "predicted": f"{prefix}metric-predictors-{ballot.slug}",
        }
        for ballot in ballots
        if (claims := ballot.metric_claims) is not None and len(claims.ranks)
    ]


def _gallery(inputs: ReportInputs, pictures: Pictures) -> dict[str, Any]:
    samples = inputs.samples
    if samples is None or samples.empty:
        return {"gallery": [], "gallery_note": ""}
    arms = inputs.arms
    shown = arms[arms["name"].isin(set(samples["arm"]))]
    rows = gallery(samples, list(shown["name"]), inputs.root)
    labels = list(shown["label"])
    note = f"{len(rows)} of {samples['prompt_id'].nunique()} prompts, one column per arm. "
    return {
        "gallery": [
            {
                "caption": row.caption,
                "difference": row.difference,
                "images": [
                    {"label": label, "uri": uri, **pictures.original(arm, row.prompt_id)}
                    for arm, label, uri in zip(shown["name"], labels, row.images, strict=True)
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
    """Yield nested provenance as dotted keys and printable values."""
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
