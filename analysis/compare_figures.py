"""Figures of several runs or studies side by side: a colour and marker for each."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from . import theme
from .figure import Figure, Panel, sized
from .tradeoff import metric_info
from .wording import lower_first, question_words, signed


def elo_by_part(elo: pd.DataFrame) -> Figure | None:
    """Elo above each study's own anchor against guidance scale, a panel a question and strategy.

    Args:
        elo: study, question, rater_kind, arm, label, strategy, scale, anchor, elo, low, high.

    Returns:
        None where fewer than two studies have scales and an anchor.
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
        x = alt.X("at:Q", title="guidance scale",
                  scale=alt.Scale(zero=False, nice=False, padding=16))  # fmt: skip
        y = alt.Y("elo:Q", title="Elo above the unguided arm")
        base, colour, shape = _base(points.assign(at=_apart(points, studies)), "study", studies)
        layers = [
            base.mark_rule(strokeWidth=1.5, opacity=0.6).encode(
                x=x, y=alt.Y("low:Q", title="Elo above the unguided arm"), y2="high:Q", color=colour
            ),
            base.mark_line(strokeWidth=2).encode(x=x, y=y, color=colour),
            base.mark_point(filled=True, size=75, opacity=1).encode(
                x=x, y=y, color=colour, shape=shape, description="said:N"
            ),
        ]
        words = theme.strategy_words(str(strategy))
        panels.append(Panel(question_words(str(question)), words, sized(alt.layer(*layers))))
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


def _apart(points: pd.DataFrame, studies: list[str]) -> pd.Series:
    """Scales to draw at: a hair apart, so that one study's interval doesn't hide another's."""
    span = float(np.ptp(points["scale"])) or 1.0
    nth = points["study"].map({name: i for i, name in enumerate(studies)})
    return points["scale"] + 0.012 * span * (nth - (len(studies) - 1) / 2)


def tradeoff_by_part(
    metrics: pd.DataFrame, parts: list[str], name: str, x: str, y: str
) -> Figure | None:
    """One metric against another in every part, a panel an extractor.

    Args:
        metrics: part, arm, label, strategy, scale, metric, extractor, value.
        parts: names in order.
        name: of the figure in a report of one part.
        x: metric along.
        y: metric up.

    Returns:
        None unless an extractor has both metrics in two parts at least.
    """
    across, up = metric_info(x), metric_info(y)
    panels, data = [], []
    for extractor, of_one in metrics.groupby("extractor", sort=False):
        finite = of_one[np.isfinite(of_one["value"].astype(np.float64))]
        arm = ["part", "arm", "label", "strategy", "scale"]
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
                  _tradeoff_chart(both, parts, across.label, up.label))
        )  # fmt: skip
        data.append(both.assign(extractor=extractor, x_metric=x, y_metric=y))
    if not panels:
        return None
    return Figure(
        f"runs-{name}",
        f"{up.label} against {across.label}, run by run",
        f"Points are arms; lines follow a strategy's scale from unguided: solid "
        f"{lower_first(theme.strategy_words('classifier_free'))}, dashed CLIP guidance.",
        tuple(panels),
        pd.concat(data, ignore_index=True),
    )


def _tradeoff_chart(both: pd.DataFrame, parts: list[str], x_label: str, y_label: str) -> Any:
    both = both.assign(said=both["part"] + ", " + both["label"])
    base, colour, shape = _base(both, "part", parts)
    x = alt.X("x:Q", title=x_label, scale=alt.Scale(zero=False))
    y = alt.Y("y:Q", title=y_label, scale=alt.Scale(zero=False))
    lines = []
    for (part, strategy), swept in both[both["scale"].notna()].groupby(["part", "strategy"]):
        start = both[(both["part"] == part) & (both["strategy"] == "unguided")].head(1)
        path = pd.concat([start, swept.sort_values("scale")])[["x", "y", "part"]]
        line = alt.Chart(path.assign(step=range(len(path)))).mark_line(
            strokeWidth=1.8, strokeDash=theme.DASHES.get(str(strategy), [1, 0])
        )
        lines.append(line.encode(x=x, y=y, color=colour, order="step:Q"))
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=x, y=y, color=colour, shape=shape, description="said:N"
    )
    return sized(alt.layer(*lines, dots))


def _base(
    points: pd.DataFrame, by: str, names: list[str]
) -> tuple[alt.Chart, alt.Color, alt.Shape]:
    colours, shapes = theme.part_scales(names)
    return (
        alt.Chart(points),
        alt.Color(f"{by}:N", scale=colours),
        alt.Shape(f"{by}:N", scale=shapes),
    )
