"""The tables of a study; one database holds one study.

Votes are only ever added. A constraint allows one vote per revision of an assignment: that, not
the page, makes a double click count once. Taking an answer back adds an `undo` row and raises the
assignment's revision; the vote stays.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import (
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from analysis.ballots import ANSWERS, RATER_KINDS

from .limits import LONGEST_COMMENT, LONGEST_REASON

APPLICATION = "glide-eval study"
SCHEMA_VERSION = len(list(Path(__file__).with_name("migrations").glob("versions/v*.py")))
"""Each migration script raises the version by one."""

_LONGEST_ANSWER = max(map(len, ANSWERS))
ASSIGNMENT_STATES = ("open", "answered", "lapsed", "gone")


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC datetimes in Python, whatever the database keeps."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC; SQLite drops the zone."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From what is UTC, said or not."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The study's own metadata, apart from any other tables."""

    type_annotation_map = {datetime: UtcDateTime}  # noqa: RUF012 - SQLAlchemy's interface


class SchemaInfo(Base):
    """Whose tables these are, and of which version."""

    __tablename__ = "schema_info"

    application: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]


class StudyRow(Base):
    """The one study: its design, its state and its secrets."""

    __tablename__ = "study"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    seed: Mapped[int]
    created_at: Mapped[datetime]
    image_size: Mapped[str]  # "128x128"
    image_root: Mapped[str]  # folder of the images; relative: to the SQLite file's folder
    password_hash: Mapped[str]
    design: Mapped[str] = mapped_column(Text)  # `design.StudyDesign` as JSON; never changed
    source: Mapped[str | None]  # the study file it was made from
    state: Mapped[str] = mapped_column(String(8), default="open")
    secret: Mapped[str]  # keys the hashes of outside ids; see `secret`
    log_open: Mapped[bool] = mapped_column(default=False, server_default=false())  # see `whole`


class QuestionRow(Base):
    """A question, in the order raters meet them."""

    __tablename__ = "question"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    text: Mapped[str]
    shows_caption: Mapped[bool]
    settled: Mapped[str | None]  # why an adaptive study asks it no more


class ArmRow(Base):
    """An arm, in the run's order; never sent to a rater's browser."""

    __tablename__ = "arm"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    label: Mapped[str]


