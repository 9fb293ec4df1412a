"""Delete what is stored of a rater who asks for it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from study_app.errors import StudyUsageError
from study_app.rating import Study
from study_app.store import (
    AssignmentRow,
    DeletionRow,
    PracticeAnswerRow,
    QuotaRow,
    RaterRow,
    Repository,
    SetAsideRow,
    UndoRow,
    VoteRow,
    hash_token,
    new_token,
)

PLACES = ("prolific", "mturk", "invite")


@dataclass(frozen=True, slots=True)
class Deletion:
    """What was deleted.

    Attributes:
        votes: the rater's, revisions included.
        kept: they stayed, under a new opaque id that leads to nobody.
    """

    votes: int
    kept: bool


def delete_rater(study: Study, who: str, *, keep_votes: bool = False) -> Deletion:
    """Delete all that is stored of a rater; their link opens nothing any more.

    The pairs they answered are wanted again, unless their votes are kept. That a deletion took
    place, and of how many votes, is written down; not whose.

    Args:
        study: theirs.
        who: the rater's id in votes.csv, or their id at Prolific or Mechanical Turk, or their
            invite.
        keep_votes: cut every tie between the person and the votes, and keep the votes.

    Raises:
        StudyUsageError: nobody is known by that.
        DatabaseError: it could not be stored; nothing was deleted.
    """
    hashes = [study.outside_hash(f"{place}:{who}") for place in PLACES]

    def work(session: Session) -> Deletion:
        repository = Repository(session)
        repository.lock()
        if session.get_bind().dialect.name == "sqlite":
            session.connection().exec_driver_sql("PRAGMA secure_delete = ON")  # overwrite
        known = or_(RaterRow.public_id == who, RaterRow.outside_hash.in_(hashes))
        rater = session.execute(select(RaterRow.id, RaterRow.kind).where(known)).one_or_none()
        if rater is None:
            raise StudyUsageError(
                "Nobody in this study is known by that id. Give the rater's id from votes.csv, or "
                "the id they have at Prolific or Mechanical Turk, exactly as it stands there."
            )
        mine = select(AssignmentRow.id).where(AssignmentRow.rater_id == rater.id)
        votes = session.scalar(
            select(func.count(VoteRow.id)).where(VoteRow.assignment_id.in_(mine))
        )
        session.execute(delete(PracticeAnswerRow).where(PracticeAnswerRow.rater_id == rater.id))
        if keep_votes:
            _cut_ties(session, rater.id)
        else:
            _give_back(session, rater.id, rater.kind)
            for table in (VoteRow, UndoRow, SetAsideRow):
                session.execute(delete(table).where(table.assignment_id.in_(mine)))
            session.execute(
                delete(AssignmentRow).where(
                    AssignmentRow.rater_id == rater.id, AssignmentRow.repeated
                )
            )
            session.execute(delete(AssignmentRow).where(AssignmentRow.rater_id == rater.id))
            session.execute(delete(RaterRow).where(RaterRow.id == rater.id))
        found = Deletion(votes or 0, keep_votes)
        session.execute(
            insert(DeletionRow),
            {"created_at": study.now(), "votes": found.votes, "kept": keep_votes},
        )
        return found

    deleted = study.write(work)
    study.database.checkpoint()
    return deleted


def _cut_ties(session: Session, rater: int) -> None:
    """Leave nothing that leads to the person, and nothing that they wrote."""
    mine = select(AssignmentRow.id).where(AssignmentRow.rater_id == rater)
    session.execute(update(VoteRow).where(VoteRow.assignment_id.in_(mine)).values(comment=None))
    session.execute(
        update(RaterRow)
        .where(RaterRow.id == rater)
        .values(
            public_id=f"r{new_token()[:12]}", token_hash=hash_token(new_token()), outside_hash=None
        )
    )


def _give_back(session: Session, rater: int, kind: str) -> None:
    """Ask for votes again on those of the rater's pairs that filled a quota."""
    taken = select(AssignmentRow.pair_id).where(
        AssignmentRow.rater_id == rater,
        AssignmentRow.state.in_(("open", "answered")),
        AssignmentRow.expires_at.is_not(None),
    )
    session.execute(
        update(QuotaRow)
        .where(QuotaRow.rater_kind == kind, QuotaRow.pair_id.in_(taken))
        .values(taken=QuotaRow.taken - 1)
        .execution_options(synchronize_session=False)
    )
