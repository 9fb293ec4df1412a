"""Figures of metrics: against each other, and against Elo."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from analysis.metrics import drawn_metrics, metric_info
from analysis.report.words.wording import ballot_words, correlation_words, slug
from analysis.scores import curves

from .elo import VARIANTS_APART
from .figure import Figure, Panel, base_of, dashed, in_words, sized, with_words

MOST_PANELS = 8  # of metrics against Elo
TRADEOFFS = (
    ("is-fid", "inception_score", "fid"),
    ("precision-recall", "recall", "precision"),
    ("clip-fid", "clip_score", "fid"),
)


def metric_tradeoff(metrics: pd.DataFrame, name: str, x: str, y: str) -> Figure | None:
    """Return one metric against another, points of a series joined along the scale.

    Args:
        metrics: arm, label, strategy, scale, series, variant, metric, extractor, value, ci_low,
            ci_high.
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
        chart = sized(alt.layer(*_curves(both), *dots))
        panels.append(Panel(f"{up.label} against {across.label}", f"by {extractor}", chart))
        data.append(both.drop(columns=["words", "said"]).assign(x_metric=x, y_metric=y,
                                                               extractor=extractor))  # fmt: skip
    if not panels:
        return None
    return Figure(
        name,
        f"{up.label} against {across.label}",
        "Points are arms, numbers their guidance scale (or the value of an option that varies); "
        "lines follow a strategy's scale, starting where its guidance does nothing: unguided. Bars "
        "are 95% intervals, cut at the frame where they are longer."
        + (VARIANTS_APART if any(points["variant"].any() for points in data) else ""),
        tuple(panels),
        pd.concat(data, ignore_index=True),
    )


def metrics_against_elo(
    joined: pd.DataFrame, correlations: pd.DataFrame, question: str, kind: str, axis: str
) -> Figure | None:
    """Return every metric against Elo, one panel per metric, with the rank correlation above it.

    Args:
        joined: `tradeoff.join_metrics`, with label, strategy, scale, series and variant of the
            arms.
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
        points = with_words(points).rename(
            columns={"value": "x", "ci_low": "x_low", "ci_high": "x_high"}
        )
        points = points.rename(columns={"elo": "y", "low": "y_low", "high": "y_high"})
        chart = sized(alt.layer(*_points(points, f"{info.label} ({info.better} is better)", axis)))
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
    """Return the metrics to draw against Elo: the chief ones, at most `MOST_PANELS`."""
    groups = [
        ((str(metric), str(extractor)), points)
        for (metric, extractor), points in joined.groupby(
            ["metric", "extractor"], sort=False, observed=True, dropna=False
        )
    ]
    drawn = drawn_metrics()
    chief = [group for group in groups if group[0][0] in drawn]
    chief.sort(key=lambda group: drawn.index(group[0][0]))
    return (chief or groups)[:MOST_PANELS]


def _points(points: pd.DataFrame, x_title: str, y_title: str) -> list[alt.Chart]:
    """Return the layers of points with intervals both ways."""
    base, colour, shape = base_of(points)
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
    """Return a scale around the points, with room for intervals up to the points' own spread.

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
    """Return the layers of each series, joined along its scale, and of the scales' names."""
    _, colour, _ = base_of(points)
    start = points[points["strategy"] == "unguided"].head(1)
    lines = []
    for _, swept in curves(points).groupby("series", sort=False):
        words, variant = swept[["words", "variant"]].iloc[0]
        path = pd.concat([start.assign(words=words), swept.sort_values("scale")])
        path = path[["x", "y", "words"]].assign(step=range(len(path)))
        line = alt.Chart(path).mark_line(strokeWidth=2, opacity=0.9, **dashed(points, variant))
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
    """Return one row per arm with both metrics: x, y, their low and high ends, and the arm's
    columns.
    """
    arm = ["arm", "label", "strategy", "scale", "series", "variant"]
    sides = []
    for side, metric in (("x", x), ("y", y)):
        values = metrics[(metrics["metric"] == metric) & np.isfinite(metrics["value"])]
        renamed = {"value": side, "ci_low": f"{side}_low", "ci_high": f"{side}_high"}
        sides.append(values[[*arm, *renamed]].rename(columns=renamed))
    both = sides[0].merge(sides[1].drop(columns=arm[1:]), on="arm")
    return both.assign(words=in_words(both))
