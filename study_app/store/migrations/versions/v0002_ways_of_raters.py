"""Study files, stages, gold and repeated pairs, answers taken back, entry by link.

Every vote, rater and assignment of version 1 is kept. Answers so far are first answers; pairs want
what the study wanted of each.
"""

from __future__ import annotations

import json
import secrets

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TIME = sa.DateTime(timezone=True)
NAMES = {"uq": "uq_%(table_name)s_%(column_0_N_name)s"}  # what SQLite left without a name


def upgrade() -> None:
    """From version 1 to version 2."""
    _study()
    _pairs_and_images()
    _raters()
    _assignments()
    _votes()
    _new_tables()


def _study() -> None:
    connection = op.get_bind()
    with op.batch_alter_table("study") as table:
        table.add_column(sa.Column("design", sa.Text()))
        table.add_column(sa.Column("source", sa.String()))
        table.add_column(sa.Column("state", sa.String(8)))
        table.add_column(sa.Column("secret", sa.String()))
    with op.batch_alter_table("question") as table:
        table.add_column(sa.Column("settled", sa.String()))
    study = connection.execute(
        sa.text("SELECT name, seed, votes_per_pair, pairs_per_rater, min_seconds FROM study")
    ).one()
    questions = connection.execute(
        sa.text("SELECT key, text, shows_caption FROM question ORDER BY id")
    ).all()
    design = {
        "name": study.name,
        "seed": study.seed,
        "questions": [
            {"key": row.key, "text": row.text, "shows_caption": bool(row.shows_caption)}
            for row in questions
        ],
        "votes": {"per_pair": study.votes_per_pair, "min_seconds": study.min_seconds},
        "raters": {"pairs": study.pairs_per_rater},
    }
    connection.execute(
        sa.text("UPDATE study SET design = :design, state = 'open', secret = :secret"),
        {"design": json.dumps(design), "secret": f"stored:{secrets.token_hex(32)}"},
    )
    # quotas take their wanted votes from here, so before the column goes
    with op.batch_alter_table("quota") as table:
        table.add_column(sa.Column("arm_pair", sa.Integer()))
        table.add_column(sa.Column("wanted", sa.Integer()))
        table.add_column(sa.Column("withdrawn", sa.Boolean()))
    connection.execute(
        sa.text("UPDATE quota SET wanted = :wanted, withdrawn = :no"),
        {"wanted": study.votes_per_pair, "no": False},
    )
    with op.batch_alter_table("study") as table:
        for name in ("votes_per_pair", "pairs_per_rater", "min_seconds"):
            table.drop_column(name)
        table.alter_column("design", existing_type=sa.Text(), nullable=False)
        table.alter_column("state", existing_type=sa.String(8), nullable=False)
        table.alter_column("secret", existing_type=sa.String(), nullable=False)


def _pairs_and_images() -> None:
    connection = op.get_bind()
    _number_arm_pairs(connection)
    with op.batch_alter_table("quota") as table:
        table.alter_column("arm_pair", existing_type=sa.Integer(), nullable=False)
        table.alter_column("wanted", existing_type=sa.Integer(), nullable=False)
        table.alter_column("withdrawn", existing_type=sa.Boolean(), nullable=False)
    op.create_index(
        "quota_arms", "quota", ["rater_kind", "question_id", "arm_pair", "taken", "pair_id"]
    )
    with op.batch_alter_table("pair") as table:
        table.add_column(sa.Column("gold", sa.Boolean()))
    connection.execute(sa.text("UPDATE pair SET gold = :no"), {"no": False})
    with op.batch_alter_table("pair") as table:
        table.alter_column("gold", existing_type=sa.Boolean(), nullable=False)
    with op.batch_alter_table("image") as table:
        table.add_column(sa.Column("variant", sa.String()))
    connection.execute(sa.text("UPDATE image SET variant = ''"))
    before = _unique("image", ["arm_id", "prompt_id", "replica"])
    with op.batch_alter_table("image", naming_convention=NAMES) as table:
        table.alter_column("variant", existing_type=sa.String(), nullable=False)
        table.drop_constraint(before, type_="unique")
        table.create_unique_constraint(
            "image_of_arm", ["arm_id", "prompt_id", "replica", "variant"]
        )


def _number_arm_pairs(connection: sa.Connection) -> None:
    """1, 2, … in the order of the arms, as `create.arm_pairs` numbers them."""
    arms = connection.execute(sa.text("SELECT id FROM arm ORDER BY id")).scalars().all()
    number = 0
    for index, first in enumerate(arms):
        for second in arms[index + 1 :]:
            number += 1
            connection.execute(
                sa.text(
                    "UPDATE quota SET arm_pair = :number WHERE pair_id IN ("
                    "SELECT pair.id FROM pair JOIN image a ON a.id = pair.image_a_id "
                    "JOIN image b ON b.id = pair.image_b_id "
                    "WHERE (a.arm_id = :first AND b.arm_id = :second) "
                    "OR (a.arm_id = :second AND b.arm_id = :first))"
                ),
                {"number": number, "first": first, "second": second},
            )


