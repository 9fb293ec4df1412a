"""The curve of `glide-eval plan` as a picture."""

from __future__ import annotations

import altair as alt

from analysis.planning import PowerCurve

from .theme import INK, MUTED, WINS, render, spec


def power_figure(plan: PowerCurve, form: str) -> bytes:
    """Power against votes: simulated points with their intervals and the smooth curve.

    Args:
        plan: what `plan_study` returned.
        form: `svg`, `png` or `pdf`.
    """
    x = alt.X("votes:Q", title="Votes on the question", scale=alt.Scale(type="log", nice=False))
    y = alt.Y(
        title="Studies that find the difference",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format="%"),
        type="quantitative",
    )
    base = alt.Chart(plan.table)
    layers = [
        alt.Chart(alt.Data(values=[{"power": plan.design.power}]))
        .mark_rule(color=MUTED, strokeDash=[4, 3])
        .encode(y=alt.Y("power:Q")),
        base.mark_line(color=WINS, interpolate="monotone").encode(x=x, y=y.field("fitted")),
        base.mark_rule(color=WINS, opacity=0.5).encode(x=x, y=y.field("low"), y2="high:Q"),
        base.mark_point(color=WINS, filled=True, size=45).encode(x=x, y=y.field("power")),
    ]
    if plan.votes == plan.votes:  # not NaN: some number of votes is enough
        needed = [
            {"votes": plan.votes, "power": plan.design.power, "words": f"{plan.votes:,.0f} votes"}
        ]
        marked = alt.Chart(alt.Data(values=needed))
        layers.append(
            marked.mark_text(color=INK, dy=14, dx=8, align="left", fontSize=12).encode(
                x=alt.X("votes:Q"), y=alt.Y("power:Q"), text=alt.Text("words:N")
            )
        )
    return render(spec(alt.layer(*layers).properties(width=420, height=240)))[form]
