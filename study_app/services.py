"""What pages and the command line do with a study."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from .assignment import Assigned, hand_out
from .database import Database, open_database
from .domain import (
    Question,
    RaterKind,
    Rules,
    ShownPair,
    Turn,
    VoteOutcome,
    check_answer,
    too_early,
)
from .errors import UnknownRater
from .passwords import hash_token, new_token, verify_password
from .repository import Repository

if TYPE_CHECKING:
    from .repository import AnyRow

Clock = Callable[[], datetime]
T = TypeVar("T")


def utc_now() -> datetime:
    """The time that votes are stamped with."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class StudyInfo:
    """What is fixed when a study is created."""

    name: str
    seed: int
    created_at: datetime
    rules: Rules
    questions: dict[int, Question]  # by row id, in the study's order
    arms: dict[str, str]  # name → label, in the run's order
    image_size: tuple[int, int]  # width, height in pixels
    image_root: Path
    password_hash: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a study is.

    Attributes:
        wanted: votes wanted of people, by question key; as many again of simulated raters.
        raters: raters who joined, by kind.
    """

    wanted: dict[str, int]
    raters: dict[str, int]


class Study:
    """An open study; safe to use from many threads.

    Args:
        database: one that holds a study.
        clock: stamps joins, assignments and votes.
    """

    def __init__(self, database: Database, clock: Clock = utc_now) -> None:
        self.database = database
        self._clock = clock

    @classmethod
    def open(cls, url: URL, clock: Clock = utc_now, *, writable: bool = False) -> Study:
        """The study in a database.

        Raises:
            DatabaseError: missing, locked, foreign or out of reach.
        """
        study = cls(open_database(url, writable=writable), clock)
        _ = study.info  # whatever is wrong shows now
        return study

    def close(self) -> None:
        """Finish what is being written, then disconnect."""
        self.database.close()

    @cached_property
    def info(self) -> StudyInfo:
        """Rules, questions and arms."""
        with self.database.reading() as session:
            repository = Repository(session)
            row = repository.study()
            width, height = (int(side) for side in row.image_size.split("x"))
            return StudyInfo(
                name=row.name,
                seed=row.seed,
                created_at=row.created_at,
                rules=Rules(row.votes_per_pair, row.pairs_per_rater, row.min_seconds),
                questions={
                    question.id: Question(question.key, question.text, question.shows_caption)
                    for question in repository.questions()
                },
                arms={arm.name: arm.label for arm in repository.arms()},
                image_size=(width, height),
                image_root=(self.database.folder or Path()) / row.image_root,
                password_hash=row.password_hash,
            )

    # ------------------------------------------------------------------ a rater's way

    def join(self) -> str:
        """A new person's token; they are who knows it, so it is stored hashed.

        Raises:
            DatabaseError: it could not be stored.
        """
        token = new_token()

        def work(session: Session) -> None:
            Repository(session).add_rater(
                public_id=f"r{new_token()[:12]}",
                token_hash=hash_token(token),
                kind="person",
                share=self.info.rules.pairs_per_rater,
                now=self._clock(),
            )

        self.write(work)
        return token

    def turn(self, token: str) -> Turn:
        """What this rater sees now; the same pair until it is answered.

        Raises:
            UnknownRater: nobody was given this token.
            DatabaseError: the database can't answer.
        """
        with self.database.reading() as session:
            turn, complete = self._turn(Repository(session), token)
        if complete:
            return turn

        def work(session: Session) -> Turn:
            repository = Repository(session)
            repository.lock()
            self._hand_out_ahead(repository, self._rater(repository, token))
            return self._turn(repository, token)[0]

        return self.write(work)

    def vote(self, token: str, assignment: str, answer: str, seconds: float | None) -> VoteOutcome:
        """Store an answer; returns after it is durable.

        Args:
            token: the rater's.
            assignment: `ShownPair.assignment` of the pair that was clicked.
            answer: left, right or tie.
            seconds: from the pair's appearance to the click; None when not known.

        Returns:
            `accepted`; `repeated` when it had its answer before, which stands; `too_early` when
            the pair had not been seen, and nothing was stored.

        Raises:
            UnknownRater: the token or the assignment is not this study's, or not this rater's.
            DatabaseError: it could not be stored.
        """
        checked = check_answer(answer)

        def work(session: Session) -> VoteOutcome:
            repository = Repository(session)
            repository.lock()
            rater = self._rater(repository, token)
            row = repository.assignment(assignment, rater.id)
            if row is None:
                raise UnknownRater(
                    "This pair was not given to this rater. Reload the page to go on."
                )
            if row.voted:
                return "repeated"
            if too_early(seconds, self.info.rules):
                return "too_early"
            repository.add_vote(row.id, checked, seconds, self._clock())
            if row.lapsed:
                repository.retake(row.pair_id, rater.kind)
            self._hand_out_ahead(repository, rater)
            return "accepted"

        return self.write(work)

    def _turn(self, repository: Repository, token: str) -> tuple[Turn, bool]:
        """The rater's turn, and whether nothing needs to be handed out for it."""
        rater = self._rater(repository, token)
        waiting = [self._shown(row) for row in repository.open_assignments(rater.id)]
        done = repository.count_done(rater.id)
        current, upcoming = (*waiting, None, None)[:2]
        turn = Turn(current, upcoming, done, rater.share if current else done)
        return turn, len(waiting) == 2 or done + len(waiting) >= rater.share

    def _shown(self, row: AnyRow) -> ShownPair:
        question = self.info.questions[row.question_id]
        caption = row.caption if question.shows_caption else ""
        return ShownPair(row.uid, question, caption, row.left, row.right)

    def _hand_out_ahead(self, repository: Repository, rater: AnyRow) -> None:
        """Give the rater a current and an upcoming pair, as far as there are any."""
        given = repository.count_given(rater.id)
        missing = min(2 - len(repository.open_assignments(rater.id)), rater.share - given)
        for extra in range(missing):
            found = self.assign(repository, rater.id, rater.kind, given + extra, new_token())
            if found is None:
                return

    def assign(
        self,
        repository: Repository,
        rater: int,
        kind: RaterKind,
        given: int,
        uid: str,
        now: datetime | None = None,
    ) -> Assigned | None:
        """Hand one more pair to a rater (see `assignment.hand_out`)."""
        return hand_out(
            repository,
            rater=rater,
            kind=kind,
            given=given,
            question_ids=list(self.info.questions),
            wanted=self.info.rules.votes_per_pair,
            uid=uid,
            now=now or self._clock(),
        )

    @staticmethod
    def _rater(repository: Repository, token: str) -> AnyRow:
        rater = repository.rater(hash_token(token))
        if rater is None:
            raise UnknownRater("This link is not of this study. Start again to get a new one.")
        return rater

    def write(self, work: Callable[[Session], T]) -> T:
        """The result of `work` in a transaction of its own, once it is durable."""
        with self.database.explaining():
            return self.database.writer.run(work)

    # ------------------------------------------------------------------ images

    @cached_property
    def _image_names(self) -> set[str]:
        with self.database.reading() as session:
            return Repository(session).image_names()

    def image_path(self, name: str) -> Path | None:
        """The file of an opaque name; None when there is no such image."""
        return self.info.image_root / f"{name}.png" if name in self._image_names else None

    # ------------------------------------------------------------------ for the owner

    def is_owner(self, password: str) -> bool:
        """Whether this is the owner's password."""
        return verify_password(password, self.info.password_hash)

    def progress(self) -> Progress:
        """Votes wanted and raters so far."""
        with self.database.reading() as session:
            repository = Repository(session)
            return Progress(
                repository.wanted_by_question(self.info.rules.votes_per_pair),
                repository.rater_counts(),
            )
