"""What the owner's page shows: progress, live Elo, conduct and raters.

Simulated votes never share a number, table or figure with people's.
"""

from __future__ import annotations

import html
import math
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from analysis.ballots import RATER_KINDS, RaterKind
from study_app.owner import Look
from study_app.rating import Study

from .limits import SHOWN_HOURS, SHOWN_REPORTS

COLOR = "#259096"
# What tells two arms of one label apart stands at its end, where a long label would be cut.
IN_TWO_LINES = "split(replace(datum.label, ' [', '\\n['), '\\n')"
LABELS = 170  # pixels for arms' names: the same in the charts of all questions
NONE_COUNTS = "No vote counts yet: all there are come from excluded raters."
KIND_NAMES: dict[RaterKind, str] = {"person": "People", "simulated": "Simulated raters"}
AGREEMENT = {"raw_agreement": "raw agreement", "krippendorff_alpha": "Krippendorff’s α"}
CHECKS = {
    "gold_accuracy": "gold pairs answered rightly",
    "repeat_consistency": "repeated pairs answered alike",
}
PERCENTILES = ("seconds_p10", "seconds_p50", "seconds_p90")


def live(study: Study, look: Look) -> None:
    """Show the study as it was at a look."""
    simulated, votes = look.votes["simulated"], sum(look.votes.values())
    if simulated:
        st.warning(
            f"**{simulated:,} of the {votes:,} votes are simulated**: no person cast them. "
            "They are shown apart from people’s votes, and marked in votes.csv."
        )
    _figures(look)
    for kind in RATER_KINDS:
        if kind == "person" or simulated:
            _elo(study, look, kind)
    for kind, measures in look.conduct.items():
        _conduct(measures, kind)
    _raters(look)
    _reported(look)
    _comments(look)
    st.caption(f"As of {look.at:%d %B %Y, %H:%M:%S} UTC.")


def _figures(look: Look) -> None:
    progress, left, seconds = look.progress, look.left, look.median_seconds
    wanted, done = sum(progress.wanted.values()), look.done["person"]
    columns = st.columns(4)
    columns[0].metric("Votes by people", f"{done.total():,}", f"of {wanted:,}", delta_color="off",
                      delta_arrow="off")  # fmt: skip
    columns[1].metric("People", f"{progress.raters.get('person', 0):,}")
    columns[2].metric(
        "Time to finish",
        "–" if left.remaining is None else _duration(left.remaining),
        left.reason
        or ("" if math.isnan(left.per_hour) else f"{left.per_hour:,.0f} votes per hour"),
        delta_color="off",
        delta_arrow="off",
    )
    columns[3].metric("Median time", "–" if math.isnan(seconds) else f"{seconds:.1f} s")
    for question, goal in progress.wanted.items():
        st.progress(
            min(1.0, done[question] / max(goal, 1)),
            f"{_readable(question)}: {done[question]:,} of {goal:,} votes by people",
        )
    hours = look.hours
    if len(hours) > 1:
        st.subheader("Votes per hour", anchor=False)
        chart = (
            alt.Chart(hours.tail(SHOWN_HOURS))
            .mark_bar(color=COLOR, aria=False)
            .encode(x=alt.X("hour:T", title=None), y=alt.Y("votes:Q", title="votes by people"))
        )
        st.altair_chart(chart.properties(height=160), width="stretch")


def _duration(left: timedelta) -> str:
    hours = left / timedelta(hours=1)
    if not hours:
        return "done"
    if hours < 1:
        return f"{max(1, round(60 * hours))} min"
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"


def _elo(study: Study, look: Look, kind: RaterKind) -> None:
    of_whom = "people’s votes" if kind == "person" else "SIMULATED votes, not people’s"
    st.subheader(f"Live Elo, {of_whom}", anchor=False)
    questions = list(study.info.questions.values())
    for column, question in zip(st.columns(len(questions)), questions, strict=True):
        with column:
            st.markdown(f"**{_readable(question.key)}**")
            table = look.elo[kind, question.key].copy()
            if table.empty:
                st.caption(NONE_COUNTS if look.votes[kind] else "No votes yet.")
                continue
            table["arm"] = [study.info.arms.get(arm, arm) for arm in table["arm"]]
            chart = _elo_chart(table, _span(look, kind))
            if kind == "simulated":
                chart = chart.properties(title="SIMULATED votes")
            st.altair_chart(chart, width="stretch")
            for note in dict.fromkeys(note for note in table["note"] if note):
                st.caption(str(note))
            rows = [
                (row["arm"], _points(row["elo"]),
                 f"{_points(row['ci_low'])} to {_points(row['ci_high'])}", f"{row['votes']:,}")
                for row in table.to_dict("records")
            ]  # fmt: skip
            folded = "As a table" + (", SIMULATED" if kind == "simulated" else "")
            _table(("arm", "Elo", "95% interval", "votes"), rows, folded=folded)


