"""The exception family of `study_app`.

    StudyError                  anything told to the owner in one paragraph (exit status 1)
    ├── StudyUsageError         the request itself is wrong: flags, URLs, questions (exit status 2)
    ├── DatabaseError           a database that is missing, locked, foreign or out of reach
    ├── UnknownRater            a rater token that is not of this study
    ├── EntryRefused            a link that does not lead into this study
    └── ServerError             the rating pages can't be served: port in use, no permission

Each message names the thing, what was found, what was expected and what to do.
"""

from __future__ import annotations

from typing import Literal

RefusalReason = Literal["missing", "forged", "used", "preview", "closed", "full"]


class StudyError(Exception):
    """A failure the owner of a study can act on; its text is one paragraph."""

    exit_status = 1


class StudyUsageError(StudyError):
    """The request itself is wrong: flags, URLs, questions."""

    exit_status = 2


class DatabaseError(StudyError):
    """The study's database is missing, locked, foreign or out of reach."""


class NoStudyError(DatabaseError):
    """What was named holds no study: another name is needed, as for any missing file."""

    exit_status = 2


class UnknownRater(StudyError):  # noqa: N818 - reads as what it is
    """A rater token that this study never gave out."""


class EntryRefused(StudyError):  # noqa: N818 - reads as what it is
    """Somebody can't take part by this link; its text tells them why and what to do.

    Attributes:
        reason: `missing` parameters, a `forged` link, a `used` invite, a `preview` of a task not
            yet accepted, a `closed` study, or a `full` one.
    """

    def __init__(self, reason: RefusalReason, text: str) -> None:
        super().__init__(text)
        self.reason: RefusalReason = reason


class ServerError(StudyError):
    """The rating pages can't be served."""
