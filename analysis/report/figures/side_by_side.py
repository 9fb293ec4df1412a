"""Figures of several runs or studies side by side: a colour and marker for each."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from analysis.metrics import metric_info
from analysis.report.strategies import series_words, strategy_looks, strategy_words
from analysis.report.words.wording import lower_first, question_words, signed
from analysis.scores import SCALE, curves, has_curve, variant_in

from . import theme
from .figure import Figure, Panel, sized

_Lines = dict[str, tuple[str, list[int]]]  # series → its line in words, and its dashes


def elo_by_part(elo: pd.DataFrame) -> Figure | None:
    """Elo above each study's own anchor against guidance scale, per question and strategy.

    Args:
        elo: part, study, question, rater_kind, arm, label, strategy, scale, series, variant,
            anchor, elo, low, high.

    Returns:
        None where fewer than two studies have scales and an anchor, or no series has two scales.
    """
    if elo.empty:
        return None
    usable = elo[np.isfinite(elo["elo"]) & elo["scale"].notna() & (elo["anchor"] != "")]
    if usable["study"].nunique() < 2:
        return None
    studies = list(dict.fromkeys(elo["study"]))
    told = zip(usable["study"], usable["label"], usable["elo"], strict=True)
    usable = usable.assign(said=[f"{s}, {label}: {signed(score)} Elo" for s, label, score in told])
    panels = []
    for (question, strategy), points in usable.groupby(
        ["question", "strategy"], sort=False, observed=True
    ):
        if not has_curve(points):
            continue
        # Of all questions, so that a variant has one line in every panel.
        lines = _lines(_with_two_scales(usable[usable["strategy"] == strategy]))
        lines = lines if len(lines) > 1 else {}
        words = strategy_words(str(strategy)) + _told_apart(lines)
        panels.append(
            Panel(question_words(str(question)), words, _elo_chart(points, studies, lines))
        )
    if not panels:
        return None
    return Figure(
        "runs-elo-vs-scale",
        "Preference against guidance scale, side by side",
        "Elo above each study's own unguided arm; bars are 95% intervals. Votes of different "
        "studies are never pooled.",
        tuple(panels),
        usable.drop(columns="said"),
        bool((usable["rater_kind"] == "simulated").any()),
        (470, 330),
    )


def _elo_chart(points: pd.DataFrame, studies: list[str], lines: _Lines) -> Any:
    axis = points["axis"].iloc[0] if "axis" in points else SCALE  # a strategy has one
    x = alt.X("at:Q", title=axis,
              scale=alt.Scale(zero=False, nice=False, padding=16))  # fmt: skip
    y = alt.Y("elo:Q", title="Elo above the unguided arm")
    points = points.assign(at=_apart(points, studies))
    base, colour, shape = _base(points, "study", studies)
    layers = [
        base.mark_rule(strokeWidth=1.5, opacity=0.6).encode(
            x=x, y=alt.Y("low:Q", title="Elo above the unguided arm"), y2="high:Q", color=colour
        ),
        *(
            alt.Chart(swept)
            .mark_line(strokeWidth=2, **_dashed(lines, str(series)))
            .encode(x=x, y=y, color=colour)
            for series, swept in curves(points).groupby("series", sort=False)
        ),
        base.mark_point(filled=True, size=75, opacity=1).encode(
            x=x, y=y, color=colour, shape=shape, description="said:N"
        ),
    ]
    return sized(alt.layer(*layers))


def _apart(points: pd.DataFrame, studies: list[str]) -> pd.Series:
    """Scales to draw at: a hair apart, so that one study's interval doesn't hide another's."""
    span = float(np.ptp(points["scale"])) or 1.0
    nth = points["study"].map({name: i for i, name in enumerate(studies)})
    return points["scale"] + 0.012 * span * (nth - (len(studies) - 1) / 2)


