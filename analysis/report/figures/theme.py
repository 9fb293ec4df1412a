"""One look for every figure: colours, type and how figures become files and inline SVG.

Colours are Okabe & Ito's in spirit (told apart by colour-blind readers) and each strategy has its
own marker too. All text is one face of one family: PDFs with two faces list them in a random
order, and the same report must give the same bytes.
"""

from __future__ import annotations

import html
import re
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any

import altair as alt
import pandas as pd
import vl_convert
from altair.utils import schemapi

from analysis.report.strategies import described_strategies, strategy_look, strategy_looks

CHECKED = False  # whether charts are checked as they are built
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"

INK, MUTED, GRID, PAPER = "#1c2029", "#626a78", "#e2e5ea", "#ffffff"
# Runs and studies side by side, each a colour and a marker; more than eight begin anew.
PARTS = (
    ("#4477aa", "circle"), ("#ee6677", "square"), ("#228833", "triangle-up"),
    ("#b8860b", "diamond"), ("#aa3377", "triangle-down"), ("#0e8ea6", "cross"),
    ("#8c564b", "triangle-right"), ("#5d5d5d", "triangle-left"),
)  # fmt: skip
SPARE_MARKERS = ("triangle-down", "diamond", "cross", "square", "triangle-right", "triangle-left")
MARKERS = {  # as paths within 34 by 12, for the page's legend
    "circle": "M12.5 6a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0Z",
    "square": "M13 2h8v8h-8Z",
    "diamond": "M17 .5L22 6L17 11.5L12 6Z",
    "cross": "M15.3 1h3.4v3.3H22v3.4h-3.3V11h-3.4V7.7H12V4.3h3.3Z",
    "triangle-up": "M17 1.5L22 10.5H12Z",
    "triangle-down": "M17 10.5L22 1.5H12Z",
    "triangle-right": "M21.5 6L12.5 11V1Z",
    "triangle-left": "M12.5 6L21.5 11V1Z",
}
LINES = (("solid", [1, 0]), ("dashed", [6, 4]), ("dotted", [2, 3]), ("dash-dotted", [9, 3, 2, 3]))
LOSES, EVEN, WINS = "#e58f3c", "#f4f3f1", "#4a95dc"  # dark text is legible on each
# Colours that follow the page's light or dark scheme where a figure stands inside it.
CSS_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    PAPER: "--paper",
    **{colour: f"--part-{number}" for number, (colour, _) in enumerate(PARTS)},
}


def series_marker(strategy: str, variant: int) -> str:
    """Return the marker of a strategy's series by its number."""
    own = strategy_look(strategy).marker
    others = [marker for marker in SPARE_MARKERS if marker != own]
    return others[(variant - 1) % len(others)] if variant else own


def series_dashes(variant: int) -> list[int]:
    """Return the line of a strategy's series by its number, where a strategy has several."""
    return LINES[variant % len(LINES)][1]


def series_scales(shown: pd.DataFrame) -> tuple[alt.Scale, alt.Scale]:
    """Return colour and marker scales over the words of the series shown, always the same ones.

    Args:
        shown: words, strategy, variant of the points.
    """
    rows = shown.drop_duplicates("words").sort_values("variant", kind="stable")
    known = [
        (words, look.colour, series_marker(look.name, variant))
        for look in strategy_looks(rows["strategy"])
        for words, variant in rows.loc[rows["strategy"] == look.name, ["words", "variant"]].values
    ]
    domain = [words for words, _, _ in known]
    return (
        alt.Scale(domain=domain, range=[colour for _, colour, _ in known]),
        alt.Scale(domain=domain, range=[marker for _, _, marker in known]),
    )


def part_scales(parts: list[str]) -> tuple[alt.Scale, alt.Scale]:
    """Return colour and marker scales over runs or studies, in their order."""
    looks = [PARTS[number % len(PARTS)] for number in range(len(parts))]
    return (
        alt.Scale(domain=parts, range=[colour for colour, _ in looks]),
        alt.Scale(domain=parts, range=[marker for _, marker in looks]),
    )


