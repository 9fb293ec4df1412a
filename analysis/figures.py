"""The report's figures: each a set of panels, saved as SVG, PDF, PNG and the data behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from . import theme
from .tradeoff import DRAWN, metric_info
from .wording import (
    SIMULATED,
    ballot_words,
    correlation_words,
    lower_first,
    percent,
    question_words,
    rater_words,
    signed,
    slug,
)

PANEL_WIDTH, PANEL_HEIGHT = 380, 270
MOST_PANELS = 8  # of metrics against Elo


@dataclass(frozen=True)
class Panel:
    """One chart of a figure; `title` and `subtitle` stand above it."""

    title: str
    subtitle: str
    chart: Any  # altair.LayerChart; its methods are typed as any kind of chart

    def titled(self) -> Any:
        """The chart with its title."""
        return self.chart.properties(title=alt.Title(self.title, subtitle=self.subtitle or " "))


@dataclass(frozen=True)
class Figure:
    """A named figure.

    Attributes:
        name: file name without extension.
        title: what it shows.
        caption: how to read it; says whose votes they are.
        panels: one or more.
        data: the numbers drawn, a row a point.
        simulated: whether simulated raters' votes enter it.
        inline_size: width and height of a panel in the page, all of it, so that panels in a row
            line up; None leaves a panel the size it has.
    """

    name: str
    title: str
    caption: str
    panels: tuple[Panel, ...]
    data: pd.DataFrame
    simulated: bool = False
    inline_size: tuple[int, int] | None = (380, 310)

    def files(self) -> dict[str, bytes]:
        """File name → bytes: the panels side by side as SVG, PDF and PNG, and the data as CSV."""
        note = f"Votes of {SIMULATED}, not of people." if self.simulated else ""
        if len(self.panels) == 1 and not note:
            note = self.panels[0].subtitle
        chart = alt.concat(
            *(panel.titled() if len(self.panels) > 1 else panel.chart for panel in self.panels),
            columns=min(len(self.panels), 3),
            spacing=36,
            title=alt.Title(self.title, subtitle=note or " ", fontSize=17, offset=14),
        )
        files = {f"{self.name}.{kind}": data for kind, data in theme.render(chart).items()}
        files[f"{self.name}.csv"] = self.data.to_csv(index=False).encode("utf-8")
        return files

    def inline_panels(self) -> list[str]:
        """Each panel as SVG for the page, without a legend: the page has its own."""
        return [
            theme.inline_svg(
                Panel(panel.title, panel.subtitle, _without_legend(panel.chart)).titled(),
                f"{self.name}-{number}",
                f"{self.title}: {panel.title}",
                self.inline_size,
            )
            for number, panel in enumerate(self.panels)
        ]


def elo_axis(anchor: str) -> str:
    """What Elo is measured from; `anchor` is the label of the arm at zero, or empty."""
    return f"Elo above {lower_first(anchor)}" if anchor else "Elo (mean zero)"


def elo_by_scale(elo: pd.DataFrame) -> Figure | None:
    """Elo against guidance scale, strategies overlaid, a panel a question and kind of rater.

    Args:
        elo: question, rater_kind, arm, label, strategy, scale, anchor (label of the arm Elo is
            measured from, or empty), elo, low, high.

    Returns:
        None when no scored arm has a scale.
    """
    drawn = _with_words(elo[np.isfinite(elo["elo"])])
    panels = [
        Panel(
            question_words(str(question)),
            rater_words(str(kind)),
            _scale_panel(points, elo_axis(points["anchor"].iloc[0])),
        )
        for (question, kind), points in drawn.groupby(
            ["question", "rater_kind"], sort=False, observed=True
        )
        if points["scale"].notna().any()
    ]
    if not panels:
        return None
    return Figure(
        "elo-vs-scale",
        "Preference against guidance scale",
        "Elo at each guidance scale, strategies overlaid on the arm they start from; bars are 95% "
        "intervals. The strategies' scales are different quantities: only heights compare.",
        tuple(panels),
        drawn.drop(columns=["words", "said"]),
        bool((drawn["rater_kind"] == "simulated").any()),
        (470, 350),
    )


def elo_ranking(elo: pd.DataFrame) -> Figure | None:
    """Every scored arm's mean-zero Elo with its interval, best on top, a panel a ballot."""
    drawn = _with_words(elo[np.isfinite(elo["elo"])])
    if drawn.empty:
        return None
    panels = []
    for (question, kind), points in drawn.groupby(
        ["question", "rater_kind"], sort=False, observed=True
    ):
        base, colour, shape = _base(points)
        y = alt.Y("label:N", sort=alt.EncodingSortField("elo", order="descending"), title=None,
                  axis=alt.Axis(labelColor=theme.INK, labelLimit=220))  # fmt: skip
        x = alt.X("elo:Q", title="Elo (mean zero)", scale=alt.Scale(nice=True))
        zero = alt.Chart(pd.DataFrame({"x": [0]})).mark_rule(color=theme.MUTED).encode(x="x:Q")
        bars = base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q", y=y, color=colour)
        dots = base.mark_point(filled=True, size=80, opacity=1).encode(
            x=x, y=y, color=colour, shape=shape, description="said:N"
        )
        chart = alt.layer(zero, bars, dots).properties(width=PANEL_WIDTH, height=alt.Step(26))
        panels.append(Panel(question_words(str(question)), rater_words(str(kind)), chart))
    return Figure(
        "elo-ranking",
        "Arms ranked by preference",
        "Elo with mean zero over the arms; bars are 95% intervals.",
        tuple(panels),
        drawn.drop(columns=["words", "said"]),
        bool((drawn["rater_kind"] == "simulated").any()),
        None,
    )


