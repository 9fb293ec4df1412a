"""A rater's turn: what they see, and the pairs handed out for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from study_app.rules import (
    Ballot,
    Completion,
    RaterState,
    ShownPair,
    Stage,
    Turn,
    VoteOutcome,
    Watch,
    check_answer,
    slots,
    stage_of,
    too_early,
    watched,
)
from study_app.store import Repository, StudyInfo, keyed_hash, new_token

from .adaptive import Adviser
from .assignment import ArmPairs, Assigned, Recipient, hand_out

if TYPE_CHECKING:
    from study_app.store import AnyRow


class Turns:
    """Works out turns, in whatever session it is given.

    Args:
        info: of the study.
        clock: stamps assignments.
        key: of the study's secret; asked for when a completion code is made.
        pairs: question's row id and caption of every pair: pairs never change.
        names: the opaque name of every image.
        adviser: what chooses arm pairs in an adaptive study; None in a balanced one.
    """

    def __init__(
        self,
        info: StudyInfo,
        clock: Callable[[], datetime],
        key: Callable[[], bytes],
        pairs: Mapping[int, tuple[int, str]],
        names: Mapping[int, str],
        adviser: Adviser | None,
    ) -> None:
        self._info = info
        self._clock = clock
        self._key = key
        self._pairs = pairs
        self._names = names
        self._adviser = adviser

    def turn(self, repository: Repository, rater: AnyRow) -> tuple[Turn, bool]:
        """Return the rater's turn, and whether it is complete without handing out a pair."""
        if (turn := self._turn_without_pairs(rater)) is not None:
            return turn, True
        waiting = repository.open_assignments(rater.token_hash)
        lapsed = any(row.state == "lapsed" for row in waiting)
        complete = not lapsed and (len(waiting) >= 2 or rater.given >= rater.share)
        return self._turn_of(rater, waiting), complete

    def next_turn(self, repository: Repository, rater: AnyRow, waiting: Sequence[AnyRow]) -> Turn:
        """Assign the rater a current and a next pair if any remain, and return the turn.

        Args:
            repository: of the session to write in, locked.
            rater: as they are now.
            waiting: all of their open and lapsed assignments.
        """
        if (turn := self._turn_without_pairs(rater)) is not None:
            return turn
        return self._turn_of(rater, self._hand_out_ahead(repository, rater, waiting))

    def answer(
        self,
        repository: Repository,
        rater: AnyRow,
        row: AnyRow,
        waiting: Sequence[AnyRow],
        ballot: Ballot,
        *,
        trusted: bool,
    ) -> tuple[VoteOutcome, Turn | None]:
        """Store an answer; return the outcome, and the rater's next turn if it was accepted.

        Args:
            repository: of the session to write in, locked.
            rater: as they are now.
            row: the assignment that is answered.
            waiting: all of their open and lapsed assignments.
            ballot: the answer.
            trusted: its seconds were measured by the caller, not claimed by a browser.

        Raises:
            StudyUsageError: the question does not offer the answer.
        """
        question_id, _ = self._pairs[row.pair_id]
        check_answer(ballot.answer, self._info.rules.answers_to(self._info.questions[question_id]))
        now = self._clock()
        since: float | None = None if trusted else rater.since
        elapsed = None if since is None else now.timestamp() - since
        watch = watched(ballot.seconds, elapsed, self._info.rules)
        refusal = _stale(row, ballot) or self._refusal(repository, rater, row, watch)
        if refusal is None and not trusted and self._is_ahead(rater, row, waiting):
            refusal = "not_shown"
        if refusal is not None:
            return refusal, None
        comment = ballot.comment if self._info.design.votes.comments else None
        repository.add_vote(row.id, row.revision, ballot.answer, watch.seconds, now, comment)
        # An answer is taken back once per pair at most (see `Study.undo`).
        undoable = None if row.revision else row.id
        repository.count_answer(rater.id, 1, undoable, now, implausible=watch.implausible)
        rater = rater._replace(done=rater.done + 1, undoable_id=undoable)
        # From memory and not read again: a vote costs one round trip to the database less.
        others = [one for one in waiting if one.id != row.id]
        return "accepted", self.next_turn(repository, rater, others)

    def _refusal(
        self, repository: Repository, rater: AnyRow, row: AnyRow, watch: Watch
    ) -> VoteOutcome | None:
        """Return why an answer to a pair that has none can't be taken; None if it can."""
        if rater.state == "closed":
            return "closed"
        if watch.hasty or too_early(watch.claimed, self._info.rules):
            return "too_early"
        gone = row.state == "lapsed" and not repository.retake(row.pair_id, rater.kind)
        return "lapsed" if gone or row.state == "gone" else None

    def _is_ahead(self, rater: AnyRow, row: AnyRow, waiting: Sequence[AnyRow]) -> bool:
        """Whether a pair is the rater's, and not yet on their page."""
        return waiting[0].id != row.id or self._stage(rater) == "break"

    def _turn_without_pairs(self, rater: AnyRow) -> Turn | None:
        """Return the turn of a rater who waits for no pair; None for a rater who does."""
        stage = self._stage(rater)
        if rater.done >= rater.share:
            return self._last_turn(rater, "done")
        if stage == "closed":
            return self._last_turn(rater, stage)
        if stage in ("pairs", "break"):
            return None
        current = upcoming = None
        if stage == "practice":
            ahead = [item.shown for item in self._info.practice[rater.practised :]]
            current, upcoming = (*ahead, None)[:2]
        read = rater.instructed_at is not None
        return Turn(current, upcoming, rater.done, rater.share, stage, instructed=read)

    def _turn_of(self, rater: AnyRow, waiting: Sequence[AnyRow | Assigned]) -> Turn:
        """Return the turn of a rater for whom these pairs wait."""
        if not waiting:
            return self._last_turn(rater, "done")
        stage = self._stage(rater)
        current, upcoming = (*(self._shown(row) for row in waiting[:2]), None)[:2]
        if stage == "break":
            # The next pair loads behind the break, so that it shows at once afterwards.
            current, upcoming = None, current
        return Turn(
            current,
            upcoming,
            rater.done,
            rater.share,
            stage,
            can_undo=self.can_undo(rater),
            instructed=rater.instructed_at is not None,
        )

    def _last_turn(self, rater: AnyRow, stage: Stage) -> Turn:
        """Return the turn of a rater who has nothing left to answer."""
        completion = self._completion(rater) if rater.done or stage == "done" else None
        return Turn(None, None, rater.done, rater.done, stage, completion=completion)

    def _stage(self, rater: AnyRow) -> Stage:
        state = RaterState(
            consented=rater.consented_at is not None,
            instructed=rater.instructed_at is not None,
            practised=rater.practised,
            rested=rater.rested,
            done=rater.done,
        )
        return stage_of(state, self._info.stages, rater.state)

    @staticmethod
    def can_undo(rater: AnyRow) -> bool:
        """Whether the rater's last answer can be taken back."""
        return rater.state == "open" and rater.undoable_id is not None

    def _shown(self, row: AnyRow | Assigned) -> ShownPair:
        question_id, caption = self._pairs[row.pair_id]
        question = self._info.questions[question_id]
        return ShownPair(
            assignment=row.uid,
            question=question,
            caption=caption if question.shows_caption else "",
            left=self._names[row.left_image_id],
            right=self._names[row.right_image_id],
            answers=self._info.rules.answers_to(question),
            again=row.revision > 0,
        )

    def _hand_out_ahead(
        self, repository: Repository, rater: AnyRow, before: Sequence[AnyRow]
    ) -> list[AnyRow | Assigned]:
        """Return the current and the next pair: the rater's own, then new ones of the study."""
        now, given = self._clock(), rater.given
        if not before:
            repository.begin(rater.id, now)
        waiting: list[AnyRow | Assigned] = []
        for row in before:
            if row.state == "open":
                waiting.append(row)
            elif repository.retake(row.pair_id, rater.kind):
                repository.renew(row.id, now + self.lease)
                waiting.append(row)
            else:
                repository.set_assignment_state(row.id, "gone")
                repository.count_given(rater.id, -1)
                given -= 1
        for extra in range(min(2 - len(waiting), rater.share - given)):
            to = Recipient(rater.id, rater.kind, given + extra)
            assigned = self.assign(repository, to, new_token(), now)
            if assigned is None:
                break
            waiting.append(assigned)
        return waiting

    def assign(
        self, repository: Repository, to: Recipient, uid: str, now: datetime
    ) -> Assigned | None:
        """Hand one more pair to a rater (see `assignment.hand_out`)."""
        order = slots(self._info.seed, to.id, self._info.rules)
        questions = list(self._info.questions)
        arm_pairs: ArmPairs = lambda _question: []  # noqa: E731
        if self._adviser is not None:
            questions = repository.unsettled()
            arm_pairs = partial(self._advised, repository.session, to)
        return hand_out(
            repository,
            to,
            order[to.given] if to.given < len(order) else "plain",
            question_ids=questions,
            lease=self.lease,
            uid=uid,
            now=now,
            together=self._info.rules.together > 1,
            arm_pairs=arm_pairs,
        )

    def _advised(self, session: Session, to: Recipient, question_id: int) -> list[int]:
        assert self._adviser is not None
        return self._adviser.order(
            session, to.kind, question_id, seed=self._info.seed, rater=to.id, given=to.given
        )

    @property
    def lease(self) -> timedelta:
        """How long a pair is a rater's."""
        return timedelta(minutes=self._info.design.raters.lease_minutes)

    def _completion(self, rater: AnyRow) -> Completion | None:
        wanted = self._info.design.completion
        if wanted is None:
            return None
        code = wanted.code or self.completion_code(rater.public_id)
        redirect = wanted.redirect.replace("{code}", code) if wanted.redirect else None
        return Completion(code, redirect)

    def completion_code(self, public_id: str) -> str:
        """Return one rater's own completion code."""
        return keyed_hash(self._key(), f"completion:{public_id}")[:10].upper()


def _stale(row: AnyRow, ballot: Ballot) -> VoteOutcome | None:
    """Return whether an answer is one that came before."""
    late = ballot.again not in (None, row.revision > 0)
    return "repeated" if late or row.state == "answered" else None
