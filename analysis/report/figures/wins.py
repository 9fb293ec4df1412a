"""The figure of who beats whom."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from analysis.report.words.wording import ballot_words, percent, question_words, rater_words, slug
from analysis.scores import READABLE

from . import theme
from .figure import Figure, Panel


def win_heatmap(wins: pd.DataFrame, labels: dict[str, str], order: list[str], question: str,
                kind: str) -> Figure:  # fmt: skip
    """P(row beats column) by the fit, the first `READABLE` arms of `order`, for one ballot's
    `win_table`.
    """
    left_out = len(order) - READABLE
    order = order[:READABLE]
    wins = wins[wins["arm"].isin(order) & wins["against"].isin(order)].reset_index(drop=True)
    drawn = wins.assign(
        row=wins["arm"].map(labels),
        column=wins["against"].map(labels),
        text=[percent(p) for p in wins["probability"]],
        observed_text=["" if np.isnan(p) else percent(p) for p in wins["observed"]],
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
    ink = "#1c202a"  # and not the page's, which is light in the dark
    numbers = alt.Chart(drawn).mark_text(fontSize=11, dy=-5, color=ink)
    votes = alt.Chart(drawn).mark_text(fontSize=8, dy=7, color=ink)
    side = 46 * len(names)
    chart = alt.layer(
        cells.encode(x=x, y=y, color=colour),
        numbers.encode(x=x, y=y, text="text:N"),
        votes.encode(x=x, y=y, text="observed_text:N"),
    )
    label = ballot_words(question, kind)
    return Figure(
        f"win-probability-{slug(question, kind)}",
        f"Who beats whom: {label}",
        "The fit's probability, in percent, that the row's arm is preferred to the column's; small "
        "below it, the share of votes that it won."
        + (f" The {left_out:,} arms with lower scores are left out." if left_out > 0 else ""),
        (Panel(question_words(question), rater_words(kind),
               chart.properties(width=side, height=side * 0.75)),),
        wins,
        kind == "simulated",
    )  # fmt: skip