def _span(look: Look, kind: RaterKind) -> list[float]:
    """Return the Elo points that the charts of all questions share as their ends."""
    columns = ["elo", "ci_low", "ci_high"]
    points = [table[columns].to_numpy(float) for (of, _), table in look.elo.items() if of == kind]
    known = [float(point) for point in np.concatenate(points or [np.empty(0)], axis=None)
             if math.isfinite(point)]  # fmt: skip
    if not known:
        return [-1.0, 1.0]
    room = 0.05 * (max(known) - min(known)) or 1.0
    return [min(known) - room, max(known) + room]


def _elo_chart(
    table: pd.DataFrame, span: list[float]
) -> alt.Chart | alt.LayerChart | alt.FacetChart:
    axis = alt.Axis(labelLimit=LABELS, labelExpr=IN_TWO_LINES, minExtent=LABELS, maxExtent=LABELS)
    base = alt.Chart(table).encode(
        y=alt.Y("arm:N", sort=table["arm"].tolist(), title=None, axis=axis)
    )
    scale = alt.Scale(zero=False, domain=span, nice=False)
    title = "Elo, with 95% interval" if any(table["ci_low"].notna()) else "Elo"
    bars = base.mark_rule(strokeWidth=2, color=COLOR, opacity=0.6, aria=False).encode(
        x=alt.X("ci_low:Q", title=title, scale=scale), x2="ci_high:Q"
    )
    points = base.mark_circle(size=90, color=COLOR, opacity=1, aria=False).encode(
        x=alt.X("elo:Q", scale=scale),
        tooltip=["arm", *(alt.Tooltip(name, format=".0f") for name in ("elo", "ci_low", "ci_high")),
                 "votes"],
    )  # fmt: skip
    told = "Elo scores with intervals; the table below says them in numbers"
    step = alt.Step(40 if table["arm"].str.contains(" [", regex=False).any() else 30)
    return alt.layer(bars, points).properties(height=step, description=told)


# ---------------------------------------------------------------------- conduct


@dataclass(frozen=True, slots=True)
class Facts:
    """A table on the owner's page: its caption, the columns' titles and the rows' cells."""

    caption: str
    titles: tuple[str, ...]
    rows: list[tuple[str, ...]]


def _conduct(measures: pd.DataFrame, kind: RaterKind) -> None:
    st.subheader(f"Conduct: {KIND_NAMES[kind].lower()}", anchor=False)
    sides, times, agreement, attention = conduct_tables(measures)
    left, right = st.columns(2)
    for column, tables in ((left, (sides, times)), (right, (agreement, attention))):
        with column:
            for table in tables:
                _table(table.titles, table.rows, table.caption)


def conduct_tables(measures: pd.DataFrame) -> tuple[Facts, Facts, Facts, Facts]:
    """Return how votes were given, never who won: sides, times, agreement, attention.

    Args:
        measures: of one kind of rater, the numbers of the report: `analysis.raters.study_conduct`.
    """
    known = measures[measures["value"].notna() | (measures["measure"].isin(AGREEMENT))]

    def rows_of(*names: str) -> list[dict[Hashable, Any]]:
        return known[known["measure"].isin(names)].to_dict("records")

    times = known.pivot(index="question", columns="measure", values="value")
    return (
        Facts(
            "Sides: 50% means no bias",
            ("left chosen when a side was", "share", "95% interval", "votes"),
            [_share_cells(_readable(row["question"]), row) for row in rows_of("side_bias")],
        ),
        Facts(
            "Response times",
            ("seconds per answer", "10%", "median", "90%"),
            [
                (_readable(str(question)), *(f"{of_one[name]:.1f}" for name in PERCENTILES))
                for question, of_one in times.iterrows()
                if "seconds_p50" in of_one and not math.isnan(of_one["seconds_p50"])
            ],
        ),
        Facts(
            "Agreement between raters",
            ("agreement", "measure", "value"),
            [
                (_readable(row["question"]), AGREEMENT[row["measure"]], _value(row))
                for row in rows_of(*AGREEMENT)
            ],
        ),
        Facts(
            "Attention",
            ("attention check", "share", "95% interval", "votes"),
            [
                _share_cells(f"{_readable(row['question'])}: {CHECKS[row['measure']]}", row)
                for row in rows_of(*CHECKS)
            ],
        ),
    )


