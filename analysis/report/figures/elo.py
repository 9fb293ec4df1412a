"""Figures of Elo: against guidance scale, and arms ranked."""

from __future__ import annotations

from typing import cast

import altair as alt
import numpy as np
import pandas as pd

from analysis.report.strategies import strategy_looks
from analysis.report.words.wording import lower_first, question_words, rater_words
from analysis.scores import SCALE, curves, has_curve

from . import theme
from .figure import Figure, Panel, base_of, dashed, sized, with_words

RANKED = 60  # arms drawn, at most
RANKING_WIDTH = 290  # beside the arms' names: small enough to be read on a phone
CLAIMED = (
    " Smooth curves with bands are estimates between the scales, if curves are smooth; straight "
    "lines only join the arms."
)
VARIANTS_APART = " Where a strategy repeats a scale, each variant (in brackets) has its own line."


def elo_axis(anchor: str) -> str:
    """Return what Elo is measured from; `anchor` is the label of the arm at zero, or empty."""
    return f"Elo above {lower_first(anchor)}" if anchor else "Elo (mean zero)"


def elo_by_scale(elo: pd.DataFrame, claimed: pd.DataFrame | None = None) -> Figure | None:
    """Elo against guidance scale, strategies overlaid, one panel per question and kind of rater.

    Args:
        claimed: question, rater_kind, strategy (the series), scale, elo, low, high: curves that
            are claimed between scales, drawn with their intervals; other arms are joined by lines.
        elo: question, rater_kind, arm, label, strategy, scale, series, variant, anchor (label of
            the arm Elo is measured from, or empty), elo, low, high.

    Returns:
        None when no series has two scored scales: `elo_ranking` shows as much then.
    """
    drawn = with_words(elo[np.isfinite(elo["elo"])])
    panels = [
        Panel(
            question_words(str(question)) + (f", by {axis}" if axis != SCALE else ""),
            rater_words(str(kind)),
            _scale_panel(points, elo_axis(points["anchor"].iloc[0]), _own(claimed, question, kind)),
        )
        for (question, kind), ballot in drawn.groupby(
            ["question", "rater_kind"], sort=False, observed=True
        )
        for axis, points in _by_axis(ballot)
        if has_curve(points)
    ]
    if not panels:
        return None
    return Figure(
        "elo-vs-scale",
        "Preference against guidance scale",
        "Elo at each guidance scale, strategies overlaid on the arm they start from; bars are 95% "
        "intervals. The strategies' scales are different quantities: only heights compare."
        + (CLAIMED if claimed is not None and len(claimed) else "")
        + (VARIANTS_APART if drawn["variant"].any() else ""),
        tuple(panels),
        drawn.drop(columns=["words", "said"]),
        bool((drawn["rater_kind"] == "simulated").any()),
        (470, 350),
    )


