"""When a rater's current pair became theirs, claims that can't be true, exclusions, consent.

Every vote, rater and assignment of version 2 is kept. Nothing is known of what these columns hold
from before.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """From version 2 to version 3: columns are added, and nothing else changes."""
    op.add_column("rater", sa.Column("since", sa.Double()))
    op.add_column(
        "rater", sa.Column("implausible", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column("rater", sa.Column("excluded", sa.String(200)))
    op.add_column("rater", sa.Column("consented_to", sa.String(64)))
    op.add_column(
        "study", sa.Column("log_open", sa.Boolean(), nullable=False, server_default=sa.false())
    )