class ImageRow(Base):
    """A sample, or one made worse on purpose, under the opaque name it is served by."""

    __tablename__ = "image"
    __table_args__ = (UniqueConstraint("arm_id", "prompt_id", "replica", "variant"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(32), unique=True)
    arm_id: Mapped[int] = mapped_column(ForeignKey("arm.id"))
    prompt_id: Mapped[str]
    replica: Mapped[int]
    caption: Mapped[str]
    sha256: Mapped[str] = mapped_column(String(64))  # of the sample in the run
    variant: Mapped[str] = mapped_column(default="")  # what made it worse ("blur 4"); empty: whole


class PairRow(Base):
    """Two images for one question, under image a's caption; ids follow the plan's order.

    In a gold pair, a is the right answer and b its degraded twin or another prompt's image.
    """

    __tablename__ = "pair"
    __table_args__ = (Index("pair_images", "image_a_id", "image_b_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    question_id: Mapped[int] = mapped_column(ForeignKey("question.id"))
    image_a_id: Mapped[int] = mapped_column(ForeignKey("image.id"))
    image_b_id: Mapped[int] = mapped_column(ForeignKey("image.id"))
    a_first: Mapped[bool]
    gold: Mapped[bool] = mapped_column(default=False)


class PracticeRow(Base):
    """A pair to practise on, in the order of ids; its answers are never votes."""

    __tablename__ = "practice"

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(String(32), unique=True)
    question_id: Mapped[int] = mapped_column(ForeignKey("question.id"))
    left_image_id: Mapped[int] = mapped_column(ForeignKey("image.id"))
    right_image_id: Mapped[int] = mapped_column(ForeignKey("image.id"))
    caption: Mapped[str]
    expected: Mapped[str]  # answers that are right, separated by commas
    explanation: Mapped[str]


class QuotaRow(Base):
    """How much of a pair's wanted votes is taken, by kind of rater.

    Simulated raters never use up what people are asked for. A gold pair wants nothing: it is
    handed out by each rater's own schedule.
    """

    __tablename__ = "quota"
    __table_args__ = (
        Index("quota_next", "rater_kind", "question_id", "taken", "pair_id"),
        Index("quota_arms", "rater_kind", "question_id", "arm_pair", "taken", "pair_id"),
    )

    pair_id: Mapped[int] = mapped_column(ForeignKey("pair.id"), primary_key=True)
    rater_kind: Mapped[str] = mapped_column(String(9), primary_key=True)
    question_id: Mapped[int] = mapped_column(ForeignKey("question.id"))
    arm_pair: Mapped[int] = mapped_column(default=0)  # which two arms; 0 for gold pairs
    wanted: Mapped[int]
    taken: Mapped[int] = mapped_column(default=0)  # voted, or handed out and not lapsed
    draws: Mapped[int] = mapped_column(default=0)  # assignments ever made: decides the sides
    withdrawn: Mapped[bool] = mapped_column(default=False)  # an image of it is missing


class RaterRow(Base):
    """A person, or a simulated rater, which is marked so for good; and how far they came."""

    __tablename__ = "rater"
    __table_args__ = (CheckConstraint(f"kind IN {RATER_KINDS}", name="known_kind"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)  # what votes.csv says
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    outside_hash: Mapped[str | None] = mapped_column(String(64), unique=True)  # keyed; see `secret`
    kind: Mapped[str] = mapped_column(String(9))
    share: Mapped[int]  # answers asked of this rater
    joined_at: Mapped[datetime]
    consented_at: Mapped[datetime | None]
    instructed_at: Mapped[datetime | None]
    practised: Mapped[int] = mapped_column(default=0)  # practice pairs answered rightly
    rested: Mapped[int] = mapped_column(default=0)  # answers at the last break
    given: Mapped[int] = mapped_column(default=0)  # pairs open or answered
    done: Mapped[int] = mapped_column(default=0)  # pairs answered
    undoable_id: Mapped[int | None]  # the assignment whose answer can be taken back
    since: Mapped[float | None]  # when the current pair became theirs, in POSIX seconds
    implausible: Mapped[int] = mapped_column(default=0, server_default="0")  # see `rules.watched`
    excluded: Mapped[str | None] = mapped_column(String(LONGEST_REASON))  # why, as the rules say
    consented_to: Mapped[str | None] = mapped_column(String(64))  # version of the consent text


class InviteRow(Base):
    """A personal link: one rater each, on whatever device it is opened."""

    __tablename__ = "invite"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    used: Mapped[bool] = mapped_column(default=False)  # stays when its rater's data are deleted


class AssignmentRow(Base):
    """A pair given to a rater, its sides drawn and written down before it is shown."""

    __tablename__ = "assignment"
    __table_args__ = (
        UniqueConstraint("rater_id", "pair_id", "repeated"),
        CheckConstraint(f"state IN {ASSIGNMENT_STATES}", name="known_state"),
        Index("assignment_rater", "rater_id", "state"),
        Index("assignment_lease", "state", "expires_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(String(32), unique=True)
    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id"))
    pair_id: Mapped[int] = mapped_column(ForeignKey("pair.id"), index=True)
    left_image_id: Mapped[int] = mapped_column(ForeignKey("image.id"))
    right_image_id: Mapped[int] = mapped_column(ForeignKey("image.id"))
    assigned_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]  # None: holds no place in a quota, so never lapses
    state: Mapped[str] = mapped_column(String(9), default="open")
    revision: Mapped[int] = mapped_column(default=0)  # answers taken back so far
    repeated: Mapped[bool] = mapped_column(default=False)
    repeat_of_id: Mapped[int | None] = mapped_column(ForeignKey("assignment.id"))


class VoteRow(Base):
    """A rater's answer; never changed, and removed only with all of its rater's data."""

    __tablename__ = "vote"
    __table_args__ = (
        UniqueConstraint("assignment_id", "revision"),
        CheckConstraint(f"answer IN {tuple(ANSWERS)}", name="known_answer"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignment.id"))
    revision: Mapped[int] = mapped_column(default=0)
    answer: Mapped[str] = mapped_column(String(_LONGEST_ANSWER))
    seconds: Mapped[float | None]  # from the pair's appearance to the click; None: not known
    created_at: Mapped[datetime]
    comment: Mapped[str | None] = mapped_column(String(LONGEST_COMMENT))  # None: nothing written


class UndoRow(Base):
    """An answer taken back, once per assignment; its vote is kept and no longer stands."""

    __tablename__ = "undo"

    id: Mapped[int] = mapped_column(primary_key=True)
    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignment.id"), unique=True)
    created_at: Mapped[datetime]


class PracticeAnswerRow(Base):
    """A try at a practice pair."""

    __tablename__ = "practice_answer"

    id: Mapped[int] = mapped_column(primary_key=True)
    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id"), index=True)
    practice_id: Mapped[int] = mapped_column(ForeignKey("practice.id"))
    answer: Mapped[str] = mapped_column(String(_LONGEST_ANSWER))
    right: Mapped[bool]
    created_at: Mapped[datetime]


class SetAsideRow(Base):
    """A pair that could not be shown to its rater, and why."""

    __tablename__ = "set_aside"

    id: Mapped[int] = mapped_column(primary_key=True)
    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignment.id"), index=True)
    reason: Mapped[str] = mapped_column(String(LONGEST_REASON))
    created_at: Mapped[datetime]


class DeletionRow(Base):
    """That a rater's data were deleted, and how much; not whose."""

    __tablename__ = "deletion"

    id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    votes: Mapped[int]  # of that rater
    kept: Mapped[bool]  # the votes stayed, without anything that leads to the rater