def tradeoff_by_part(
    metrics: pd.DataFrame, parts: list[str], name: str, x: str, y: str
) -> Figure | None:
    """Return one metric against another in every part, one panel per extractor.

    Args:
        metrics: part, arm, label, strategy, scale, series, variant, metric, extractor, value.
        parts: names in order.
        name: of the figure in a report of one part.
        x: metric along.
        y: metric up.

    Returns:
        None unless an extractor has both metrics in two parts at least.
    """
    across, up = metric_info(x), metric_info(y)
    panels, data = [], []
    joined = _joined(metrics)
    several = (joined.groupby("strategy")["series"].nunique() > 1).any()
    looks = strategy_looks(joined["strategy"])
    lines = _lines(joined) if several else {look.name: ("", list(look.dashes)) for look in looks}
    for extractor, of_one in metrics.groupby("extractor", sort=False):
        finite = of_one[np.isfinite(of_one["value"].astype(np.float64))]
        arm = ["part", "arm", "label", "strategy", "scale", "series"]
        sides = [
            finite[finite["metric"] == metric][[*arm, "value"]].rename(columns={"value": side})
            for side, metric in (("x", x), ("y", y))
        ]
        both = sides[0].merge(sides[1], on=["part", "arm"], suffixes=("", "_y"))
        both = both[[*arm, "x", "y"]]
        if both["part"].nunique() < 2:
            continue
        panels.append(
            Panel(f"{up.label} against {across.label}", f"by {extractor}",
                  _tradeoff_chart(both, parts, lines, across.label, up.label))
        )  # fmt: skip
        data.append(both.assign(extractor=extractor, x_metric=x, y_metric=y))
    if not panels:
        return None
    return Figure(
        f"runs-{name}",
        f"{up.label} against {across.label}, run by run",
        "Points are arms; lines follow a strategy's scale from unguided: "
        + (_told(lines) if several else "solid classifier-free guidance, dashed CLIP guidance")
        + ".",
        tuple(panels),
        pd.concat(data, ignore_index=True),
    )


def _tradeoff_chart(
    both: pd.DataFrame, parts: list[str], look: _Lines, x_label: str, y_label: str
) -> Any:
    both = both.assign(said=both["part"] + ", " + both["label"])
    base, colour, shape = _base(both, "part", parts)
    x = alt.X("x:Q", title=x_label, scale=alt.Scale(zero=False))
    y = alt.Y("y:Q", title=y_label, scale=alt.Scale(zero=False))
    lines = []
    for (part, series), swept in curves(both).groupby(["part", "series"]):
        start = both[(both["part"] == part) & (both["strategy"] == "unguided")].head(1)
        path = pd.concat([start, swept.sort_values("scale")])[["x", "y", "part"]]
        line = alt.Chart(path.assign(step=range(len(path)))).mark_line(
            strokeWidth=1.8, **(_dashed(look, str(series)) or {"strokeDash": [1, 0]})
        )
        lines.append(line.encode(x=x, y=y, color=colour, order="step:Q"))
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=x, y=y, color=colour, shape=shape, description="said:N"
    )
    return sized(alt.layer(*lines, dots))


def _joined(points: pd.DataFrame) -> pd.DataFrame:
    """Return points of series that have something to join in their part: two scales, or unguided
    too.
    """
    started = points["part"].isin(points.loc[points["strategy"] == "unguided", "part"])
    return curves(points[started | points.index.isin(_with_two_scales(points).index)])


def _with_two_scales(points: pd.DataFrame) -> pd.DataFrame:
    """Return points of series that have two scales at least in their part."""
    swept = curves(points)
    return swept[swept.groupby(["part", "series"])["scale"].transform("nunique") > 1]


def _lines(points: pd.DataFrame) -> _Lines:
    """Return a line for each series, strategy by strategy."""
    names = [
        name
        for _, of_one in curves(points).groupby("strategy", sort=False)
        for name in dict.fromkeys(of_one.sort_values("variant", kind="stable")["series"])
    ]
    return {name: theme.LINES[n % len(theme.LINES)] for n, name in enumerate(names)}


def _dashed(lines: _Lines, series: str) -> dict[str, Any]:
    return {"strokeDash": lines[series][1]} if series in lines else {}


def _told_apart(lines: _Lines) -> str:
    """`: solid dpm20, dashed ddpm100`; empty where a strategy has one series."""
    alone = "where it has one variant"
    words = [f"{word} {variant_in(series) or alone}" for series, (word, _) in lines.items()]
    return f": {', '.join(words)}" if words else ""


def _told(lines: _Lines) -> str:
    """`solid classifier-free guidance [dpm20], dashed …`."""
    return ", ".join(
        f"{words} {lower_first(series_words(series))}" for series, (words, _) in lines.items()
    )


def _base(
    points: pd.DataFrame, by: str, names: list[str]
) -> tuple[alt.Chart, alt.Color, alt.Shape]:
    colours, shapes = theme.part_scales(names)
    return (
        alt.Chart(points),
        alt.Color(f"{by}:N", scale=colours),
        alt.Shape(f"{by}:N", scale=shapes),
    )
