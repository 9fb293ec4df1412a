"""Questions put to the database, and the few writes; one instance a session.

The statements of a rater's way are built once, here, since they run at each vote.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, bindparam, func, insert, select, update
from sqlalchemy.orm import Session, aliased

from .domain import LEASE, RaterKind
from .orm import (
    ArmRow,
    AssignmentRow,
    ImageRow,
    PairRow,
    QuestionRow,
    QuotaRow,
    RaterRow,
    StudyRow,
    VoteRow,
)

if TYPE_CHECKING:
    AnyRow = Row[*tuple[Any, ...]]

_left, _right = aliased(ImageRow), aliased(ImageRow)
_left_arm, _right_arm = aliased(ArmRow), aliased(ArmRow)

_voted = select(VoteRow.id).where(VoteRow.assignment_id == AssignmentRow.id).exists()

_RATER = select(RaterRow.id, RaterRow.kind, RaterRow.share).where(
    RaterRow.token_hash == bindparam("token_hash")
)
_GIVEN = select(func.count(AssignmentRow.id)).where(AssignmentRow.rater_id == bindparam("rater"))
_DONE = _GIVEN.where(_voted)
_OPEN = (
    select(
        AssignmentRow.uid,
        PairRow.question_id,
        _left.caption,
        _left.name.label("left"),
        _right.name.label("right"),
    )
    .join(PairRow, PairRow.id == AssignmentRow.pair_id)
    .join(_left, _left.id == AssignmentRow.left_image_id)
    .join(_right, _right.id == AssignmentRow.right_image_id)
    .where(AssignmentRow.rater_id == bindparam("rater"), ~_voted)
    .order_by(AssignmentRow.id)
    .limit(2)
)
_NEXT_PAIR = (
    select(
        QuotaRow.pair_id,
        QuotaRow.draws,
        PairRow.a_first,
        PairRow.image_a_id,
        PairRow.image_b_id,
    )
    .join(PairRow, PairRow.id == QuotaRow.pair_id)
    .where(
        QuotaRow.rater_kind == bindparam("kind"),
        QuotaRow.question_id == bindparam("question"),
        QuotaRow.taken < bindparam("wanted"),
        ~select(AssignmentRow.id)
        .where(
            AssignmentRow.rater_id == bindparam("rater"),
            AssignmentRow.pair_id == QuotaRow.pair_id,
        )
        .exists(),
    )
    .order_by(QuotaRow.taken, QuotaRow.pair_id)
    .limit(1)
)
_ASSIGNMENT = select(
    AssignmentRow.id,
    AssignmentRow.pair_id,
    AssignmentRow.lapsed,
    _voted.label("voted"),
).where(AssignmentRow.uid == bindparam("uid"), AssignmentRow.rater_id == bindparam("rater"))
_quota_of = (QuotaRow.pair_id == bindparam("pair"), QuotaRow.rater_kind == bindparam("kind"))
_TAKE = update(QuotaRow).where(*_quota_of).values(taken=QuotaRow.taken + 1)
_DRAW = _TAKE.values(draws=QuotaRow.draws + 1)
_GIVE_BACK = update(QuotaRow).where(*_quota_of).values(taken=QuotaRow.taken - 1)


class Repository:
    """Reads and writes of one session; commits nothing itself."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # ------------------------------------------------------------------ the study

    def study(self) -> StudyRow:
        """The study of this database."""
        return self._session.scalars(select(StudyRow)).one()

    def questions(self) -> Sequence[QuestionRow]:
        """In the order raters meet them."""
        return self._session.scalars(select(QuestionRow).order_by(QuestionRow.id)).all()

    def arms(self) -> Sequence[ArmRow]:
        """In the run's order."""
        return self._session.scalars(select(ArmRow).order_by(ArmRow.id)).all()

    def image_names(self) -> set[str]:
        """Every opaque name there is."""
        return set(self._session.scalars(select(ImageRow.name)))

    def images(self) -> Sequence[AnyRow]:
        """`id, arm, prompt_id, replica` of every image: for simulation, never for pages."""
        return self._session.execute(
            select(ImageRow.id, ArmRow.name.label("arm"), ImageRow.prompt_id, ImageRow.replica)
            .join(ArmRow, ArmRow.id == ImageRow.arm_id)
            .order_by(ImageRow.id)
        ).all()

    def lock(self) -> None:
        """One writer at a time across processes; SQLite's own write lock does it there."""
        if self._session.get_bind().dialect.name != "sqlite":
            self._session.execute(select(StudyRow.id).with_for_update())

    # ------------------------------------------------------------------ raters

    def rater(self, token_hash: str) -> AnyRow | None:
        """`id, kind, share` of the rater with this token."""
        return self._session.execute(_RATER, {"token_hash": token_hash}).one_or_none()

    def add_rater(
        self, public_id: str, token_hash: str, kind: RaterKind, share: int, now: datetime
    ) -> int:
        """A new rater's id."""
        rater = RaterRow(
            public_id=public_id, token_hash=token_hash, kind=kind, share=share, joined_at=now
        )
        self._session.add(rater)
        self._session.flush()
        return rater.id

    def count_given(self, rater: int) -> int:
        """Pairs ever handed to this rater."""
        return self._session.scalar(_GIVEN, {"rater": rater}) or 0

    def count_done(self, rater: int) -> int:
        """Pairs this rater has answered."""
        return self._session.scalar(_DONE, {"rater": rater}) or 0

    # ------------------------------------------------------------------ assignments and votes

    def open_assignments(self, rater: int) -> Sequence[AnyRow]:
        """`uid, question_id, caption, left, right` of at most two unanswered ones, oldest first."""
        return self._session.execute(_OPEN, {"rater": rater}).all()

    def assignment(self, uid: str, rater: int) -> AnyRow | None:
        """`id, pair_id, lapsed, voted` of this rater's assignment."""
        return self._session.execute(_ASSIGNMENT, {"uid": uid, "rater": rater}).one_or_none()

    def next_pair(
        self, rater: int, kind: RaterKind, question_id: int, wanted: int
    ) -> AnyRow | None:
        """The pair with the fewest votes taken, first in the plan, that this rater hasn't had."""
        return self._session.execute(
            _NEXT_PAIR, {"rater": rater, "kind": kind, "question": question_id, "wanted": wanted}
        ).one_or_none()

    def add_assignment(
        self,
        *,
        uid: str,
        rater: int,
        kind: RaterKind,
        pair: int,
        sides: tuple[int, int],
        now: datetime,
    ) -> int:
        """Hand out a pair with these images left and right; the assignment's id."""
        self._execute(_DRAW, pair=pair, kind=kind)
        added = self._session.execute(
            insert(AssignmentRow).returning(AssignmentRow.id),
            {
                "uid": uid,
                "rater_id": rater,
                "pair_id": pair,
                "left_image_id": sides[0],
                "right_image_id": sides[1],
                "assigned_at": now,
                "expires_at": now + LEASE,
                "lapsed": False,
            },
        )
        return added.scalar_one()

    def lapse_expired(self, now: datetime) -> int:
        """Give back pairs whose raters left; returns how many.

        The assignments stay: a rater who comes back may still answer.
        """
        expired = self._session.execute(
            select(AssignmentRow.id, AssignmentRow.pair_id, RaterRow.kind)
            .join(RaterRow, RaterRow.id == AssignmentRow.rater_id)
            .where(~AssignmentRow.lapsed, AssignmentRow.expires_at < now, ~_voted)
        ).all()
        for row in expired:
            self._execute(_GIVE_BACK, pair=row.pair_id, kind=row.kind)
        self._session.execute(
            update(AssignmentRow)
            .where(AssignmentRow.id.in_([row.id for row in expired]))
            .values(lapsed=True)
        )
        return len(expired)

    def add_vote(self, assignment: int, answer: str, seconds: float | None, now: datetime) -> None:
        """The one vote of an assignment; a second one violates its constraint."""
        self._session.execute(
            insert(VoteRow),
            {
                "assignment_id": assignment,
                "answer": answer,
                "seconds": seconds,
                "created_at": now,
            },
        )

    def retake(self, pair: int, kind: RaterKind) -> None:
        """Count a vote on a pair whose lease had lapsed."""
        self._execute(_TAKE, pair=pair, kind=kind)

    def _execute(self, statement: Any, **values: Any) -> None:
        self._session.execute(statement, values, execution_options={"synchronize_session": False})

    # ------------------------------------------------------------------ for the owner

    def wanted_by_question(self, votes_per_pair: int) -> dict[str, int]:
        """Votes wanted of each kind of rater, by question key."""
        rows = self._session.execute(
            select(QuestionRow.key, func.count(PairRow.id))
            .join(PairRow, PairRow.question_id == QuestionRow.id)
            .group_by(QuestionRow.id, QuestionRow.key)
            .order_by(QuestionRow.id)
        )
        return {key: count * votes_per_pair for key, count in rows}

    def rater_counts(self) -> dict[str, int]:
        """Raters who joined, by kind."""
        rows = self._session.execute(
            select(RaterRow.kind, func.count(RaterRow.id)).group_by(RaterRow.kind)
        )
        return {kind: count for kind, count in rows}  # noqa: C416 - rows are not pairs to dict()

    def votes(self) -> Sequence[AnyRow]:
        """Every vote in the order it was stored, with the columns of votes.csv but `study`."""
        return self._session.execute(
            select(
                QuestionRow.key.label("question"),
                _left.prompt_id,
                _left.replica,
                _left_arm.name.label("arm_left"),
                _right_arm.name.label("arm_right"),
                VoteRow.answer,
                RaterRow.public_id.label("rater"),
                RaterRow.kind.label("rater_kind"),
                VoteRow.seconds,
                VoteRow.created_at,
                AssignmentRow.uid.label("assignment"),
            )
            .join(AssignmentRow, AssignmentRow.id == VoteRow.assignment_id)
            .join(RaterRow, RaterRow.id == AssignmentRow.rater_id)
            .join(PairRow, PairRow.id == AssignmentRow.pair_id)
            .join(QuestionRow, QuestionRow.id == PairRow.question_id)
            .join(_left, _left.id == AssignmentRow.left_image_id)
            .join(_right, _right.id == AssignmentRow.right_image_id)
            .join(_left_arm, _left_arm.id == _left.arm_id)
            .join(_right_arm, _right_arm.id == _right.arm_id)
            .order_by(VoteRow.id)
        ).all()
