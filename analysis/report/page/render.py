"""The report as a page: one file with styles, figures and images inside, and no requests."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from analysis.report.contents import Part, Report
from analysis.report.strategies import described_strategies, strategy_css

from .behind import FOLDER, Behind, Originals, behind, index_view, pages_view
from .highlights import published_view
from .sections import part_view
from .side_by_side import comparison_view

PAGE = "index.html"
_TEMPLATES = ("report", "part", "macros", "comparison", "votes")


def render_page(report: Report) -> str:
    """Return the whole page, which works without JavaScript: its script only adds comfort."""
    return render_pages(report, None)[PAGE]


def render_pages(report: Report, out_dir: Path | None) -> dict[str, str]:
    """Return the page, and the pages of the votes behind it, by their paths.

    Args:
        report: what they hold.
        out_dir: the report's folder, from which pictures are linked to; None links to none.
    """
    folder = files("analysis.report.page") / "templates"
    names = [f"{name}.html.j2" for name in _TEMPLATES]
    environment = jinja2.Environment(
        loader=jinja2.DictLoader({n: (folder / n).read_text(encoding="utf-8") for n in names}),
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    inside = {
        name: (folder / f"report.{name}").read_text(encoding="utf-8") for name in ("css", "js")
    }
    used = [arm for part in report.parts for arm in part.inputs.arms["strategy"]]
    inside["css"] += strategy_css([*described_strategies(), *used])
    votes = [(part, behind(part), Originals(part.inputs, out_dir)) for part in report.parts]
    view = _view(report, votes)
    page = environment.get_template("report.html.j2").render(view, **inside)
    of_votes = environment.get_template("votes.html.j2")
    shared = {**inside, "title": report.title}
    return {
        PAGE: page,
        **{
            f"{FOLDER}/{name}": of_votes.render(told, **shared)
            for part, found, originals in votes
            for each in found
            if len(each.votes)
            for name, told in _of_votes(each, part, originals)
        },
    }


def _of_votes(
    found: Behind, part: Part, originals: Originals
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and contents of each page of one ballot's votes, the index first."""
    of_part = {"part": part.inputs.name, "strategies": part.inputs.strategies}
    yield f"{found.name}.html", {**index_view(found, part), **of_part, "pairs": [], "number": 0}
    for page in pages_view(found, part, originals):
        name = f"{found.name}-{page['number']}.html"
        yield name, {**page, **of_part, "index": [], "prompts": []}


def _view(report: Report, votes: list[tuple[Part, list[Behind], Originals]]) -> dict[str, Any]:
    simulated, every = report.votes("simulated"), report.votes()
    parts = [part_view(*of_part) for of_part in votes]
    for number, part in enumerate(report.parts):
        if any(_same_run(part, other) for other in report.parts[:number]):
            parts[number] |= {"gallery": [], "metrics": None, "tradeoffs": []}
    beside = published_view(report)
    sections = parts[0]["sections"] if len(parts) == 1 else [
        ("runs", "Side by side"), *((f"{part['prefix']}part", part["name"]) for part in parts)
    ]  # fmt: skip
    sections = [*sections, *([("published", "Beside the paper")] if beside else [])]
    return {
        "title": report.title,
        "eyebrow": _eyebrow(report),
        "command": report.command,
        "banner": banner_words(report),
        "all_simulated": bool(every) and simulated == every,
        "sections": sections,
        "parts": parts,
        "comparison": comparison_view(report),
        "published_view": beside,
    }


def _eyebrow(report: Report) -> str:
    """Return what kind of report it is, above the heading."""
    if len(report.parts) > 1:
        return f"{len(report.parts)} side by side"
    guided = set(report.parts[0].inputs.arms["strategy"]) - {"imported"}
    return "Guidance comparison" if guided else "Comparison"


def _same_run(part: Part, other: Part) -> bool:
    """Return whether two parts are studies of one run; its images and metrics are shown once."""
    return part.inputs.root == other.inputs.root != Path()


def banner_words(report: Report) -> str:
    """Return how many votes are of simulated raters; empty where none is."""
    simulated, every = report.votes("simulated"), report.votes()
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
