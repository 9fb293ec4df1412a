"""What a rater's turn reads and writes: one instance per session.

The statements that run at each vote are in `statements`; what an owner asks is in
`owner_repository`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, case, func, insert, or_, select, update
from sqlalchemy.orm import Session, aliased

from analysis.ballots import RaterKind

from . import statements
from .limits import LONGEST_COMMENT, LONGEST_REASON, REPORTED
from .orm import (
    ArmRow,
    AssignmentRow,
    ImageRow,
    InviteRow,
    PairRow,
    PracticeAnswerRow,
    PracticeRow,
    QuestionRow,
    QuotaRow,
    RaterRow,
    SetAsideRow,
    StudyRow,
    UndoRow,
)

AnyRow = Row[*tuple[Any, ...]]


class Repository:
    """Reads and writes of one session; commits nothing itself."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._connection = session.connection()

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

    def settle(self, reasons: Mapping[str, str]) -> None:
        """Note why questions are asked no more, once."""
        for key, reason in reasons.items():
            self._execute(
                update(QuestionRow)
                .where(QuestionRow.key == key, QuestionRow.settled.is_(None))
                .values(settled=reason)
            )

    def unsettled(self) -> list[int]:
        """The questions still asked, in the study's order."""
        return [row.id for row in statements.UNSETTLED(self._connection).all()]

    @property
    def session(self) -> Session:
        """The session it works in."""
        return self._session

    def practice(self) -> Sequence[PracticeRow]:
        """In the order raters meet them."""
        return self._session.scalars(select(PracticeRow).order_by(PracticeRow.id)).all()

    def image_names(self) -> set[str]:
        """Every opaque name there is."""
        return set(self.names_by_image().values())

    def names_by_image(self) -> dict[int, str]:
        """The opaque name of each image."""
        rows = self._session.execute(select(ImageRow.id, ImageRow.name))
        return {row.id: row.name for row in rows}

    def captions(self) -> dict[int, tuple[int, str]]:
        """Question and caption of every pair."""
        rows = self._session.execute(
            select(PairRow.id, PairRow.question_id, ImageRow.caption).join(
                ImageRow, ImageRow.id == PairRow.image_a_id
            )
        )
        return {row.id: (row.question_id, row.caption) for row in rows}

    def images(self) -> Sequence[AnyRow]:
        """`id, arm, prompt_id, replica, variant` of every image; never for pages."""
        return self._session.execute(
            select(
                ImageRow.id,
                ArmRow.name.label("arm"),
                ImageRow.prompt_id,
                ImageRow.replica,
                ImageRow.variant,
            )
            .join(ArmRow, ArmRow.id == ImageRow.arm_id)
            .order_by(ImageRow.id)
        ).all()

    def lock(self) -> None:
        """One writer at a time across processes; SQLite's own write lock does it there."""
        # The study's row stands for the whole study: who locks it is the one writer.
        if self._connection.dialect.name != "sqlite" and not self._session.info.get("locked"):
            statements.LOCK(self._connection)
            self._session.info["locked"] = True  # until the transaction ends, and the session too

    def state(self) -> str:
        """`open`, `paused` or `closed`, as it is now."""
        return self._session.scalars(select(StudyRow.state)).one()

    def set_state(self, state: str) -> None:
        """Pause, resume or close."""
        self._execute(update(StudyRow).values(state=state))

    # ------------------------------------------------------------------ raters

    def rater(self, token_hash: str) -> AnyRow | None:
        """The rater with this token, and the study's state."""
        return statements.RATER(self._connection, token_hash=token_hash).first()

    def voter(
        self, token_hash: str, uid: str
    ) -> tuple[AnyRow | None, AnyRow | None, Sequence[AnyRow]]:
        """The rater of this token, their assignment of this id, and their open ones."""
        rater = statements.RATER(self._connection, token_hash=token_hash)
        assignment = statements.ASSIGNMENT(self._connection, uid=uid, token_hash=token_hash)
        waiting = statements.OPEN(self._connection, token_hash=token_hash)
        open_ones = waiting.all()  # asked for first: in a pipeline the others come with it
        return rater.first(), assignment.first(), open_ones

    def rater_outside(self, outside_hash: str) -> int | None:
        """The row id of the rater known elsewhere by this keyed hash."""
        return self._session.scalar(
            select(RaterRow.id).where(RaterRow.outside_hash == outside_hash)
        )

    def add_rater(
        self,
        public_id: str,
        token_hash: str,
        kind: RaterKind,
        share: int,
        now: datetime,
        outside_hash: str | None = None,
    ) -> int:
        """A new rater's id."""
        rater = RaterRow(
            public_id=public_id,
            token_hash=token_hash,
            outside_hash=outside_hash,
            kind=kind,
            share=share,
            joined_at=now,
        )
        self._session.add(rater)
        self._session.flush()
        return rater.id

    def set_rater(self, rater: int, **values: Any) -> None:
        """Write down how far a rater came."""
        self._execute(update(RaterRow).where(RaterRow.id == rater).values(**values))

    def count_given(self, rater: int, more: int) -> None:
        """Add to the pairs a rater has open or answered."""
        statements.COUNT_GIVEN(self._connection, rater=rater, more=more)

    def count_answer(
        self, rater: int, more: int, undoable: int | None, now: datetime, *, implausible: bool
    ) -> None:
        """Add to a rater's answers, and note which assignment's they may take back.

        What is current next is theirs from now on. `implausible`: the time that the browser claimed
        was longer than the server saw.
        """
        statements.COUNT_ANSWER(
            self._connection,
            rater=rater,
            more=more,
            undoable=undoable,
            since=now.timestamp(),
            implausible=int(implausible),
        )

    def begin(self, rater: int, now: datetime) -> None:
        """Note that the rater's current pair is theirs from now on."""
        statements.BEGIN(self._connection, rater=rater, since=now.timestamp())

    def add_practice_answer(
        self, rater: int, practice: int, answer: str, right: bool, now: datetime
    ) -> None:
        """A try at a practice pair."""
        self._execute(
            insert(PracticeAnswerRow),
            rater_id=rater,
            practice_id=practice,
            answer=answer,
            right=right,
            created_at=now,
        )

    def not_excluded(self) -> dict[str, int]:
        """Return the row ids of people whom no rule has left out yet, by their public id."""
        rows = self._session.execute(
            select(RaterRow.public_id, RaterRow.id).where(
                RaterRow.kind == "person", RaterRow.excluded.is_(None)
            )
        )
        return {row.public_id: row.id for row in rows}

    def exclude(self, rater: int, reason: str) -> None:
        """Note why the rules leave a person out, and ask others for the votes they gave.

        Their assignments hold no place in a quota from now on.
        """
        self._execute(
            update(RaterRow).where(RaterRow.id == rater).values(excluded=reason[:LONGEST_REASON])
        )
        held = (
            AssignmentRow.rater_id == rater,
            AssignmentRow.state == "answered",
            AssignmentRow.expires_at.is_not(None),
        )
        pairs = select(AssignmentRow.pair_id).where(*held)
        self._execute(
            update(QuotaRow)
            .where(QuotaRow.rater_kind == "person", QuotaRow.pair_id.in_(pairs))
            .values(taken=QuotaRow.taken - 1)
        )
        self._execute(update(AssignmentRow).where(*held).values(expires_at=None))

    def invite(self, token_hash: str) -> InviteRow | None:
        """The invite of this token."""
        return self._session.scalars(
            select(InviteRow).where(InviteRow.token_hash == token_hash)
        ).one_or_none()

    def add_invites(self, token_hashes: list[str], now: datetime) -> None:
        """New personal links."""
        self._session.add_all(InviteRow(token_hash=one, created_at=now) for one in token_hashes)

    def active_people(self, now: datetime, joined_after: datetime) -> int:
        """People who are done, at it, or joined lately; who left or is excluded makes room."""
        at_it = (
            select(AssignmentRow.id)
            .where(
                AssignmentRow.rater_id == RaterRow.id,
                AssignmentRow.state == "open",
                AssignmentRow.expires_at >= now,
            )
            .exists()
        )
        active = or_(RaterRow.done >= RaterRow.share, RaterRow.joined_at > joined_after, at_it)
        people = select(func.count(RaterRow.id)).where(
            RaterRow.kind == "person", RaterRow.excluded.is_(None), active
        )
        return self._session.scalar(people) or 0

    def pairs_left(self, now: datetime) -> bool:
        """Whether a person who came now could get a pair."""
        free = select(QuotaRow.pair_id).where(
            QuotaRow.rater_kind == "person",
            QuotaRow.taken < QuotaRow.wanted,
            ~QuotaRow.withdrawn,
        )
        expired = select(AssignmentRow.id).where(
            AssignmentRow.state == "open", AssignmentRow.expires_at < now
        )
        return any(self._session.execute(one.limit(1)).first() for one in (free, expired))

    # ------------------------------------------------------------------ assignments and votes

    def open_assignments(self, token_hash: str) -> Sequence[AnyRow]:
        """At most three without a standing answer, oldest first; lapsed ones included."""
        return statements.OPEN(self._connection, token_hash=token_hash).all()

    def assignment(self, uid: str, token_hash: str) -> AnyRow | None:
        """This rater's assignment of this id."""
        return statements.ASSIGNMENT(self._connection, uid=uid, token_hash=token_hash).first()

    def next_pair(
        self, rater: int, kind: RaterKind, question_id: int, arm_pair: int | None = None
    ) -> AnyRow | None:
        """The pair with the fewest votes taken, first in the plan, that this rater hasn't had."""
        values = {"rater": rater, "kind": kind, "question": question_id}
        if arm_pair is None:
            return statements.NEXT_PLAIN(self._connection, **values).first()
        return statements.NEXT_OF_ARMS(self._connection, **values, arm_pair=arm_pair).first()

    def last_plain(self, rater: int) -> AnyRow | None:
        """Return the images, and their sides, of the last planned pair that a rater was given."""
        return statements.LAST_PLAIN(self._connection, rater=rater).first()

    def next_of_images(
        self, rater: int, kind: RaterKind, question_id: int, images: tuple[int, int]
    ) -> AnyRow | None:
        """Return a question's pair of these images, if it is wanted and the rater hasn't had it."""
        values = {"rater": rater, "kind": kind, "question": question_id}
        return statements.NEXT_OF_IMAGES(
            self._connection, **values, image_a=images[0], image_b=images[1]
        ).first()

    def next_gold(self, rater: int, kind: RaterKind, question_id: int) -> AnyRow | None:
        """The gold pair shown least so far that this rater hasn't had."""
        values = {"rater": rater, "kind": kind, "question": question_id}
        return statements.NEXT_GOLD(self._connection, **values).first()

    def next_repeat(self, rater: int) -> AnyRow | None:
        """The rater's earliest answered pair that was not asked again yet."""
        return statements.NEXT_REPEAT(self._connection, rater=rater).first()

    def draw(self, pair: int, kind: RaterKind, *, takes: bool) -> None:
        """Count a handing out, and whether it takes one of the votes wanted."""
        statements.DRAW(self._connection, pair=pair, kind=kind, takes=int(takes))

    def add_assignment(
        self,
        *,
        uid: str,
        rater: int,
        pair: int,
        sides: tuple[int, int],
        now: datetime,
        expires: datetime | None,
        repeat_of: int | None = None,
    ) -> None:
        """Hand out a pair with these images left and right."""
        statements.ADD_ASSIGNMENT(
            self._connection,
            uid=uid,
            rater=rater,
            pair=pair,
            left=sides[0],
            right=sides[1],
            now=now,
            expires=expires,
            again=repeat_of is not None,
            repeat_of=repeat_of,
        )
        self.count_given(rater, 1)

    def lapse_expired(self, now: datetime) -> int:
        """Give back pairs whose raters left; returns how many.

        The assignments stay: a rater who comes back may answer if the pair is still wanted.
        """
        expired = statements.EXPIRED(self._connection, now=now).all()
        for row in expired:
            self.give_back(row.pair_id, row.kind)
            self.set_assignment_state(row.id, "lapsed")
        return len(expired)

    def retake(self, pair: int, kind: RaterKind) -> bool:
        """Take a lapsed pair up again; False when its votes are others' by now."""
        return bool(statements.RETAKE(self._connection, pair=pair, kind=kind).all())

    def give_back(self, pair: int, kind: RaterKind) -> None:
        """A pair that will not be answered after all."""
        statements.GIVE_BACK(self._connection, pair=pair, kind=kind)

    def renew(self, assignment: int, expires: datetime | None) -> None:
        """Open an assignment again, for a lease of its own."""
        statements.RENEW(self._connection, assignment=assignment, expires=expires)

    def set_assignment_state(self, assignment: int, state: str) -> None:
        """`open`, `answered`, `lapsed` (others may have the pair) or `gone` (never answered)."""
        statements.SET_STATE(self._connection, assignment=assignment, new_state=state)

    def add_vote(
        self,
        assignment: int,
        revision: int,
        answer: str,
        seconds: float | None,
        now: datetime,
        comment: str | None = None,
    ) -> None:
        """The one vote of an assignment's revision; a second one violates its constraint."""
        statements.ADD_VOTE(
            self._connection,
            assignment=assignment,
            revision=revision,
            answer=answer,
            seconds=seconds,
            now=now,
            comment=None if comment is None else comment[:LONGEST_COMMENT],
        )
        self.set_assignment_state(assignment, "answered")

    def add_undo(self, assignment: int, now: datetime, lease: timedelta) -> None:
        """Take an assignment's answer back: it is open again, for its second revision."""
        self._execute(insert(UndoRow), assignment_id=assignment, created_at=now)
        self._execute(
            update(AssignmentRow)
            .where(AssignmentRow.id == assignment)
            .values(
                state="open",
                revision=1,
                expires_at=case((AssignmentRow.expires_at.is_(None), None), else_=now + lease),
            )
        )

    def set_aside(self, assignment: int, reason: str, now: datetime) -> None:
        """An assignment that could not be shown."""
        self.set_assignment_state(assignment, "gone")
        self._execute(
            insert(SetAsideRow),
            assignment_id=assignment,
            reason=reason[:LONGEST_REASON],
            created_at=now,
        )

    def other_questions(self, rater: int, pair: int) -> Sequence[AnyRow]:
        """Return the pairs of the same two images, and what the rater has of each.

        Columns: `pair_id`, `image_a_id`, `image_b_id`, `assignment_id`, `state`, `expires_at`. The
        last three are None for what the rater was not given.
        """
        this, mine = aliased(PairRow), AssignmentRow
        images = (this.image_a_id, this.image_b_id)
        return self._session.execute(
            select(
                PairRow.id.label("pair_id"), PairRow.image_a_id, PairRow.image_b_id,
                mine.id.label("assignment_id"), mine.state, mine.expires_at,
            )
            .join(this, PairRow.image_a_id.in_(images) & PairRow.image_b_id.in_(images))
            .outerjoin(mine, (mine.pair_id == PairRow.id) & (mine.rater_id == rater))
            .where(this.id == pair, PairRow.id != pair)
        ).all()  # fmt: skip

    def keep_from(self, rater: int, pair: AnyRow, uid: str, now: datetime) -> None:
        """Never give a rater this pair."""
        self._execute(
            insert(AssignmentRow),
            uid=uid,
            rater_id=rater,
            pair_id=pair.pair_id,
            left_image_id=pair.image_a_id,
            right_image_id=pair.image_b_id,
            assigned_at=now,
            state="gone",
            revision=0,
            repeated=False,
        )

    def reports(self, rater: int) -> int:
        """Return how many pairs a rater has reported."""
        mine = (
            select(func.count(SetAsideRow.id))
            .join(AssignmentRow, AssignmentRow.id == SetAsideRow.assignment_id)
            .where(AssignmentRow.rater_id == rater, SetAsideRow.reason == REPORTED)
        )
        return self._session.scalar(mine) or 0

    def withdraw(self, images: list[int]) -> None:
        """Hand out no pair with one of these images any more."""
        pairs = select(PairRow.id).where(
            PairRow.image_a_id.in_(images) | PairRow.image_b_id.in_(images)
        )
        self._execute(update(QuotaRow).where(QuotaRow.pair_id.in_(pairs)).values(withdrawn=True))

    def restore(self, images: list[int]) -> None:
        """Hand out again what was withdrawn and has both of its images among these."""
        withdrawn = self._session.execute(
            select(PairRow.id, PairRow.image_a_id, PairRow.image_b_id)
            .join(QuotaRow, QuotaRow.pair_id == PairRow.id)
            .where(QuotaRow.withdrawn)
        ).all()
        present = set(images)
        whole = {row.id for row in withdrawn if {row.image_a_id, row.image_b_id} <= present}
        for pair in whole:
            self._execute(update(QuotaRow).where(QuotaRow.pair_id == pair).values(withdrawn=False))

    def _execute(self, statement: Any, **values: Any) -> Any:
        # Rows are never changed through objects of this session, so none need to be refreshed.
        return self._session.execute(
            statement, values or None, execution_options={"synchronize_session": False}
        )
