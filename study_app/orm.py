"""The tables of a study; one database holds one study.

Votes are only ever added. `assignment` has at most one vote, by constraint: that, not the page,
is what makes a double click count once.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    String,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from .domain import ANSWERS, RATER_KINDS

APPLICATION = "glide-eval study"
SCHEMA_VERSION = 1


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
    """The one study: its rules and its owner's password hash."""

    __tablename__ = "study"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    seed: Mapped[int]
    created_at: Mapped[datetime]
    votes_per_pair: Mapped[int]
    pairs_per_rater: Mapped[int]
    min_seconds: Mapped[float]
    image_size: Mapped[str]  # "128x128"
    image_root: Mapped[str]  # folder of the images; relative: to the SQLite file's folder
    password_hash: Mapped[str]


class QuestionRow(Base):
    """A question, in the order raters meet them."""

    __tablename__ = "question"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    text: Mapped[str]
    shows_caption: Mapped[bool]


class ArmRow(Base):
    """An arm, in the run's order; never sent to a rater's browser."""

    __tablename__ = "arm"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    label: Mapped[str]


class ImageRow(Base):
    """A sample under the opaque name it is served by."""

    __tablename__ = "image"
    __table_args__ = (UniqueConstraint("arm_id", "prompt_id", "replica"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(32), unique=True)
    arm_id: Mapped[int] = mapped_column(ForeignKey("arm.id"))
    prompt_id: Mapped[str]
    replica: Mapped[int]
    caption: Mapped[str]
    sha256: Mapped[str] = mapped_column(String(64))  # of the sample in the run


class PairRow(Base):
    """Two images of one prompt for one question; ids follow the plan's order."""

    __tablename__ = "pair"

    id: Mapped[int] = mapped_column(primary_key=True)
    question_id: Mapped[int] = mapped_column(ForeignKey("question.id"))
    image_a_id: Mapped[int] = mapped_column(ForeignKey("image.id"))
    image_b_id: Mapped[int] = mapped_column(ForeignKey("image.id"))
    a_first: Mapped[bool]


class QuotaRow(Base):
    """How much of a pair's wanted votes is taken, by kind of rater.

    Simulated raters never use up what people are asked for.
    """

    __tablename__ = "quota"
    __table_args__ = (Index("quota_next", "rater_kind", "question_id", "taken", "pair_id"),)

    pair_id: Mapped[int] = mapped_column(ForeignKey("pair.id"), primary_key=True)
    rater_kind: Mapped[str] = mapped_column(String(9), primary_key=True)
    question_id: Mapped[int] = mapped_column(ForeignKey("question.id"))
    taken: Mapped[int] = mapped_column(default=0)  # voted, or handed out and not lapsed
    draws: Mapped[int] = mapped_column(default=0)  # assignments ever made: decides the sides


class RaterRow(Base):
    """A person, or a simulated rater, which is marked so for good."""

    __tablename__ = "rater"
    __table_args__ = (CheckConstraint(f"kind IN {RATER_KINDS}", name="known_kind"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)  # what votes.csv says
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[str] = mapped_column(String(9))
    share: Mapped[int]  # answers asked of this rater
    joined_at: Mapped[datetime]


class AssignmentRow(Base):
    """A pair given to a rater, its sides drawn and written down before it is shown."""

    __tablename__ = "assignment"
    __table_args__ = (
        UniqueConstraint("rater_id", "pair_id"),
        Index("assignment_lease", "lapsed", "expires_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(String(32), unique=True)
    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id"))
    pair_id: Mapped[int] = mapped_column(ForeignKey("pair.id"), index=True)
    left_image_id: Mapped[int] = mapped_column(ForeignKey("image.id"))
    right_image_id: Mapped[int] = mapped_column(ForeignKey("image.id"))
    assigned_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    lapsed: Mapped[bool] = mapped_column(default=False)


class VoteRow(Base):
    """A rater's answer; never changed, never removed."""

    __tablename__ = "vote"
    __table_args__ = (CheckConstraint(f"answer IN {ANSWERS}", name="known_answer"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignment.id"), unique=True)
    answer: Mapped[str] = mapped_column(String(5))
    seconds: Mapped[float | None]  # from the pair's appearance to the click; None: not known
    created_at: Mapped[datetime]