def _raters() -> None:
    connection = op.get_bind()
    with op.batch_alter_table("rater") as table:
        table.add_column(sa.Column("outside_hash", sa.String(64)))
        table.add_column(sa.Column("consented_at", TIME))
        table.add_column(sa.Column("instructed_at", TIME))
        table.add_column(sa.Column("undoable_id", sa.Integer()))
        for name in ("practised", "rested", "given", "done"):
            table.add_column(sa.Column(name, sa.Integer()))
    connection.execute(
        sa.text(
            "UPDATE rater SET practised = 0, rested = 0, "
            "given = (SELECT count(*) FROM assignment WHERE rater_id = rater.id), "
            "done = (SELECT count(*) FROM assignment JOIN vote ON assignment_id = assignment.id "
            "WHERE rater_id = rater.id)"
        )
    )
    with op.batch_alter_table("rater") as table:
        for name in ("practised", "rested", "given", "done"):
            table.alter_column(name, existing_type=sa.Integer(), nullable=False)
        table.create_unique_constraint("rater_outside_hash_key", ["outside_hash"])
        if connection.dialect.name == "sqlite":  # lost when Alembic rebuilds a table there
            table.create_check_constraint("known_kind", "kind IN ('person', 'simulated')")


def _assignments() -> None:
    connection = op.get_bind()
    op.drop_index("assignment_lease", "assignment")
    with op.batch_alter_table("assignment") as table:
        table.add_column(sa.Column("state", sa.String(9)))
        table.add_column(sa.Column("revision", sa.Integer()))
        table.add_column(sa.Column("repeated", sa.Boolean()))
        table.add_column(sa.Column("repeat_of_id", sa.Integer()))
    connection.execute(
        sa.text(
            "UPDATE assignment SET revision = 0, repeated = :no, state = CASE "
            "WHEN EXISTS (SELECT 1 FROM vote WHERE assignment_id = assignment.id) THEN 'answered' "
            "WHEN lapsed = :yes THEN 'lapsed' ELSE 'open' END"
        ),
        {"no": False, "yes": True},
    )
    before = _unique("assignment", ["rater_id", "pair_id"])
    with op.batch_alter_table("assignment", naming_convention=NAMES) as table:
        table.drop_column("lapsed")
        table.alter_column("state", existing_type=sa.String(9), nullable=False)
        table.alter_column("revision", existing_type=sa.Integer(), nullable=False)
        table.alter_column("repeated", existing_type=sa.Boolean(), nullable=False)
        table.alter_column("expires_at", existing_type=TIME, nullable=True)
        table.drop_constraint(before, type_="unique")
        table.create_unique_constraint("assignment_once", ["rater_id", "pair_id", "repeated"])
        table.create_check_constraint(
            "known_state", "state IN ('open', 'answered', 'lapsed', 'gone')"
        )
        table.create_foreign_key(
            "assignment_repeat_of_id_fkey", "assignment", ["repeat_of_id"], ["id"]
        )
    op.create_index("assignment_rater", "assignment", ["rater_id", "state"])
    op.create_index("assignment_lease", "assignment", ["state", "expires_at"])


def _votes() -> None:
    connection = op.get_bind()
    with op.batch_alter_table("vote") as table:
        table.add_column(sa.Column("revision", sa.Integer()))
    connection.execute(sa.text("UPDATE vote SET revision = 0"))
    before = _unique("vote", ["assignment_id"])
    if connection.dialect.name != "sqlite":
        op.drop_constraint("known_answer", "vote")
    with op.batch_alter_table("vote", naming_convention=NAMES) as table:
        table.alter_column("revision", existing_type=sa.Integer(), nullable=False)
        table.alter_column("answer", existing_type=sa.String(5), type_=sa.String(8))
        table.drop_constraint(before, type_="unique")
        table.create_unique_constraint("vote_once", ["assignment_id", "revision"])
        table.create_check_constraint(
            "known_answer", "answer IN ('left', 'right', 'tie', 'both_bad')"
        )


def _new_tables() -> None:
    op.create_table(
        "practice",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("uid", sa.String(32), nullable=False, unique=True),
        sa.Column("question_id", sa.Integer(), sa.ForeignKey("question.id"), nullable=False),
        sa.Column("left_image_id", sa.Integer(), sa.ForeignKey("image.id"), nullable=False),
        sa.Column("right_image_id", sa.Integer(), sa.ForeignKey("image.id"), nullable=False),
        sa.Column("caption", sa.String(), nullable=False),
        sa.Column("expected", sa.String(), nullable=False),
        sa.Column("explanation", sa.String(), nullable=False),
    )
    op.create_table(
        "practice_answer",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("rater_id", sa.Integer(), sa.ForeignKey("rater.id"), nullable=False, index=True),
        sa.Column("practice_id", sa.Integer(), sa.ForeignKey("practice.id"), nullable=False),
        sa.Column("answer", sa.String(8), nullable=False),
        sa.Column("right", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_table(
        "invite",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("used", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "undo",
        sa.Column("id", sa.Integer(), primary_key=True),
        _assignment(unique=True),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_table(
        "set_aside",
        sa.Column("id", sa.Integer(), primary_key=True),
        _assignment(index=True),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_table(
        "deletion",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("votes", sa.Integer(), nullable=False),
        sa.Column("kept", sa.Boolean(), nullable=False),
    )


def _assignment(*, unique: bool | None = None, index: bool | None = None) -> sa.Column[int]:
    key = sa.ForeignKey("assignment.id")
    return sa.Column("assignment_id", sa.Integer(), key, nullable=False, unique=unique, index=index)


def _unique(table: str, columns: list[str]) -> str:
    """The name of a unique constraint: the database's own, or what `NAMES` gives it."""
    for found in sa.inspect(op.get_bind()).get_unique_constraints(table):
        if found["column_names"] == columns and found["name"]:
            return str(found["name"])
    return f"uq_{table}_{'_'.join(columns)}"