def _raters(look: Look) -> None:
    st.subheader("People", anchor=False)
    if not look.people:
        st.caption("No person has voted yet.")
        return
    st.caption(
        f"{look.excluded:,} of {look.people:,} excluded by the study’s own rules, which look at "
        "conduct alone and were set before the first vote. Their votes stay in the data, flagged, "
        "and out of the scores, and others are asked for them. "
        f"{look.done['person'].total():,} votes count towards those wanted."
    )
    rows = [
        (
            row["rater"],
            f"{row['answered']:,} of {row['asked']:,}",
            "–" if math.isnan(row["seconds"]) else f"{row['seconds']:.1f} s",
            _share(row["left_share"]),
            _share(row["tie_share"]),
            _share(row["gold_accuracy"]),
            _share(row["repeat_consistency"]),
            f"{row['last_vote']:%d %b %H:%M}",
            f"{row['implausible']:,}" if row["implausible"] else "",
            row["excluded"] or "",
        )
        for row in look.raters.to_dict("records")
    ]
    titles = ("rater", "answered", "median time", "left", "no difference", "gold right",
              "repeats alike", "last vote (UTC)", "times claimed too long", "excluded")  # fmt: skip
    _table(titles, rows)
    if look.people > len(rows):
        st.caption(f"The {len(rows)} with most votes; all of them are in votes.csv.")


def _reported(look: Look) -> None:
    rows = [
        (row["prompt_id"], row["caption"], row["arms"], f"{row['reports']:,}")
        for row in look.reported[:SHOWN_REPORTS]
    ]
    if rows:
        st.subheader("Pairs that raters reported", anchor=False)
        _table(("prompt", "caption", "arms", "reports"), rows)


def _comments(look: Look) -> None:
    if look.comments:
        st.subheader("What raters wrote", anchor=False)
        titles = ("rater", "comment", "question", "prompt", "arms", "answer")
        _table(
            titles,
            [
                (row["rater"], row["comment"], _readable(row["question"]), row["prompt_id"],
                 row["arms"], _readable(row["answer"]))
                for row in look.comments
            ],
        )  # fmt: skip


def _table(
    titles: tuple[str, ...], rows: list[tuple[str, ...]], caption: str = "", folded: str = ""
) -> None:
    """Show a table that a screen reader can walk through; nothing without rows."""
    if not rows:
        return
    head = "".join(f"<th scope='col'>{html.escape(title)}</th>" for title in titles)
    body = "".join(
        f"<tr><th scope='row'>{html.escape(row[0])}</th>"
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    name = html.escape(caption or folded or titles[0])
    above = f"<caption>{name}</caption>" if caption else ""
    shown = (
        f"<div class='scroll' tabindex='0' role='region' aria-label='{name}'><table class='facts'>"
        f"{above}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
    if folded:
        shown = f"<details><summary>{html.escape(folded)}</summary>{shown}</details>"
    st.html(shown)


def _value(row: dict[Hashable, Any]) -> str:
    if math.isnan(row["value"]):
        return row["reason"]
    return f"{round(row['value'], 2) + 0:.2f} ({row['n']:,} pairs)".replace("-", "−")


def _share(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.0f}%"


def _range(row: dict[Hashable, Any]) -> str:
    if math.isnan(row["low"]):
        return "–"
    return f"{_share(row['low'])} to {_share(row['high'])}"


def _share_cells(name: str, row: dict[Hashable, Any]) -> tuple[str, str, str, str]:
    return name, _share(row["value"]), _range(row), f"{row['n']:,}"


def _points(value: float) -> str:
    if math.isnan(value):
        return "–"
    whole = round(value) if math.isfinite(value) else value
    return f"{whole:+.0f}".replace("-", "−").replace("inf", "∞")


def _readable(key: str) -> str:
    return key.replace("_", " ").capitalize()
