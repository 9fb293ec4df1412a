"""The owner's page: who may see it, and what they can do there.

What it shows is in `owner_live`. A rater who finds the address finds a question for a password;
everything else is behind it.
"""

from __future__ import annotations

import functools
import html
import threading
import time
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from study_app.errors import StudyError
from study_app.owner import Watcher, to_csv, to_jsonl, to_parquet, votes_frame
from study_app.rating import Study
from study_app.serving import current_study, guesses
from study_app.store import owner_emails

from .limits import REFRESH_SECONDS, WRONG_GUESS_SECONDS
from .owner_live import live

STYLE = Path(__file__).with_name("static") / "owner.css"
STATES = {"open": "Open", "paused": "Paused", "closed": "Closed"}

_guessing = threading.Lock()  # one guess at a time, whoever makes it


def page() -> None:
    """Ask who it is, then show the study."""
    st.html(STYLE)
    try:
        study = current_study()
        if st.session_state.get("owner") or _signed_in():
            _study(study)
        else:
            _sign_in(study)
    except StudyError as error:
        st.error(str(error))


# ---------------------------------------------------------------------- who it is


def _signed_in() -> bool:
    """Whether OpenID Connect says this is one of the owners."""
    emails = owner_emails()
    if not emails or not st.user.is_logged_in:
        return False
    claims = st.user.to_dict()
    verified = claims.get("email_verified", True) is not False
    return verified and str(claims.get("email", "")).lower() in emails


def _sign_in(study: Study) -> None:
    st.html("<h1 class='owner-title'>For the study’s owner</h1>")
    if owner_emails():
        _sign_in_elsewhere()
        return
    with st.form("sign-in", border=False):
        password = st.text_input("Owner's password", type="password", autocomplete="off")
        asked = st.form_submit_button("Sign in", type="primary")
    if not asked:
        st.caption("It was printed when the study was created.")
        return
    if not guesses.allow(st.context.ip_address or "this machine"):
        st.error("Too many guesses from your address. Please wait a minute.")
        return
    with _guessing:
        if study.is_owner(password):
            st.session_state["owner"] = True
        else:
            time.sleep(WRONG_GUESS_SECONDS)
    if st.session_state.get("owner"):
        st.rerun()
    st.error("That is not the password of this study.")


def _sign_in_elsewhere() -> None:
    if st.user.is_logged_in:
        st.error("You are signed in, but not as an owner of this study.")
        if st.button("Sign in as somebody else"):
            st.logout()
    elif st.button("Sign in", type="primary"):
        st.login()


# ---------------------------------------------------------------------- what they see and do


def _study(study: Study) -> None:
    st.html(f"<h1 class='owner-title'><small>Study</small> {html.escape(study.info.name)}</h1>")
    _controls(study)
    st.fragment(_look, run_every=REFRESH_SECONDS)(study)
    _downloads(study)


@functools.cache
def _watcher(url: str) -> Watcher:
    """Return what looks at the study, one for all windows."""
    return Watcher(url)


def _look(study: Study) -> None:
    try:
        url = study.database.url.render_as_string(hide_password=False)
        live(study, _watcher(url).latest())
    except StudyError as error:  # the next look may find the database again
        st.error(str(error))


def _controls(study: Study) -> None:
    state = study.state
    with st.container(horizontal=True, vertical_alignment="center", key="controls"):
        st.html(f"<p class='state {state}'>{STATES[state]}</p>", width="content")
        if state == "open" and st.button("Pause", help="Raters are told to come back later."):
            _change(study.pause)
        if state == "paused" and st.button("Resume", type="primary"):
            _change(study.resume)
        if state != "closed":
            with st.popover("Close …"):
                st.write("No vote is taken any more, and a closed study stays closed.")
                if st.button("Close the study for good", type="primary"):
                    _change(study.close_voting)
        st.space("stretch")
        if st.button("Sign out", type="tertiary"):
            _sign_out()


def _sign_out() -> None:
    st.session_state.pop("owner", None)
    if owner_emails():
        st.logout()  # of this page; the provider keeps its own session
    else:
        st.rerun()


def _change(act: Callable[[], None]) -> None:
    act()
    st.rerun()


def _downloads(study: Study) -> None:
    st.subheader("Votes to take home", anchor=False)
    st.caption(
        "Every vote, with those taken back, gold pairs and the votes of excluded raters flagged. "
        "`glide-eval report` reads votes.csv."
    )
    ways = (
        ("votes.csv", "text/csv", to_csv),
        ("votes.parquet", "application/vnd.apache.parquet", to_parquet),
        ("votes.jsonl", "application/jsonl", to_jsonl),
    )
    with st.container(horizontal=True):
        for name, kind, write in ways:
            st.download_button(
                f"Download {name}",
                lambda write=write: write(votes_frame(study)),
                name,
                kind,
                type="primary" if name == "votes.csv" else "secondary",
                on_click="ignore",
            )
