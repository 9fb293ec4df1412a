"""The first schema: questions, arms, images, pairs, raters, assignments, votes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables as version 1 had them."""
    _of_the_study()
    _of_pairs()
    _of_raters()


def _of_the_study() -> None:
    op.create_table(
        "schema_info",
        sa.Column("application", sa.String(), primary_key=True),
        sa.Column("version", sa.Integer(), nullable=False),
    )
    op.create_table(
        "study",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("votes_per_pair", sa.Integer(), nullable=False),
        sa.Column("pairs_per_rater", sa.Integer(), nullable=False),
        sa.Column("min_seconds", sa.Float(), nullable=False),
        sa.Column("image_size", sa.String(), nullable=False),
        sa.Column("image_root", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=False),
    )
    op.create_table(
        "question",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("key", sa.String(), nullable=False, unique=True),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("shows_caption", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "arm",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(), nullable=False, unique=True),
        sa.Column("label", sa.String(), nullable=False),
    )


def _of_pairs() -> None:
    op.create_table(
        "image",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(32), nullable=False, unique=True),
        sa.Column("arm_id", sa.Integer(), sa.ForeignKey("arm.id"), nullable=False),
        sa.Column("prompt_id", sa.String(), nullable=False),
        sa.Column("replica", sa.Integer(), nullable=False),
        sa.Column("caption", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.UniqueConstraint("arm_id", "prompt_id", "replica"),
    )
    op.create_table(
        "pair",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("question_id", sa.Integer(), sa.ForeignKey("question.id"), nullable=False),
        sa.Column("image_a_id", sa.Integer(), sa.ForeignKey("image.id"), nullable=False),
        sa.Column("image_b_id", sa.Integer(), sa.ForeignKey("image.id"), nullable=False),
        sa.Column("a_first", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "quota",
        sa.Column("pair_id", sa.Integer(), sa.ForeignKey("pair.id"), primary_key=True),
        sa.Column("rater_kind", sa.String(9), primary_key=True),
        sa.Column("question_id", sa.Integer(), sa.ForeignKey("question.id"), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.Column("draws", sa.Integer(), nullable=False),
    )
    op.create_index("quota_next", "quota", ["rater_kind", "question_id", "taken", "pair_id"])


def _of_raters() -> None:
    op.create_table(
        "rater",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("public_id", sa.String(), nullable=False, unique=True),
        sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("kind", sa.String(9), nullable=False),
        sa.Column("share", sa.Integer(), nullable=False),
        sa.Column("joined_at", TIME, nullable=False),
        sa.CheckConstraint("kind IN ('person', 'simulated')", name="known_kind"),
    )
    op.create_table(
        "assignment",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("uid", sa.String(32), nullable=False, unique=True),
        sa.Column("rater_id", sa.Integer(), sa.ForeignKey("rater.id"), nullable=False),
        sa.Column("pair_id", sa.Integer(), sa.ForeignKey("pair.id"), nullable=False),
        sa.Column("left_image_id", sa.Integer(), sa.ForeignKey("image.id"), nullable=False),
        sa.Column("right_image_id", sa.Integer(), sa.ForeignKey("image.id"), nullable=False),
        sa.Column("assigned_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("lapsed", sa.Boolean(), nullable=False),
        sa.UniqueConstraint("rater_id", "pair_id"),
    )
    op.create_index("assignment_lease", "assignment", ["lapsed", "expires_at"])
    op.create_index("ix_assignment_pair_id", "assignment", ["pair_id"])
    op.create_table(
        "vote",
        sa.Column("id", sa.Integer(), primary_key=True),
        _assignment(),
        sa.Column("answer", sa.String(5), nullable=False),
        sa.Column("seconds", sa.Float()),
        sa.Column("created_at", TIME, nullable=False),
        sa.CheckConstraint("answer IN ('left', 'right', 'tie')", name="known_answer"),
    )


def _assignment() -> sa.Column[int]:
    key = sa.ForeignKey("assignment.id")
    return sa.Column("assignment_id", sa.Integer(), key, nullable=False, unique=True)
