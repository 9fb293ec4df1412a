"""What an owner asks of the database: one instance per session, which only reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Select, and_, case, func, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from .limits import REPORTED
from .orm import (
    ArmRow,
    AssignmentRow,
    DeletionRow,
    ImageRow,
    PairRow,
    QuestionRow,
    QuotaRow,
    RaterRow,
    SetAsideRow,
    UndoRow,
    VoteRow,
)

if TYPE_CHECKING:
    from .repository import AnyRow

_left, _right = aliased(ImageRow), aliased(ImageRow)
_left_arm, _right_arm = aliased(ArmRow), aliased(ArmRow)
_ARMS = (_left_arm.name.label("arm_left"), _right_arm.name.label("arm_right"))
_repeated = aliased(AssignmentRow)
_asked = aliased(ImageRow)
_taken_back = select(UndoRow.id).where(UndoRow.assignment_id == VoteRow.assignment_id).exists()


class Extent(NamedTuple):
    """How far somebody has read the votes, and how much there was up to there.

    Attributes:
        vote: row id of the last vote read.
        votes: up to that one.
        undo: row id of the last undo read.
        undone: answers taken back, up to that one.
        deletions: of raters' data, ever.
    """

    vote: int = 0
    votes: int = 0
    undo: int = 0
    undone: int = 0
    deletions: int = 0


class OwnerRepository:
    """Reads of one session for the owner's eyes."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def wanted_by_question(self) -> dict[str, int]:
        """Return the votes wanted of people by question key, in the study's order."""
        rows = self._session.execute(
            select(QuestionRow.key, func.sum(QuotaRow.wanted).label("wanted"))
            .join(QuotaRow, QuotaRow.question_id == QuestionRow.id)
            .where(QuotaRow.rater_kind == "person")
            .group_by(QuestionRow.id, QuestionRow.key)
            .order_by(QuestionRow.id)
        )
        return {row.key: int(row.wanted) for row in rows}

    def rater_counts(self) -> dict[str, int]:
        """Return how many raters joined, by kind."""
        rows = self._session.execute(
            select(RaterRow.kind, func.count(RaterRow.id).label("raters")).group_by(RaterRow.kind)
        )
        return {row.kind: row.raters for row in rows}

    def outside_hashes(self) -> dict[str, str]:
        """Return the id in votes.csv of each rater known elsewhere, by their keyed hash."""
        rows = self._session.execute(
            select(RaterRow.outside_hash, RaterRow.public_id).where(
                RaterRow.outside_hash.is_not(None)
            )
        )
        return {str(row.outside_hash): row.public_id for row in rows}

    def reported(self) -> Sequence[AnyRow]:
        """Return `arm_left, arm_right, prompt_id, caption, reports` of reported pairs."""
        reports = func.count(SetAsideRow.id).label("reports")
        found = (
            select(*_ARMS, _asked.prompt_id, _asked.caption, reports)
            .select_from(SetAsideRow)
            .join(AssignmentRow, AssignmentRow.id == SetAsideRow.assignment_id)
            .join(PairRow, PairRow.id == AssignmentRow.pair_id)
            .join(_asked, _asked.id == PairRow.image_a_id)
        )
        return self._session.execute(
            _with_arms(found, PairRow.image_a_id, PairRow.image_b_id)
            .where(SetAsideRow.reason == REPORTED)
            .group_by(_left_arm.name, _right_arm.name, _asked.prompt_id, _asked.caption)
            .order_by(reports.desc(), _asked.prompt_id)
        ).all()

    def comments(self, latest: int | None = None) -> tuple[list[str], Sequence[AnyRow]]:
        """Return the names of the columns, and what raters wrote about pairs, the last first.

        Args:
            latest: no more than these; None for all.
        """
        found = self._session.execute(
            _given(VoteRow.created_at, VoteRow.comment)
            .where(VoteRow.comment.is_not(None))
            .order_by(VoteRow.id.desc())
            .limit(latest)
        )
        return list(found.keys()), found.all()

    def raters(self) -> Sequence[AnyRow]:
        """Return how far each rater came, in the order in which they joined."""
        return self._session.execute(
            select(
                RaterRow.public_id.label("rater"),
                RaterRow.kind.label("rater_kind"),
                RaterRow.joined_at,
                RaterRow.done,
                RaterRow.share,
                RaterRow.implausible,
            ).order_by(RaterRow.id)
        ).all()

    def tallies(self, kind: str) -> Sequence[AnyRow]:
        """`question_id, arm_left, arm_right, answer, votes`: standing answers, gold ones left out.

        Pairs being looked at now are among them, with the answer None.
        """
        stands = and_(
            VoteRow.assignment_id == AssignmentRow.id, VoteRow.revision == AssignmentRow.revision
        )
        votes = func.count(AssignmentRow.id).label("votes")
        found = (
            select(PairRow.question_id, *_ARMS, VoteRow.answer, votes)
            .select_from(AssignmentRow)
            .join(RaterRow, RaterRow.id == AssignmentRow.rater_id)
            .join(PairRow, PairRow.id == AssignmentRow.pair_id)
        )
        return self._session.execute(
            _with_arms(found, AssignmentRow.left_image_id, AssignmentRow.right_image_id)
            .outerjoin(VoteRow, stands)
            .where(
                RaterRow.kind == kind,
                ~PairRow.gold,
                AssignmentRow.state.in_(("open", "answered")),
            )
            .group_by(PairRow.question_id, _left_arm.name, _right_arm.name, VoteRow.answer)
            .order_by(PairRow.question_id, _left_arm.name, _right_arm.name, VoteRow.answer)
        ).all()

    def vote_count(self) -> int:
        """Return how many votes there are, of every kind."""
        return self._session.scalar(select(func.count(VoteRow.id))) or 0

    def extent(self, vote: int, undo: int) -> Extent:
        """Return how much there is up to a vote's and an undo's row id."""

        def up_to(table: type[VoteRow | UndoRow], last: int) -> int:
            counted = select(func.count(table.id)).where(table.id <= last)
            return self._session.scalar(counted) or 0

        deletions = self._session.scalar(select(func.count(DeletionRow.id))) or 0
        return Extent(vote, up_to(VoteRow, vote), undo, up_to(UndoRow, undo), deletions)

    def undone(self, after: int) -> Sequence[AnyRow]:
        """Return `id, assignment` of answers taken back since the undo of that row id."""
        return self._session.execute(
            select(UndoRow.id, AssignmentRow.uid.label("assignment"))
            .join(AssignmentRow, AssignmentRow.id == UndoRow.assignment_id)
            .where(UndoRow.id > after)
            .order_by(UndoRow.id)
        ).all()

    def votes(self, rater: int | None = None, after: int = 0) -> tuple[list[str], Sequence[AnyRow]]:
        """Return the names of the columns of votes.csv that are stored, and one row per vote.

        Rows come in the order in which votes were stored, each with its row `id` as the last
        column. What the other columns mean is written in `analysis.ballots.COLUMNS`.

        Args:
            rater: row id of the one rater whose votes are wanted; None for all raters.
            after: row id of a vote; those stored up to it are left out.
        """
        right_side = case(
            (AssignmentRow.left_image_id == PairRow.image_a_id, "left"), else_="right"
        )
        given = _given(
            VoteRow.seconds,
            VoteRow.created_at,
            AssignmentRow.uid.label("assignment"),
            case((PairRow.gold, right_side), else_="").label("gold"),
            func.coalesce(_repeated.uid, "").label("repeat_of"),
            case((VoteRow.revision == 0, _taken_back), else_=False).label("revised"),
            VoteRow.id,
        )
        found = self._session.execute(
            given.outerjoin(_repeated, _repeated.id == AssignmentRow.repeat_of_id)
            .where(true() if rater is None else RaterRow.id == rater, VoteRow.id > after)
            .order_by(VoteRow.id)
        )
        return list(found.keys()), found.all()


