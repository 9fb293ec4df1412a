"""The rater's page: consent, instructions, practice, pairs, thanks.

Two components share the script in `static/page/`: an inbox, which brings what the rater did, and a
screen, which draws what comes next. In this order one run of the script both stores a vote and
shows what follows. An event carries an id and is sent again until the screen has come back with
that id as `ack`, so a click made while the server was restarting still counts, and counts once.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import streamlit as st
from streamlit.components.v2 import component

from study_app.errors import DatabaseError, EntryRefused, StudyError, UnknownRater
from study_app.rating import Study
from study_app.rules import Feedback, ShownPair, Turn, mturk_task
from study_app.serving import current_study, joins

from . import stages
from .limits import FORGIVEN_SECONDS
from .words import Words, words

TOKEN = "rater"  # the query parameter that makes a rater's address theirs
LOADER = """
const page = import(new URL("page/rater.js", document.baseURI));
export default (component) => page.then((module) => module.{}(component));
"""

_inbox = component("glide_eval_inbox", js=LOADER.format("listen"))
_screen = component("glide_eval_screen", js=LOADER.format("show"), isolate_styles=False)


@dataclass(slots=True)
class Visit:
    """What one browser window has done since it connected.

    Attributes:
        ack: id of the last event that was dealt with; None in a window that just (re)connected.
        notice: key in the words' `pair` section of what to tell the rater about it.
        answered_at: when the last answer was accepted, on the server's monotonic clock.
        practised: the practice pair just answered, with what to say about it.
        refused: key in the words' `refused` section, where the way in is closed.
        introduced: has read how to answer.
        turn: what comes next, where the act of this run has found it out already.
    """

    ack: str | None = None
    notice: str = ""
    answered_at: float | None = None
    practised: tuple[ShownPair, Feedback] | None = None
    refused: str = ""
    introduced: bool = False
    turn: Turn | None = None


@st.fragment  # an event runs this alone, not the whole script
def page() -> None:
    """Show the rater what comes next."""
    visit = _visit()
    visit.turn = None
    _deal_with(_inbox(key="inbox", on_event_change=lambda: None).get("event"), visit)
    # as bytes: Streamlit would search anything else for tables, at each vote
    _screen(key="screen", data=json.dumps(_data(visit)).encode())


def _visit() -> Visit:
    return st.session_state.setdefault("visit", Visit())


# ---------------------------------------------------------------------- what is shown


def _data(visit: Visit) -> dict[str, Any]:
    language = "en"
    try:
        study = current_study()
        language = study.info.language
        shown = _way(study, words(language), visit)
        lost = visit.notice == "storage" and "pair" not in shown  # a pair's page has room to say so
    except DatabaseError:
        shown, lost = {}, True
    text = words(language)
    if lost:
        shown = {"html": stages.trouble(text), "words": text["pair"]}
    return shown | {"ack": visit.ack, "language": language, "title": text["page"]["title"]}


def _way(study: Study, text: Words, visit: Visit) -> dict[str, Any]:
    token = st.query_params.get(TOKEN)
    if token is None and not visit.refused and (study.info.entry != "open" or _came_by_link()):
        token = _enter(study, visit)
    if token is None:
        html = stages.refused(text, visit.refused) if visit.refused else stages.first(study, text)
        return {"html": html, "words": text["pair"]}
    try:
        turn = visit.turn or study.turn(token)
    except UnknownRater:
        return {"html": stages.refused(text, "forged"), "words": text["pair"]}
    if _is_new(turn) and not visit.introduced and not study.info.instructions:
        return {"html": stages.instructions(study, text), "words": text["pair"]}
    if turn.current is not None or visit.practised is not None:
        return _pair(study, text, visit, turn)
    task = mturk_task(st.query_params) if study.info.entry == "mturk" else None
    return {"html": stages.of(turn, study, text, task), "words": text["pair"]}


def _is_new(turn: Turn) -> bool:
    return turn.stage in ("practice", "pairs") and not turn.done


def _came_by_link() -> bool:
    return any(
        name in st.query_params for name in ("PROLIFIC_PID", "workerId", "assignmentId", "invite")
    )


def _pair(study: Study, text: Words, visit: Visit, turn: Turn) -> dict[str, Any]:
    pair, upcoming, feedback = turn.current, turn.upcoming, None
    if visit.practised is not None:
        shown, given = visit.practised
        pair, upcoming = shown, turn.current
        feedback = {"right": given.right, "text": stages.feedback(given, text)}
    assert pair is not None
    total = max(turn.total, 1)
    return {
        "words": text["pair"],
        "pair": _sent(pair),
        "upcoming": upcoming and _sent(upcoming),
        "answers": stages.offered(pair.answers, text),
        "can_undo": turn.can_undo and feedback is None,
        "feedback": feedback,
        "notice": text["pair"].get(visit.notice, ""),
        "min_seconds": study.info.rules.min_seconds,
        "image_size": study.info.image_size,
        "progress": {
            "done": turn.done,
            "total": total,
            "text": ""
            if pair.practice
            else text["pair"]["progress"].format(done=min(turn.done + 1, total), total=total),
        },
    }


def _sent(pair: ShownPair) -> dict[str, Any]:
    return {
        "id": pair.assignment,
        "question": pair.question.text,
        "caption": pair.caption,
        "left": pair.left,
        "right": pair.right,
        "practice": pair.practice,
    }


# ---------------------------------------------------------------------- what the rater did


def _deal_with(event: object, visit: Visit) -> None:
    """Do what an event asks for, unless that was done already.

    What comes from a browser may be forged: kinds, ids and answers are looked up, not trusted.
    """
    if not isinstance(event, Mapping):
        return
    event = cast("Mapping[str, Any]", event)
    name, act = event.get("id"), _ACTS.get(str(event.get("kind")))
    if not isinstance(name, str) or not 1 <= len(name) <= 64 or name == visit.ack or act is None:
        return
    visit.ack, visit.notice = name, ""
    try:
        act(current_study(), st.query_params.get(TOKEN), visit, event)
    except DatabaseError:
        visit.notice = "storage"
    except StudyError:
        visit.notice = "repeated"  # forged, or of a pair that is no longer this rater's


def _enter(study: Study, visit: Visit) -> str | None:
    """Let somebody in by the address they came with; None if they can't come in."""
    if not joins.allow(st.context.ip_address or "this machine"):
        visit.refused = "many"
        return None
    try:
        token = study.admit(st.query_params.to_dict())
    except EntryRefused as error:
        visit.refused = error.reason
        return None
    arrived = st.query_params.to_dict()
    st.query_params.clear()  # outside ids don't stay in the address bar
    st.query_params[TOKEN] = token
    if study.info.entry == "mturk" and mturk_task(arrived):  # needed to hand the task in
        st.query_params.update({name: arrived[name] for name in ("assignmentId", "turkSubmitTo")})
    return token