def config(background: str | None) -> dict[str, Any]:
    """Return the Vega-Lite config of every figure."""
    text = {"labelFont": FONT, "titleFont": FONT, "labelColor": MUTED, "titleColor": INK}
    axis = {
        **text,
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "gridColor": GRID,
        "domainColor": GRID,
        "tickColor": GRID,
        "labelPadding": 5,
        "tickCount": 6,
        "labelFlush": False,
    }
    return {
        "background": background,
        "font": FONT,
        "padding": 6,
        "view": {"stroke": None},
        "axis": axis,
        "axisX": {"grid": False, "domainColor": MUTED, "tickColor": MUTED},
        "axisY": {"domain": False, "ticks": False},
        "legend": {
            **text,
            "labelFontSize": 12,
            "labelLimit": 260,
            "labelColor": INK,
            "title": None,
            "orient": "bottom",
            "symbolSize": 90,
            "symbolOpacity": 1,
            "columnPadding": 18,
        },
        "title": {
            "font": FONT,
            "subtitleFont": FONT,
            "fontWeight": "normal",
            "fontSize": 14,
            "color": INK,
            "subtitleFontSize": 11.5,
            "subtitleColor": MUTED,
            "anchor": "start",
            "frame": "group",
            "offset": 10,
            "subtitlePadding": 4,
        },
    }


@contextmanager
def unchecked() -> Generator[None]:
    """Build charts without Altair's check of every part against the whole schema of Vega-Lite.

    The check takes longer than drawing, and vl-convert refuses a wrong chart anyway. Tests set
    `CHECKED`, so that it happens there.
    """
    with schemapi.debug_mode(CHECKED):
        yield


def spec(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """Return the chart as Vega-Lite, without a config."""
    # Altair's check against the whole Vega-Lite schema takes longer than drawing; vl-convert
    # refuses a wrong chart anyway.
    written = chart.to_dict(validate=False)
    del written["config"]
    return written


def render(chart: dict[str, Any]) -> dict[str, bytes]:
    """Return the files of a chart's Vega-Lite: `svg`, `pdf` and `png` (2×, 192 dpi)."""
    svg = _numbered(vl_convert.vegalite_to_svg({**chart, "config": config(PAPER)}))
    return {
        "svg": svg.encode("utf-8"),
        "pdf": _in_order(vl_convert.svg_to_pdf(svg)),
        "png": vl_convert.svg_to_png(svg, scale=2, ppi=96),
    }


def _numbered(svg: str) -> str:
    """Return the SVG with its frames' ids counted from zero: Vega goes on counting from chart to
    chart.
    """
    found = dict.fromkeys(re.findall(r'id="(clip\d+)"', svg))
    names = {name: f"frame{number}" for number, name in enumerate(found)}
    return re.sub(r"(?<=[\"#])clip\d+(?=[\")])", lambda m: names.get(m[0], m[0]), svg)


def _in_order(pdf: bytes) -> bytes:
    """Return the PDF with each list of resources sorted: they come in a random order, the rest
    doesn't.
    """
    entries = rb"(?:[ ]+/[A-Za-z]+\d+ \d+ 0 R\n){2,}"
    return re.sub(entries, lambda m: b"".join(sorted(m[0].splitlines(keepends=True))), pdf)


def inline_svg(
    chart: dict[str, Any],
    name: str,
    label: str,
    size: tuple[int, int] | None,
    strategies: Iterable[str] = (),
) -> str:
    """Return the chart as SVG for the page: fluid width, the page's colours, marks with tooltips.

    Args:
        chart: one panel's Vega-Lite.
        name: prefix of the SVG's ids, unique in the page.
        label: what a screen reader says.
        size: width and height of the whole picture, titles and axes included; None for its own.
        strategies: whose colours it may show, beside those described.
    """
    drawn = {**chart, "config": config(background=None)}
    if size:
        width, height = size
        drawn |= {"width": width, "height": height}
        drawn["autosize"] = {"type": "fit", "contains": "padding"}
    svg = _numbered(vl_convert.vegalite_to_svg(drawn))
    looks = strategy_looks([*described_strategies(), *strategies])
    of_strategies = {look.colour: f"--{look.name}" for look in looks}
    for colour, variable in (CSS_VARIABLES | of_strategies).items():
        svg = re.sub(f'"{colour}"', f'"var({variable})"', svg, flags=re.IGNORECASE)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    width = re.search(r'<svg[^>]*? width="([\d.]+)"', svg)
    natural = f' style="max-width:{float(width[1]) * 1.3:.0f}px"' if width else ""
    svg = re.sub(
        r'(<svg[^>]*?) width="[\d.]+" height="[\d.]+"',
        rf'\1{natural} role="img" aria-label="{html.escape(label)}"',
        svg,
        count=1,
    )
    return re.sub(r'(<path aria-label="([^"]*)"[^>]*)/>', r"\1><title>\2</title></path>", svg)