TRADEOFFS = (
    ("is-fid", "inception_score", "fid"),
    ("precision-recall", "recall", "precision"),
    ("clip-fid", "clip_score", "fid"),
)


def metric_tradeoff(metrics: pd.DataFrame, name: str, x: str, y: str) -> Figure | None:
    """One metric against another, points of a strategy joined along its scale.

    Args:
        metrics: arm, label, strategy, scale, metric, extractor, value, ci_low, ci_high.
        name: the figure's.
        x: metric along.
        y: metric up.

    Returns:
        None when no extractor has both metrics for an arm.
    """
    panels, data = [], []
    across, up = metric_info(x), metric_info(y)
    for extractor, of_one in metrics.groupby("extractor", sort=False, observed=True, dropna=False):
        both = _wide(of_one, x, y)
        if both.empty:
            continue
        both["said"] = [
            f"{label}: {across.label} {a:.{across.decimals}f}, {up.label} {b:.{up.decimals}f}"
            for label, a, b in zip(both["label"], both["x"], both["y"], strict=True)
        ]
        dots = _points(
            both,
            f"{across.label} ({across.better} is better)",
            f"{up.label} ({up.better} is better)",
        )
        chart = _sized(alt.layer(*_curves(both), *dots))
        panels.append(Panel(f"{up.label} against {across.label}", f"by {extractor}", chart))
        data.append(both.drop(columns=["words", "said"]).assign(x_metric=x, y_metric=y,
                                                               extractor=extractor))  # fmt: skip
    if not panels:
        return None
    return Figure(
        name,
        f"{up.label} against {across.label}",
        "Points are arms, numbers their guidance scale; lines follow a strategy's scale, starting "
        "where its guidance does nothing: unguided. Bars are 95% intervals, cut at the frame where "
        "they are longer.",
        tuple(panels),
        pd.concat(data, ignore_index=True),
    )


