"""The rater's page: consent, instructions, practice, pairs, thanks.

The page is a file that stands by itself (`shell`) and asks for what comes next (`respond`): each
event goes out as one request, and its answer is what the page shows then. Nothing is kept between
requests but what the database stores, so any process may answer any of them, also one that was
started a moment ago. An event that was sent again, since the answer to it was lost, changes nothing
more.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, cast

from analysis.ballots import ANSWERS
from study_app.errors import DatabaseError, EntryRefused, StudyError, UnknownRater
from study_app.rating import Study
from study_app.rules import Ballot, Feedback, ShownPair, Turn, check_answer, mturk_task
from study_app.serving import joins
from study_app.words import Words, direction

from . import stages

TOKEN = "rater"  # the query parameter that makes a rater's address theirs
LINKS = ("PROLIFIC_PID", "workerId", "assignmentId", "invite")
_VISIT = re.compile(r"[0-9a-f]{32}")


@dataclass(slots=True)
class Request:
    """What one request of a rater's page says, and what became of it.

    Attributes:
        query: the address's query parameters; the rater's own once they are let in.
        address: where it comes from.
        event: what the rater did, as the page tells it.
        visit: an unguessable id that the page drew when it was opened.
        notice: key in the words' `pair` section of what to tell the rater about it.
        practised: the practice pair just answered, with what to say about it.
        refused: key in the words' `refused` section, where the way in is closed.
        turn: what comes next, where the event has found it out already.
    """

    query: dict[str, str]
    address: str
    event: Mapping[str, Any] = field(default_factory=dict[str, Any])
    visit: str | None = None
    notice: str = ""
    practised: tuple[ShownPair, Feedback] | None = None
    refused: str = ""
    turn: Turn | None = None

    @property
    def token(self) -> str | None:
        """The rater's token; None for somebody who was not let in yet."""
        return self.query.get(TOKEN)


def shell(study: Study, query: Mapping[str, str]) -> str:
    """Return the page as it arrives: what a newcomer reads first, before any script has run."""
    info = study.info
    text = info.words
    stranger = " data-stranger='yes'" if _is_stranger(study, query) else ""
    said = {"pair": text["pair"], "trouble": stages.trouble(text)}
    return _template().format(
        language=info.language,
        direction=direction(info.language),
        title=html.escape(text["page"]["title"]),
        stranger=stranger,
        first="" if TOKEN in query else stages.first(study, text),
        noscript=html.escape(text["page"]["noscript"]),
        words=json.dumps(said).replace("<", "\\u003c"),
    )


@cache
def _template() -> str:
    return resources.files("study_app.views").joinpath("static/rate.html").read_text("utf-8")


def respond(study: Study, asked: Mapping[str, Any], address: str) -> dict[str, Any]:
    """Do what a rater's page asks for, and return what it shows next.

    What comes from a browser may be forged: kinds, ids and answers are looked up, not trusted.

    Args:
        study: the one that is served.
        asked: `query`, the address's parameters; `event`, what the rater did, with its `kind`
            (none: only looking); `visit`, see `Request`.
        address: where it comes from.

    Raises:
        DatabaseError: the database can't answer. Nothing was stored, or the same request sent
            again will find that it was.
    """
    request = _read(asked, address)
    act = _ACTS.get(str(request.event.get("kind")))
    if act is not None:
        try:
            act(study, request)
        except DatabaseError:
            raise
        except StudyError:
            request.notice = "repeated"  # forged, or of a pair that is no longer this rater's
    return _way(study, study.info.words, request) | {"query": request.query}


def _read(asked: Mapping[str, Any], address: str) -> Request:
    query, event, visit = (asked.get(name) for name in ("query", "event", "visit"))
    return Request(
        _strings(query),
        address,
        cast("Mapping[str, Any]", event) if isinstance(event, Mapping) else {},
        visit if isinstance(visit, str) and _VISIT.fullmatch(visit) else None,
    )


def _strings(query: object) -> dict[str, str]:
    if not isinstance(query, Mapping):
        return {}
    pairs = cast("Mapping[object, object]", query).items()
    return {str(name): value for name, value in pairs if isinstance(value, str)}


# ---------------------------------------------------------------------- what is shown


def _way(study: Study, text: Words, request: Request) -> dict[str, Any]:
    if request.token is None and not request.refused:
        if _is_stranger(study, request.query):
            return {"html": stages.first(study, text)}
        _enter(study, request)
    if request.token is None:
        return {"html": stages.refused(text, request.refused)}
    try:
        turn = request.turn or study.turn(request.token)
    except UnknownRater:
        return {"html": stages.refused(text, "forged")}
    if _is_new(turn) and not turn.instructed:
        return {"html": stages.instructions(study, text)}
    if turn.current is not None or request.practised is not None:
        return _pair(study, text, request, turn)
    task = mturk_task(request.query) if study.info.entry == "mturk" else None
    return {"html": stages.of(turn, study, text, task)}


