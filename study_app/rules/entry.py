"""Entry by link: who a link's parameters say somebody is, before the database is asked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from study_app.errors import EntryRefused

from .domain import Entry

_TOKEN = re.compile(r"[0-9a-f]{32}")
_PROLIFIC = re.compile(r"[0-9a-zA-Z]{24}")
_MTURK = re.compile(r"[0-9A-Z]{5,30}")
_ASSIGNMENT = re.compile(r"[0-9A-Z]{5,40}")
_PREVIEW = "ASSIGNMENT_ID_NOT_AVAILABLE"

MTURK_FRAMES = ("https://worker.mturk.com", "https://workersandbox.mturk.com")
"""Where Mechanical Turk shows workers a task: inside its own page."""

MTURK_SUBMIT = ("https://www.mturk.com", "https://workersandbox.mturk.com")
"""Where a finished task is handed in; the link's `turkSubmitTo` says to which."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a link says.

    Attributes:
        outside_id: who somebody is elsewhere, with the place before it (`prolific:5f…`); None for
            a stranger, and for an invite.
        invite: a personal token; None without one.
    """

    outside_id: str | None = None
    invite: str | None = None


def read_claim(parameters: Mapping[str, str], entry: Entry, study_id: str | None = None) -> Claim:
    """Return who a link says somebody is.

    Args:
        parameters: the address's query parameters; unknown ones are ignored, whatever they hold.
        entry: how this study is entered. An open study takes every kind of link.
        study_id: Prolific's id of this study, when its owner gave it.

    Raises:
        EntryRefused: `missing` or `forged` parameters, or a `preview`.
    """
    if entry in ("open", "prolific") and "PROLIFIC_PID" in parameters:
        return Claim(outside_id=f"prolific:{_prolific(parameters, study_id)}")
    if entry in ("open", "mturk") and "workerId" in parameters:
        return Claim(outside_id=f"mturk:{_mturk(parameters)}")
    if entry in ("open", "mturk") and parameters.get("assignmentId") == _PREVIEW:
        raise _preview()
    if entry in ("open", "invite") and "invite" in parameters:
        invite = parameters["invite"]
        if not _TOKEN.fullmatch(invite):
            raise forged("This invitation is not one of this study's.")
        return Claim(invite=invite)
    if entry == "open":
        return Claim()
    raise EntryRefused("missing", _MISSING[entry])


@dataclass(frozen=True, slots=True)
class MTurkTask:
    """A worker's task, shown inside Mechanical Turk's page, which waits for it to be handed in.

    Attributes:
        assignment: its `assignmentId`.
        submit_to: the address a form with it is sent to.
    """

    assignment: str
    submit_to: str


def mturk_task(parameters: Mapping[str, str]) -> MTurkTask | None:
    """Return the task of a link; None if it names none that can be handed in."""
    assignment = parameters.get("assignmentId", "")
    site = parameters.get("turkSubmitTo", "").removesuffix("/")
    if site not in MTURK_SUBMIT or not _ASSIGNMENT.fullmatch(assignment):
        return None
    return MTurkTask(assignment, f"{site}/mturk/externalSubmit")


def forged(what: str) -> EntryRefused:
    """Return the refusal of a link that was not made for this study."""
    return EntryRefused(
        "forged", f"{what} Please open the link exactly as you were given it, or ask for a new one."
    )


def _prolific(parameters: Mapping[str, str], study_id: str | None) -> str:
    person = parameters["PROLIFIC_PID"]
    if not _PROLIFIC.fullmatch(person):
        raise forged("The Prolific ID in this link is not one.")
    if study_id is not None and parameters.get("STUDY_ID") != study_id:
        raise forged("This link belongs to another study on Prolific.")
    return person


def _mturk(parameters: Mapping[str, str]) -> str:
    if parameters.get("assignmentId") == _PREVIEW:
        raise _preview()
    person = parameters["workerId"]
    if not _MTURK.fullmatch(person):
        raise forged("The worker ID in this link is not one.")
    return person


def _preview() -> EntryRefused:
    return EntryRefused(
        "preview",
        "This is a preview. Accept the task first, then open it again to take part.",
    )


_MISSING: dict[Entry, str] = {
    "invite": "This study is by invitation. Please open the personal link you were sent.",
    "prolific": "This study is open to participants from Prolific. Please start it from Prolific's "
    "own page, so that you get credit for it.",
    "mturk": "This study is open to workers from Mechanical Turk. Please start it from the task's "
    "own page, so that you get credit for it.",
}
