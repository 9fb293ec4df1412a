"""What a figure is: panels, saved as SVG, PDF, PNG and the data behind them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import altair as alt
import pandas as pd

from analysis.ballots import csv_of
from analysis.report.strategies import series_words, strategy_words
from analysis.report.words.wording import SIMULATED, signed
from analysis.scores import COLUMNS

from . import theme

PANEL_WIDTH, PANEL_HEIGHT = 380, 270


@dataclass(frozen=True)
class Panel:
    """One chart of a figure; `title` and `subtitle` stand above it."""

    title: str
    subtitle: str
    chart: Any  # altair.LayerChart; its methods are typed as any kind of chart

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The chart as Vega-Lite: written once, since Altair takes about as long as Vega draws."""
        return theme.spec(self.chart)

    def titled(self) -> dict[str, Any]:
        """Return the chart with its title."""
        return {**self.spec, "title": {"text": self.title, "subtitle": self.subtitle or " "}}


@dataclass(frozen=True)
class Figure:
    """A named figure.

    Attributes:
        name: file name without extension.
        title: what it shows.
        caption: how to read it; says whose votes they are.
        panels: one or more.
        data: the numbers drawn, one row per point.
        simulated: whether simulated raters' votes enter it.
        inline_size: width and height of a panel in the page, all of it, so that panels in a row
            line up; None leaves a panel the size it has.
        own_legend: whether panels keep their legend in the page, whose own is of strategies.
        section: where the page shows a figure that has no place of its own: a key of
            `page.sections.SECTIONS`.
    """

    name: str
    title: str
    caption: str
    panels: tuple[Panel, ...]
    data: pd.DataFrame
    simulated: bool = False
    inline_size: tuple[int, int] | None = (380, 310)
    own_legend: bool = False
    section: str = ""

    def files(self) -> dict[str, bytes]:
        """File name → bytes: the panels side by side as SVG, PDF and PNG, and the data as CSV."""
        note = f"Votes of {SIMULATED}, not of people." if self.simulated else ""
        if len(self.panels) == 1 and not note:
            note = self.panels[0].subtitle
        title = {"text": self.title, "subtitle": note or " ", "fontSize": 17, "offset": 14}
        charts = [p.titled() if len(self.panels) > 1 else p.spec for p in self.panels]
        files = {
            f"{self.name}.{kind}": data
            for kind, data in theme.render(_side_by_side(charts, title)).items()
        }
        data = self.data.drop(columns=list(COLUMNS), errors="ignore")
        files[f"{self.name}.csv"] = csv_of(data).encode("utf-8")
        return files

    def inline_panels(self) -> list[str]:
        """Return each panel as SVG for the page, which has a legend of strategies."""
        return [
            theme.inline_svg(
                panel.titled() if self.own_legend else _without_legend(panel.titled()),
                f"{self.name}-{number}",
                f"{self.title}: {panel.title}",
                self.inline_size,
                self.data.get("strategy", ()),
            )
            for number, panel in enumerate(self.panels)
        ]


def base_of(points: pd.DataFrame) -> tuple[alt.Chart, alt.Color, alt.Shape]:
    """Return a chart of the points, and colour and marker by the words of strategy or series."""
    colours, shapes = theme.series_scales(points)
    # Words of variants are long: in one row they would widen the picture.
    rows: dict[str, Any] = {"legend": alt.Legend(columns=2)} if points["variant"].any() else {}
    if points["words"].nunique() < 2:  # a legend of one entry says what no reader asks
        rows = {"legend": None}
    return (
        alt.Chart(points),
        alt.Color("words:N", scale=colours, **rows),
        alt.Shape("words:N", scale=shapes, **rows),
    )


def sized(chart: Any) -> Any:
    """Return the chart in the size of a panel."""
    return chart.properties(width=PANEL_WIDTH, height=PANEL_HEIGHT)


def dashed(points: pd.DataFrame, variant: int) -> dict[str, Any]:
    """Return how a series' line is marked: by dashes where a strategy has several series."""
    return {"strokeDash": theme.series_dashes(variant)} if points["variant"].any() else {}


def in_words(points: pd.DataFrame) -> list[str]:
    """Return what a legend names each point by: its series, or its strategy where no curve joins
    it.
    """
    return [
        strategy_words(strategy) if pd.isna(series) else series_words(series)
        for strategy, series in zip(points["strategy"], points["series"], strict=True)
    ]


def with_words(points: pd.DataFrame) -> pd.DataFrame:
    """Return points with their series in words and a sentence for tooltips."""
    said = [
        f"{label}: {signed(elo)} Elo" + (f" ({signed(low)} to {signed(high)})" * (low < high))
        for label, elo, low, high in zip(
            points["label"], points["elo"], points["low"], points["high"], strict=True
        )
    ]
    return points.assign(words=in_words(points), said=said)


def _side_by_side(charts: list[dict[str, Any]], title: dict[str, Any]) -> dict[str, Any]:
    """Vega-Lite of charts in rows of three, four as two and two; what is common stands once."""
    whole = ("$schema", "config", "datasets")
    datasets = {name: rows for chart in charts for name, rows in chart["datasets"].items()}
    return {
        "$schema": charts[0]["$schema"],
        "title": title,
        "datasets": datasets,
        "concat": [{k: v for k, v in chart.items() if k not in whole} for chart in charts],
        "columns": 2 if len(charts) == 4 else min(len(charts), 3),
        "spacing": 36,
    }


def _without_legend(chart: dict[str, Any]) -> dict[str, Any]:
    layers = []
    for layer in chart["layer"]:
        encoding = {
            channel: {**drawn, "legend": None} if channel in ("color", "shape") else drawn
            for channel, drawn in layer.get("encoding", {}).items()
        }
        layers.append({**layer, "encoding": encoding} if encoding else layer)
    return {**chart, "layer": layers}