def _agree(study: Study, token: str | None, visit: Visit, _event: Mapping[str, Any]) -> None:
    token = token or _enter(study, visit)
    if token is not None:
        study.agree(token)


def _begin(study: Study, token: str | None, visit: Visit, _event: Mapping[str, Any]) -> None:
    token = token or _enter(study, visit)
    if token is not None:
        study.instructed(token)
        visit.introduced = True


def _answer(study: Study, token: str | None, visit: Visit, event: Mapping[str, Any]) -> None:
    if token is None or visit.practised is not None:
        return
    assignment, answer = str(event.get("assignment")), str(event.get("answer"))
    for item in study.info.practice:
        if item.shown.assignment == assignment:
            visit.practised = item.shown, study.practise(token, assignment, answer)
            return
    now = time.monotonic()
    elapsed = None if visit.answered_at is None else now - visit.answered_at
    if elapsed is not None and elapsed < study.info.rules.min_seconds / 2:
        visit.notice = "too_early"  # no page of ours sends answers at this pace
        return
    seconds = _seconds(event.get("seconds"), elapsed)
    outcome, visit.turn = study.vote_and_turn(token, assignment, answer, seconds)
    if outcome == "accepted":
        visit.answered_at = now
    else:
        visit.notice = outcome


def _seconds(claimed: object, elapsed: float | None) -> float | None:
    """Return the seconds that the browser measured; None if they can't be true."""
    if not isinstance(claimed, int | float) or not math.isfinite(claimed) or claimed < 0:
        return None
    return claimed if elapsed is None or claimed <= elapsed + FORGIVEN_SECONDS else None


def _undo(study: Study, token: str | None, visit: Visit, _event: Mapping[str, Any]) -> None:
    if token is not None:
        visit.notice = "undone" if study.undo(token) else "not_undone"


def _rest(study: Study, token: str | None, _visit: Visit, _event: Mapping[str, Any]) -> None:
    if token is not None:
        study.rested(token)


def _next(_study: Study, _token: str | None, visit: Visit, _event: Mapping[str, Any]) -> None:
    visit.practised = None


def _retry(_study: Study, _token: str | None, visit: Visit, _event: Mapping[str, Any]) -> None:
    visit.refused = ""


def _set_aside(study: Study, token: str | None, visit: Visit, event: Mapping[str, Any]) -> None:
    """Leave out a pair whose image is gone; only if it is, whatever the browser says."""
    current = None if token is None else study.turn(token).current
    if token is None or current is None or current.assignment != event.get("assignment"):
        return
    paths = (study.image_path(name) for name in (current.left, current.right))
    if not all(path is not None and path.is_file() for path in paths):
        study.set_aside(token, current.assignment, "an image file is missing")
        visit.notice = "set_aside"


_Act = Callable[[Study, str | None, Visit, Mapping[str, Any]], None]
_ACTS: dict[str, _Act] = {
    "agree": _agree,
    "begin": _begin,
    "answer": _answer,
    "undo": _undo,
    "rest": _rest,
    "next": _next,
    "retry": _retry,
    "set_aside": _set_aside,
}