def _given(*columns: Any) -> Select[*tuple[Any, ...]]:
    """Return the votes: what was asked of whom and answered, and these columns."""
    given = (
        select(
            QuestionRow.key.label("question"),
            _asked.prompt_id,
            _asked.replica,
            *_ARMS,
            VoteRow.answer,
            RaterRow.public_id.label("rater"),
            RaterRow.kind.label("rater_kind"),
            *columns,
        )
        .join(AssignmentRow, AssignmentRow.id == VoteRow.assignment_id)
        .join(RaterRow, RaterRow.id == AssignmentRow.rater_id)
        .join(PairRow, PairRow.id == AssignmentRow.pair_id)
        .join(QuestionRow, QuestionRow.id == PairRow.question_id)
        .join(_asked, _asked.id == PairRow.image_a_id)
    )
    return _with_arms(given, AssignmentRow.left_image_id, AssignmentRow.right_image_id)


def _with_arms(
    query: Select[*tuple[Any, ...]],
    left: InstrumentedAttribute[int],
    right: InstrumentedAttribute[int],
) -> Select[*tuple[Any, ...]]:
    """Join the arms that `_ARMS` names: those of the images shown left and right."""
    return (
        query.join(_left, _left.id == left)
        .join(_right, _right.id == right)
        .join(_left_arm, _left_arm.id == _left.arm_id)
        .join(_right_arm, _right_arm.id == _right.arm_id)
    )