def _is_stranger(study: Study, query: Mapping[str, str]) -> bool:
    """Whether nobody knows who opened this address, and nobody needs to before they begin."""
    return study.info.entry == "open" and not any(name in query for name in (TOKEN, *LINKS))


def _is_new(turn: Turn) -> bool:
    return turn.stage in ("practice", "pairs") and not turn.done


def _pair(study: Study, text: Words, request: Request, turn: Turn) -> dict[str, Any]:
    pair, upcoming, feedback = turn.current, turn.upcoming, None
    if request.practised is not None:
        shown, given = request.practised
        pair, upcoming = shown, turn.current
        feedback = {"right": given.right, "text": stages.feedback(given, text)}
    assert pair is not None
    total = max(turn.total, 1)
    return {
        "pair": _sent(pair, text),
        "upcoming": upcoming and _sent(upcoming, text),
        "answers": stages.offered(pair.answers, text),
        "can_undo": turn.can_undo and feedback is None,
        "comments": study.info.design.votes.comments and not pair.practice,
        "feedback": feedback,
        "notice": text["pair"].get(request.notice, ""),
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


def _sent(pair: ShownPair, text: Words) -> dict[str, Any]:
    return {
        "id": pair.assignment,
        "again": pair.again,
        "question": stages.asked(pair.question, text),
        "caption": pair.caption,
        "left": pair.left,
        "right": pair.right,
        "practice": pair.practice,
    }


# ---------------------------------------------------------------------- what the rater did


def _enter(study: Study, request: Request) -> str | None:
    """Let somebody in by the address they came with; None if they can't come in."""
    if not joins.allow(request.address):
        request.refused = "many"
        return None
    try:
        token = study.admit(request.query, request.visit)
    except EntryRefused as error:
        request.refused = error.reason
        return None
    arrived = request.query
    request.query = {TOKEN: token}  # outside ids don't stay in the address bar
    if study.info.entry == "mturk" and mturk_task(arrived):  # needed to hand the task in
        kept = ("assignmentId", "turkSubmitTo")
        request.query |= {name: arrived[name] for name in kept}
    return token


def _agree(study: Study, request: Request) -> None:
    token = request.token or _enter(study, request)
    if token is not None:
        study.agree(token)


def _begin(study: Study, request: Request) -> None:
    token = request.token or _enter(study, request)
    if token is not None:
        study.instructed(token)


def _answer(study: Study, request: Request) -> None:
    token, event = request.token, request.event
    if token is None:
        return
    assignment, answer = str(event.get("assignment")), str(event.get("answer"))
    for item in study.info.practice:
        if item.shown.assignment == assignment:
            request.practised = item.shown, study.practise(token, assignment, answer)
            return
    checked = check_answer(answer, ANSWERS)
    again = event.get("again") is True
    comment = _comment(event.get("comment"))
    ballot = Ballot(assignment, checked, _seconds(event.get("seconds")), again, comment)
    outcome, request.turn = study.cast(token, ballot)
    # sent again, the answer may have been stored the first time: then there is nothing to tell
    if outcome != "accepted" and not (outcome == "repeated" and event.get("resent")):
        request.notice = outcome


def _seconds(claimed: object) -> float | None:
    """Return the seconds that the browser measured; None if that is no number."""
    if not isinstance(claimed, int | float) or not math.isfinite(claimed):
        return None
    return float(claimed)


def _comment(written: object) -> str | None:
    """Return what the rater wrote; None for nothing. No database keeps a text with a NUL in it."""
    return (isinstance(written, str) and written.replace("\0", "").strip()) or None


def _undo(study: Study, request: Request) -> None:
    done = request.event.get("done")
    if request.token is None or not isinstance(done, int):
        return
    undone = study.undo(request.token, done)
    request.turn = study.turn(request.token)
    current = request.turn.current
    undone = undone or (current is not None and current.again)  # by the first sending of this
    request.notice = "undone" if undone else "not_undone"


def _rest(study: Study, request: Request) -> None:
    if request.token is not None:
        study.rested(request.token)


def _set_aside(study: Study, request: Request) -> None:
    """Leave out a pair whose image is gone; only if it is, whatever the browser says."""
    token = request.token
    current = None if token is None else study.turn(token).current
    if token is None or current is None or current.assignment != request.event.get("assignment"):
        return
    paths = (study.image_path(name) for name in (current.left, current.right))
    if not all(path is not None and path.is_file() for path in paths):
        study.set_aside(token, current.assignment, "an image file is missing")
        request.notice = "set_aside"


def _report(study: Study, request: Request) -> None:
    if request.token is not None:
        done = study.report(request.token, str(request.event.get("assignment")))
        # sent again, it finds the next pair on the page: the first time has done it
        resent = bool(request.event.get("resent"))
        request.notice = "reported" if done or resent else "not_reported"


_ACTS: dict[str, Callable[[Study, Request], None]] = {
    "agree": _agree,
    "begin": _begin,
    "answer": _answer,
    "undo": _undo,
    "rest": _rest,
    "set_aside": _set_aside,
    "report": _report,
}
