"""Answers in five grades, whose names are longer; comments; pairs are found by their images.

Every vote, rater and assignment of version 3 is kept, and nothing is computed anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

ANSWERS = (
    "left", "right", "tie", "both_bad",
    "left_strongly", "left_slightly", "right_slightly", "right_strongly",
)  # fmt: skip
BEFORE = sa.String(8)
NOW = sa.String(14)


def upgrade() -> None:
    """From version 3 to version 4: more answers, comments, and an index."""
    op.create_index("pair_images", "pair", ["image_a_id", "image_b_id"])
    with op.batch_alter_table("vote") as table:
        table.add_column(sa.Column("comment", sa.String(1000)))
        table.drop_constraint("known_answer", type_="check")
        table.alter_column("answer", type_=NOW, existing_type=BEFORE, existing_nullable=False)
        table.create_check_constraint("known_answer", f"answer IN {ANSWERS}")
    with op.batch_alter_table("practice_answer") as table:
        table.alter_column("answer", type_=NOW, existing_type=BEFORE, existing_nullable=False)