def _by_axis(points: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the arms of each axis, with those that have no place on any."""
    swept = points["scale"].notna()
    axes = dict.fromkeys(points.loc[swept, "axis"])
    return [(axis, points[~swept | (points["axis"] == axis)]) for axis in axes]


def _axis_title(swept: pd.DataFrame) -> str:
    """Return what stands on the axis, and which of its values is no guidance."""
    axis = str(swept["axis"].iloc[0])
    known = swept.dropna(subset=["unguided_at"])
    if axis != SCALE or known.empty:
        return axis
    off = [
        f"{value:g}" if known["unguided_at"].nunique() == 1
        else f"{value:g} for {', '.join(dict.fromkeys(of['words'].map(lower_first)))}"
        for value, of in known.groupby("unguided_at", sort=False)
    ]  # fmt: skip
    return f"{axis} (no guidance at {'; at '.join(off)})"


def elo_ranking(elo: pd.DataFrame) -> Figure | None:
    """Return each arm's mean-zero Elo with its interval, best on top.

    There is one panel per ballot, and per group of arms that votes link.
    """
    drawn = with_words(elo[np.isfinite(elo["elo"])])
    if drawn.empty:
        return None
    ballots = drawn.groupby(["question", "rater_kind"], sort=False, observed=True)
    left_out = len(drawn)
    drawn = drawn[ballots["elo"].rank(ascending=False, method="first") <= RANKED]
    left_out -= len(drawn)
    panels = []
    groups = drawn.groupby(["question", "rater_kind"], observed=True)["group"].nunique()
    several = {ballot for ballot, count in groups.items() if count > 1}
    for (question, kind, _), points in drawn.groupby(
        ["question", "rater_kind", "group"], sort=False, observed=True
    ):
        words = f", {len(points)} arms scored apart" if (question, kind) in several else ""
        base, colour, shape = base_of(points)
        y = alt.Y("label:N", sort=alt.EncodingSortField("elo", order="descending"), title=None,
                  axis=alt.Axis(labelColor=theme.INK, labelLimit=220))  # fmt: skip
        x = alt.X("elo:Q", title="Elo (mean zero)", scale=alt.Scale(nice=True))
        zero = alt.Chart(pd.DataFrame({"x": [0]})).mark_rule(color=theme.MUTED).encode(x="x:Q")
        bars = base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q", y=y, color=colour)
        dots = base.mark_point(filled=True, size=80, opacity=1).encode(
            x=x, y=y, color=colour, shape=shape, description="said:N"
        )
        chart = alt.layer(zero, bars, dots).properties(width=RANKING_WIDTH, height=alt.Step(26))
        panels.append(Panel(question_words(str(question)), rater_words(str(kind)) + words, chart))
    return Figure(
        "elo-ranking",
        "Arms ranked by preference",
        "Elo with mean zero over the arms; bars are 95% intervals."
        + (" Groups of arms that votes don't link are scored apart." if several else "")
        + (f" Of each question the best {RANKED} arms are drawn." if left_out else ""),
        tuple(panels),
        drawn.drop(columns=["words", "said"]),
        bool((drawn["rater_kind"] == "simulated").any()),
        None,
    )


def _own(claimed: pd.DataFrame | None, question: object, kind: object) -> pd.DataFrame:
    if claimed is None:
        return pd.DataFrame(columns=["strategy", "scale", "elo", "low", "high"])
    return claimed[(claimed["question"] == question) & (claimed["rater_kind"] == kind)]


def _claimed_layers(
    claimed: pd.DataFrame, swept: pd.DataFrame, x: alt.X, axis: str
) -> list[alt.Chart]:
    """Each curve and its pointwise interval, in the colour of its series."""
    of_series = swept.drop_duplicates("series").set_index("series")
    _, colour, _ = base_of(swept)
    layers: list[alt.Chart] = []
    for series, rows in claimed.groupby("strategy", sort=False):
        own = of_series.loc[series]
        drawn = rows.assign(at=rows["scale"], words=own["words"])[["at", "elo", "low", "high",
                                                                   "words"]]  # fmt: skip
        dashes = dashed(swept, cast("int", own["variant"]))
        layers += [
            alt.Chart(drawn).mark_area(opacity=0.13, strokeWidth=0).encode(
                x=x, y=alt.Y("low:Q", title=axis), y2="high:Q", color=colour
            ),
            alt.Chart(drawn).mark_line(strokeWidth=2, **dashes).encode(
                x=x, y=alt.Y("elo:Q", title=axis), color=colour
            ),
        ]  # fmt: skip
    return layers


def _scale_panel(points: pd.DataFrame, axis: str, claimed: pd.DataFrame) -> alt.LayerChart:
    """Elo over scale: swept strategies as lines, arms without a scale as level rules."""
    swept, level = points[points["scale"].notna()], points[points["scale"].isna()]
    _, colour, shape = base_of(points)
    wide = swept["scale"].min() > 0 and swept["scale"].max() >= 10 * swept["scale"].min()
    low, high = swept["scale"].min(), swept["scale"].max()
    pad = 0.06 * (high - low or 1)
    domain = [low * 0.9, high * 1.1] if wide else [low - pad, high + pad]
    scale = alt.Scale(type="log" if wide else "linear", base=2 if wide else alt.Undefined,
                      domain=domain, nice=False)  # fmt: skip
    x = alt.X("at:Q", title=_axis_title(swept), scale=scale)
    y = alt.Y("elo:Q", title=axis)
    swept = swept.assign(at=_side_by_side(swept, high - low, wide))
    joined = curves(swept)
    claimed = claimed[claimed["strategy"].isin(swept["series"])]
    joined = joined[~joined["series"].isin(claimed["strategy"])]
    layers = [
        alt.Chart(level).mark_rule(strokeWidth=1.5, strokeDash=[5, 4]).encode(y=y, color=colour),
        alt.Chart(level).mark_text(align="right", dx=-2, dy=-7, fontSize=11).encode(
            x=alt.value("width"), y=y, text="label:N", color=colour
        ),
        alt.Chart(swept).mark_rule(strokeWidth=1.5, opacity=0.75).encode(
            x=x, y=alt.Y("low:Q", title=axis), y2="high:Q", color=colour
        ),
        *_claimed_layers(claimed, swept, x, axis),
        *(
            alt.Chart(line)
            .mark_line(strokeWidth=2, **dashed(points, line["variant"].iloc[0]))
            .encode(x=x, y=y, color=colour)
            for _, line in joined.groupby("variant")
        ),
        alt.Chart(swept).mark_point(filled=True, size=75, opacity=1).encode(
            x=x, y=y, color=colour, shape=shape, description="said:N"
        ),
    ]  # fmt: skip
    return sized(alt.layer(*layers))


def _side_by_side(swept: pd.DataFrame, span: float, log: bool) -> pd.Series:
    """Scales to draw at: moved a hair apart where two series share one."""
    shared = swept.groupby("scale")["words"].transform("nunique") > 1
    places, place = {}, 0
    for look in strategy_looks(swept["strategy"]):
        name = look.name
        places[name] = place
        place += 1 + max(swept.loc[swept["strategy"] == name, "variant"], default=0)
    nth = swept["strategy"].map(places) + swept["variant"]
    side = np.where(shared, nth - nth.mean(), 0.0)
    return swept["scale"] * 1.02**side if log else swept["scale"] + 0.012 * span * side