def metrics_against_elo(
    joined: pd.DataFrame, correlations: pd.DataFrame, question: str, kind: str, axis: str
) -> Figure | None:
    """Every metric against Elo, a panel a metric, with the rank correlation above it.

    Args:
        joined: `tradeoff.join_metrics`, with label, strategy and scale of the arms.
        correlations: `tradeoff.metric_correlations` of the same.
        question: whose Elo.
        kind: kind of raters.
        axis: what the Elo is measured from.
    """
    chosen = joined[(joined["question"] == question) & (joined["rater_kind"] == kind)]
    panels = []
    for (metric, extractor), points in _few(chosen):
        info = metric_info(str(metric))
        found = correlations[
            (correlations["question"] == question)
            & (correlations["rater_kind"] == kind)
            & (correlations["metric"] == metric)
            & (correlations["extractor"] == extractor)
        ].iloc[0]
        by = f"by {extractor}; " * (chosen["extractor"].nunique() > 1)
        points = _with_words(points).rename(
            columns={"value": "x", "ci_low": "x_low", "ci_high": "x_high"}
        )
        points = points.rename(columns={"elo": "y", "low": "y_low", "high": "y_high"})
        chart = _sized(alt.layer(*_points(points, f"{info.label} ({info.better} is better)", axis)))
        panels.append(Panel(info.label, by + correlation_words(found), chart))
    if not panels:
        return None
    label = ballot_words(question, kind)
    return Figure(
        f"metric-vs-elo-{slug(question, kind)}",
        f"Metrics against preference: {label}",
        "Each point is an arm. ρ is Spearman's rank correlation over the arms: near −1 for a "
        "metric where lower is better that orders arms as raters do, near +1 where higher is "
        "better. Bars are 95% intervals, cut at the frame where they are longer.",
        tuple(panels),
        chosen,
        kind == "simulated",
    )


def _few(joined: pd.DataFrame) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    """The metrics to draw against Elo: the chief ones, at most `MOST_PANELS`."""
    groups = [
        ((str(metric), str(extractor)), points)
        for (metric, extractor), points in joined.groupby(
            ["metric", "extractor"], sort=False, observed=True, dropna=False
        )
    ]
    chief = [group for group in groups if group[0][0] in DRAWN]
    chief.sort(key=lambda group: DRAWN.index(group[0][0]))
    return (chief or groups)[:MOST_PANELS]


def win_heatmap(wins: pd.DataFrame, labels: dict[str, str], order: list[str], question: str,
                kind: str) -> Figure:  # fmt: skip
    """P(row beats column) by the fit, arms in `order`, for one ballot's `win_table`."""
    drawn = wins.assign(
        row=wins["arm"].map(labels),
        column=wins["against"].map(labels),
        text=[percent(p) for p in wins["probability"]],
    )
    names = [labels[arm] for arm in order]
    y = alt.Y("row:N", sort=names, title="this arm …",
              axis=alt.Axis(labelColor=theme.INK, labelLimit=220, grid=False))  # fmt: skip
    x = alt.X("column:N", sort=names, title="… beats this one",
              axis=alt.Axis(labelColor=theme.INK, labelAngle=-40, labelLimit=220, orient="top",
                            domain=False, ticks=False))  # fmt: skip
    colour = alt.Color(
        "probability:Q",
        legend=None,
        scale=alt.Scale(
            domain=[0, 0.5, 1], range=[theme.LOSES, theme.EVEN, theme.WINS], interpolate="lab"
        ),
    )
    cells = alt.Chart(drawn).mark_rect(cornerRadius=3, stroke=theme.PAPER, strokeWidth=2)
    extreme = alt.expr.abs(alt.datum.probability - 0.5) > 0.3
    numbers = alt.Chart(drawn).mark_text(fontSize=11).encode(
        x=x, y=y, text="text:N",
        color=alt.condition(extreme, alt.value("#fffffe"), alt.value("#1c202a")),
    )  # fmt: skip
    side = 46 * len(names)
    chart = alt.layer(cells.encode(x=x, y=y, color=colour), numbers)
    label = ballot_words(question, kind)
    return Figure(
        f"win-probability-{slug(question, kind)}",
        f"Who beats whom: {label}",
        "The fit's probability, in percent, that the row's arm is preferred to the column's.",
        (Panel(question_words(question), rater_words(kind),
               chart.properties(width=side, height=side * 0.75)),),
        wins,
        kind == "simulated",
    )  # fmt: skip


