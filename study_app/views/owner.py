"""The owner's page: progress, live Elo, side bias, raters and the votes to take home.

Simulated votes never share a number, table or figure with people's.
"""

from __future__ import annotations

import html
import math
import threading
import time

import altair as alt
import pandas as pd
import streamlit as st

from study_app.domain import RATER_KINDS, RaterKind
from study_app.errors import StudyError
from study_app.export import to_csv, votes_frame
from study_app.live_elo import live_elo
from study_app.overview import (
    median_seconds,
    of_kind,
    rater_table,
    side_bias,
    votes_by_question,
    votes_per_hour,
)
from study_app.server import current_study
from study_app.services import Progress, Study



REFRESH_SECONDS = 5.0
WRONG_GUESS_SECONDS = 1.0
COLOR = "#259096"
KIND_NAMES: dict[RaterKind, str] = {"person": "People", "simulated": "Simulated raters"}

_guessing = threading.Lock()  # one guess at a time, whoever makes it


def page() -> None:
    """Ask for the password, then show the study."""
    st.html(STYLE)
    st.html("<div class='owner-page'></div>")
    try:
        study = current_study()
        if st.session_state.get("owner"):
            _study(study)
        else:
            _sign_in(study)
    except StudyError as error:
        st.error(str(error))


def _sign_in(study: Study) -> None:
    st.html("<h1 class='owner-title'>For the study’s owner</h1>")
    with st.form("sign-in", border=False):
        password = st.text_input("Owner's password", type="password", autocomplete="off")
        asked = st.form_submit_button("Sign in", type="primary")
    if not asked:
        st.caption("It was printed when the study was created.")
        return
    with _guessing:
        if study.is_owner(password):
            st.session_state["owner"] = True
        else:
            time.sleep(WRONG_GUESS_SECONDS)
    if st.session_state.get("owner"):
        st.rerun()
    st.error("That is not the password of this study.")


def _study(study: Study) -> None:
    st.html(f"<h1 class='owner-title'><small>Study</small> {html.escape(study.info.name)}</h1>")
    st.fragment(_live, run_every=REFRESH_SECONDS)(study)


def _live(study: Study) -> None:
    votes, progress = votes_frame(study), study.progress()
    people = of_kind(votes, "person")
    simulated = len(votes) - len(people)
    if simulated:
        st.warning(
            f"**{simulated:,} of the {len(votes):,} votes are simulated**: no person cast them. "
            "They are shown apart from people’s votes, and marked in votes.csv."
        )
    _figures(people, progress)
    for kind in RATER_KINDS:
        if kind == "person" or simulated:
            _elo(study, votes, kind)
    _conduct(votes, people)
    st.download_button(
        f"Download votes.csv ({len(votes):,} votes)",
        to_csv(votes),
        "votes.csv",
        "text/csv",
        type="primary",
        on_click="ignore",
    )


def _figures(people: pd.DataFrame, progress: Progress) -> None:
    wanted = sum(progress.wanted.values())
    seconds = median_seconds(people)
    columns = st.columns(4)
    columns[0].metric("Votes by people", f"{len(people):,}", f"of {wanted:,}", delta_color="off",
                      delta_arrow="off")  # fmt: skip
    columns[1].metric("People", f"{progress.raters.get('person', 0):,}")
    hour_ago = pd.Timestamp.now("UTC") - pd.Timedelta(hours=1)
    columns[2].metric("Votes in the last hour", f"{sum(people['created_at'] > hour_ago):,}")
    columns[3].metric("Median time", "–" if math.isnan(seconds) else f"{seconds:.1f} s")
    done = votes_by_question(people)
    for question, goal in progress.wanted.items():
        st.progress(
            min(1.0, done[question] / goal),
            f"{_readable(question)}: {done[question]:,} of {goal:,} votes by people",
        )
    hours = votes_per_hour(people, "person")
    if len(hours) > 1:
        st.subheader("Votes per hour", anchor=False)
        chart = (
            alt.Chart(hours.tail(72))
            .mark_bar(color=COLOR)
            .encode(x=alt.X("hour:T", title=None), y=alt.Y("votes:Q", title="votes by people"))
        )
        st.altair_chart(chart.properties(height=160), width="stretch")


