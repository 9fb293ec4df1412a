"""The rater's page: start, pairs, thanks.

Buttons are keyed by assignment, so a second click of a double click belongs to a button that is
gone; `if st.button` rather than a callback, so that a click made while the server was restarting
still counts.
"""

from __future__ import annotations

import html
import time
from dataclasses import dataclass

import streamlit as st

from study_app.domain import Answer, ShownPair, Turn, too_early
from study_app.errors import DatabaseError, UnknownRater
from study_app.server import current_study
from study_app.services import Study
from study_app.words import words

from . import GUARD, STYLE

TOKEN = "rater"  # the query parameter that makes a rater's address theirs
KEYS: dict[Answer, str] = {"left": "Left", "tie": "Down", "right": "Right"}


def page() -> None:
    """Show the rater what comes next."""
    st.html(STYLE)
    try:
        _way(current_study(), st.query_params.get(TOKEN))
    except DatabaseError:
        st.warning(words()["trouble"]["storage"])
        st.button(words()["trouble"]["again"], type="primary")
    st.html(GUARD, unsafe_allow_javascript=True)


def _way(study: Study, token: str | None) -> None:
    if token is None:
        _start(study)
        return
    try:
        turn = study.turn(token)
    except UnknownRater:
        st.info(words()["trouble"]["unknown"])
        _start(study)
        return
    if turn.current is None:
        _end(turn)
    else:
        _pair(study, token, turn, turn.current)


def _start(study: Study) -> None:
    text = words()["start"]
    questions = "".join(f"<li>{html.escape(q.text)}</li>" for q in study.info.questions.values())
    pace = text["pace"].format(total=study.info.rules.pairs_per_rater)
    st.html(
        f"<main class='start'><h1>{text['title']}</h1><p>{text['about']}</p>"
        f"<h2>{text['asked']}</h2><ul>{questions}</ul>"
        f"<h2>{text['how']}</h2><p>{pace}</p><dl class='keys'>"
        f"<div><dt><kbd>←</kbd></dt><dd>{text['how_left']}</dd></div>"
        f"<div><dt><kbd>↓</kbd></dt><dd>{text['how_tie']}</dd></div>"
        f"<div><dt><kbd>→</kbd></dt><dd>{text['how_right']}</dd></div></dl>"
        f"<p class='small'>{text['keep']}</p></main>"
    )
    if st.button(text["button"], type="primary", key="start", shortcut="Enter", width="stretch"):
        st.query_params[TOKEN] = study.join()
        st.session_state["started"] = True
        st.rerun()


@dataclass(slots=True)
class _Look:
    """One session's look at the pair before the rater.

    Attributes:
        assignment: which pair.
        question: its question's key.
        changed: the pair before it had another question.
        shown_at: when it appeared, on the server's monotonic clock; None for a pair that a
            session of before showed first (a reload, a restarted server): nobody knows when.
        last_click: the last click that did not count, or when it appeared.
        hint: a word to the rater on that click.
    """

    assignment: str
    question: str
    changed: bool
    shown_at: float | None
    last_click: float | None
    hint: str = ""


def _pair(study: Study, token: str, turn: Turn, pair: ShownPair) -> None:
    look = _look_at(pair)
    st.html(_pair_html(study, turn, pair, look))
    clicked: Answer | None = None
    with st.container(horizontal=True, key="answers"):
        for answer, shortcut in KEYS.items():
            if st.button(
                words()["pair"][answer],
                key=f"{answer}-{pair.assignment}",
                shortcut=shortcut,
                width="stretch",
                wrap=True,
            ):
                clicked = answer
    if clicked is not None:
        _answer(study, token, clicked, look)
    st.html(f"<p class='hint' role='status'>{look.hint or '&nbsp;'}</p>")


def _look_at(pair: ShownPair) -> _Look:
    before: _Look | None = st.session_state.get("look")
    if before is not None and before.assignment == pair.assignment:
        return before
    first_here = before is not None or "started" in st.session_state
    now = time.monotonic() if first_here else None
    changed = before is not None and before.question != pair.question.key
    look = _Look(pair.assignment, pair.question.key, changed, now, now)
    st.session_state["look"] = look
    return look


def _answer(study: Study, token: str, answer: Answer, look: _Look) -> None:
    """Store a click, then show the next pair; a click on a pair not yet seen is no answer."""
    now = time.monotonic()
    # should a held key get past the guard in the page, it has to be quiet before it counts again
    if look.last_click is not None and too_early(now - look.last_click, study.info.rules):
        look.last_click = now
        look.hint = words()["pair"]["too_early"]
        return
    seconds = None if look.shown_at is None else now - look.shown_at
    study.vote(token, look.assignment, answer, seconds)
    st.rerun()


def _pair_html(study: Study, turn: Turn, pair: ShownPair, look: _Look) -> str:
    """Question, caption and both images; the next pair's images load unseen."""
    text = words()["pair"]
    progress = text["progress"].format(done=turn.done + 1, total=turn.total)
    share = 100 * turn.done / max(turn.total, 1)
    caption = (
        f"<p class='caption'><span>{text['caption']}</span>“{html.escape(pair.caption)}”</p>"
        if pair.caption
        else "<p class='caption'></p>"
    )
    width, height = study.info.image_size
    images = "".join(
        f"<img src='image/{name}.png' width='{width}' height='{height}' alt='{alt}' "
        "decoding='sync' draggable='false'>"
        for name, alt in ((pair.left, text["left_image"]), (pair.right, text["right_image"]))
    )
    ahead = ""
    if turn.upcoming is not None:
        names = (turn.upcoming.left, turn.upcoming.right)
        ahead = "".join(f"<img src='image/{name}.png' alt=''>" for name in names)
    return (
        f"<div class='progress'><div class='bar'><i style='width:{share:.1f}%'></i></div>"
        f"<span>{progress}</span></div>"
        f"<h1 class='question {'changed' if look.changed else ''}'>"
        f"{html.escape(pair.question.text)}</h1>{caption}"
        f"<div class='pair' style='--ratio:{width / height:.4f}'>{images}</div>"
        f"<div class='ahead' aria-hidden='true'>{ahead}</div>"
    )


def _end(turn: Turn) -> None:
    text = words()["end"]
    body = text["text"].format(done=turn.done) if turn.done else text["nothing"]
    st.html(
        f"<main class='end'><div class='tick'>✓</div><h1>{text['title']}</h1><p>{body}</p></main>"
    )