def _base(points: pd.DataFrame) -> tuple[alt.Chart, alt.Color, alt.Shape]:
    colours, shapes = theme.strategy_scales(list(points["strategy"].unique()))
    return (
        alt.Chart(points),
        alt.Color("words:N", scale=colours),
        alt.Shape("words:N", scale=shapes),
    )


def _scale_panel(points: pd.DataFrame, axis: str) -> alt.LayerChart:
    """Elo over scale: swept strategies as lines, arms without a scale as level rules."""
    swept, level = points[points["scale"].notna()], points[points["scale"].isna()]
    _, colour, shape = _base(points)
    wide = swept["scale"].max() >= 10 * swept["scale"].clip(lower=1e-9).min()
    low, high = swept["scale"].min(), swept["scale"].max()
    pad = 0.06 * (high - low or 1)
    domain = [low * 0.9, high * 1.1] if wide else [low - pad, high + pad]
    scale = alt.Scale(type="log" if wide else "linear", base=2 if wide else alt.Undefined,
                      domain=domain, nice=False)  # fmt: skip
    x = alt.X("at:Q", title="guidance scale", scale=scale)
    y = alt.Y("elo:Q", title=axis)
    swept = swept.assign(at=_side_by_side(swept, high - low, wide))
    layers = [
        alt.Chart(level).mark_rule(strokeWidth=1.5, strokeDash=[5, 4]).encode(y=y, color=colour),
        alt.Chart(level).mark_text(align="right", dx=-2, dy=-7, fontSize=11).encode(
            x=alt.value("width"), y=y, text="label:N", color=colour
        ),
        alt.Chart(swept).mark_rule(strokeWidth=1.5, opacity=0.75).encode(
            x=x, y=alt.Y("low:Q", title=axis), y2="high:Q", color=colour
        ),
        alt.Chart(swept).mark_line(strokeWidth=2).encode(x=x, y=y, color=colour),
        alt.Chart(swept).mark_point(filled=True, size=75, opacity=1).encode(
            x=x, y=y, color=colour, shape=shape, description="said:N"
        ),
    ]  # fmt: skip
    return _sized(alt.layer(*layers))


def _side_by_side(swept: pd.DataFrame, span: float, log: bool) -> pd.Series:
    """Scales to draw at: moved a hair apart where two strategies share one."""
    shared = swept.groupby("scale")["strategy"].transform("nunique") > 1
    nth = swept["strategy"].map({name: i for i, name in enumerate(theme.STRATEGIES)})
    side = np.where(shared, nth - nth.mean(), 0.0)
    return swept["scale"] * 1.02**side if log else swept["scale"] + 0.012 * span * side


def _points(points: pd.DataFrame, x_title: str, y_title: str) -> list[alt.Chart]:
    """Layers: points with intervals both ways."""
    base, colour, shape = _base(points)
    wide, high = framed(points, "x"), framed(points, "y")
    x = alt.X("x:Q", title=x_title, scale=wide)
    y = alt.Y("y:Q", title=y_title, scale=high)
    across = alt.X("x_low:Q", title=x_title, scale=wide)
    up = alt.Y("y_low:Q", title=y_title, scale=high)
    thin: dict[str, Any] = {"strokeWidth": 1.2, "opacity": 0.45, "clip": True}
    return [
        base.mark_rule(**thin).encode(x=across, x2="x_high:Q", y=y, color=colour),
        base.mark_rule(**thin).encode(x=x, y=up, y2="y_high:Q", color=colour),
        base.mark_point(filled=True, size=75, opacity=1).encode(
            x=x, y=y, color=colour, shape=shape, description="said:N"
        ),
    ]