def _elo(study: Study, votes: pd.DataFrame, kind: RaterKind) -> None:
    of_whom = "people’s votes" if kind == "person" else "SIMULATED votes, not people’s"
    st.subheader(f"Live Elo, {of_whom}", anchor=False)
    questions = list(study.info.questions.values())
    for column, question in zip(st.columns(len(questions)), questions, strict=True):
        with column:
            st.markdown(f"**{_readable(question.key)}**")
            table = live_elo(votes, question.key, kind)
            if table.empty:
                st.caption("No votes yet.")
                continue
            table["arm"] = [study.info.arms.get(arm, arm) for arm in table["arm"]]
            chart = _elo_chart(table)
            if kind == "simulated":
                chart = chart.properties(title="SIMULATED votes")
            st.altair_chart(chart, width="stretch")
            for note in dict.fromkeys(note for note in table["note"] if note):
                st.caption(str(note))
            with st.expander("As a table" + (", SIMULATED" if kind == "simulated" else "")):
                st.dataframe(
                    table.drop(columns="note").round({"elo": 0, "ci_low": 0, "ci_high": 0}),
                    hide_index=True,
                    width="stretch",
                )


def _elo_chart(table: pd.DataFrame) -> alt.Chart | alt.LayerChart | alt.FacetChart:
    base = alt.Chart(table).encode(
        y=alt.Y("arm:N", sort=table["arm"].tolist(), title=None, axis=alt.Axis(labelLimit=190))
    )
    scale = alt.Scale(zero=False, padding=12)
    title = "Elo, with 95% interval" if any(table["ci_low"].notna()) else "Elo"
    bars = base.mark_rule(strokeWidth=2, color=COLOR, opacity=0.6).encode(
        x=alt.X("ci_low:Q", title=title, scale=scale), x2="ci_high:Q"
    )
    points = base.mark_circle(size=90, color=COLOR, opacity=1).encode(
        x=alt.X("elo:Q", scale=scale),
        tooltip=["arm", *(alt.Tooltip(name, format=".0f") for name in ("elo", "ci_low", "ci_high")),
                 "votes"],
    )  # fmt: skip
    return alt.layer(bars, points).properties(height=alt.Step(30))


def _conduct(votes: pd.DataFrame, people: pd.DataFrame) -> None:
    if votes.empty:
        return
    st.subheader("Sides", anchor=False)
    st.caption("How often left was chosen when a side was; half means no bias.")
    sides = side_bias(votes)
    sides["rater_kind"] = [KIND_NAMES[kind] for kind in sides["rater_kind"]]
    sides["question"] = [_readable(question) for question in sides["question"]]
    shares = {
        name: st.column_config.NumberColumn(label, format="%.0f%%")
        for name, label in (
            ("left_share", "left share"), ("ci_low", "95% from"), ("ci_high", "to")
        )
    }  # fmt: skip
    sides[[*shares]] *= 100
    st.dataframe(
        sides, hide_index=True, width="stretch", column_config={"rater_kind": "raters", **shares}
    )
    st.subheader("People", anchor=False)
    if people.empty:
        st.caption("No person has voted yet.")
        return
    table = rater_table(people).drop(columns="rater_kind")
    table[["left", "ties"]] *= 100
    st.dataframe(
        table,
        hide_index=True,
        width="stretch",
        column_config={
            "median_seconds": st.column_config.NumberColumn("median time", format="%.1f s"),
            "left": st.column_config.NumberColumn("left", format="%.0f%%"),
            "ties": st.column_config.NumberColumn("no difference", format="%.0f%%"),
            "last_vote": st.column_config.DatetimeColumn("last vote", format="distance"),
        },
    )


def _readable(key: str) -> str:
    return key.replace("_", " ").capitalize()