def framed(points: pd.DataFrame, side: str) -> alt.Scale:
    """A scale around the points, with room for intervals up to the points' own spread.

    Intervals far wider than that would squeeze the points into one spot; they are cut at the frame.
    """
    values = points[side].to_numpy(np.float64)
    low, high = values.min(), values.max()
    room = 0.6 * (high - low) or 0.1 * abs(high) or 1.0
    ends = points[[f"{side}_low", f"{side}_high"]].to_numpy(np.float64)
    ends = ends[np.isfinite(ends)]
    inner = 0.08 * (high - low)
    low_end = min(ends.min(initial=low), low - inner)
    high_end = max(ends.max(initial=high), high + inner)
    domain = [float(max(low_end, low - room)), float(min(high_end, high + room))]
    return alt.Scale(zero=False, nice=False, domain=domain)


def _curves(points: pd.DataFrame) -> list[alt.Chart]:
    """Layers: each swept strategy joined along its scale, and the scales' names."""
    _, colour, _ = _base(points)
    start = points[points["strategy"] == "unguided"].head(1)
    lines = []
    for strategy, swept in points[points["scale"].notna()].groupby("strategy", sort=False):
        words = theme.strategy_words(str(strategy))
        path = pd.concat([start.assign(words=words), swept.sort_values("scale")])
        path = path[["x", "y", "words"]].assign(step=range(len(path)))
        line = alt.Chart(path).mark_line(strokeWidth=2, opacity=0.9)
        lines.append(line.encode(x="x:Q", y="y:Q", color=colour, order="step:Q"))
    named = points[(points["scale"].notna()) | (points["strategy"] == "imported")]
    names = named[["x", "y", "words"]].assign(
        text=[
            label if np.isnan(scale) else f"{scale:g}"
            for label, scale in zip(named["label"], named["scale"], strict=True)
        ]
    )
    text = alt.Chart(names).mark_text(align="left", dx=7, dy=-8, fontSize=11)
    return [*lines, text.encode(x="x:Q", y="y:Q", text="text:N", color=colour)]


def _wide(metrics: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """A row an arm with both metrics: x, x_low, x_high, y, y_low, y_high and the arm's columns."""
    arm = ["arm", "label", "strategy", "scale"]
    sides = []
    for side, metric in (("x", x), ("y", y)):
        values = metrics[(metrics["metric"] == metric) & np.isfinite(metrics["value"])]
        renamed = {"value": side, "ci_low": f"{side}_low", "ci_high": f"{side}_high"}
        sides.append(values[[*arm, *renamed]].rename(columns=renamed))
    both = sides[0].merge(sides[1].drop(columns=arm[1:]), on="arm")
    return both.assign(words=both["strategy"].map(theme.strategy_words))


def _with_words(points: pd.DataFrame) -> pd.DataFrame:
    """Points with the strategy in words and a sentence for tooltips."""
    said = [
        f"{label}: {signed(elo)} Elo" + (f" ({signed(low)} to {signed(high)})" * (low < high))
        for label, elo, low, high in zip(
            points["label"], points["elo"], points["low"], points["high"], strict=True
        )
    ]
    return points.assign(words=points["strategy"].map(theme.strategy_words), said=said)


def _sized(chart: Any) -> Any:
    return chart.properties(width=PANEL_WIDTH, height=PANEL_HEIGHT)


def _without_legend(chart: Any) -> Any:
    drawn = chart.copy(deep=True)
    for layer in drawn.layer:
        for channel in ("color", "shape"):
            encoding: Any = getattr(layer.encoding, channel, alt.Undefined)
            if encoding is not alt.Undefined:
                encoding.legend = None
    return drawn
