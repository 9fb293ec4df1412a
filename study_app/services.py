"""What pages and the command line do with a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from .adaptive import Adviser
from .assignment import ArmPairs, Assigned, Recipient, hand_out
from .database import Database, open_database
from .design import ExcludeTable, StudyDesign
from .domain import (
    ANSWERS,
    Answer,
    Completion,
    Entry,
    Feedback,
    Question,
    RaterState,
    Rules,
    ShownPair,
    Stage,
    Stages,
    StudyState,
    Turn,
    VoteOutcome,
    check_answer,
    stage_of,
    too_early,
)
from .entry import Claim, forged, read_claim
from .errors import EntryRefused, StudyUsageError, UnknownRater
from .owner_repository import OwnerRepository
from .passwords import hash_token, is_token, new_token, verify_password
from .repository import Repository
from .schedule import slots
from .secret import keyed_hash, secret_key

if TYPE_CHECKING:
    import pandas as pd

    from .repository import AnyRow

Clock = Callable[[], datetime]
T = TypeVar("T")


def utc_now() -> datetime:
    """The time that votes are stamped with."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class PracticePair:
    """A practice pair as stored; `expected` are the answers that are right."""

    id: int
    shown: ShownPair
    expected: tuple[Answer, ...]
    explanation: str


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
    design: StudyDesign
    source: Path | None  # the study file it was made from
    practice: tuple[PracticePair, ...]
    stages: Stages

    @property
    def language(self) -> str:
        """Of the app's own words, such as `en`."""
        return self.design.pages.language

    @property
    def consent(self) -> str:
        """What raters agree to; empty: the stage is passed over."""
        return self.design.pages.consent

    @property
    def instructions(self) -> str:
        """The owner's instructions; empty: the stage is passed over."""
        return self.design.pages.instructions

    @property
    def break_every(self) -> int:
        """Answers between breaks; 0 for none."""
        return self.rules.break_every

    @property
    def entry(self) -> Entry:
        """Who may take part."""
        return self.design.entry.by

    @property
    def exclude(self) -> ExcludeTable:
        """The rules, set before the first vote, by which raters are left out."""
        return self.design.exclude


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

    def now(self) -> datetime:
        """The time by this study's clock."""
        return self._clock()

    def close(self) -> None:
        """Finish what is being written, then disconnect."""
        self.database.close()

    @cached_property
    def info(self) -> StudyInfo:
        """Design, questions and arms."""
        with self.database.reading() as session:
            return _read_info(Repository(session), self.database.folder or Path())

    # ------------------------------------------------------------------ coming in

    def join(self) -> str:
        """A new person's token; they are who knows it, so it is stored hashed.

        Raises:
            DatabaseError: it could not be stored.
        """
        return self.write(lambda session: self._join(Repository(session), None))

    def admit(self, parameters: Mapping[str, str]) -> str:
        """The token of who comes by a link; the same person gets the same place again.

        Whoever is known elsewhere (Prolific, MTurk) or has a personal invite is one rater on
        every device: the token is new, and opens what the old one opened.

        Args:
            parameters: the address's query parameters.

        Raises:
            EntryRefused: the link does not lead into this study, and why.
            DatabaseError: it could not be stored.
        """
        claim = read_claim(parameters, self.info.entry, self.info.design.entry.study_id)
        return self.write(lambda session: self._admit(Repository(session), claim))

    def _admit(self, repository: Repository, claim: Claim) -> str:
        repository.lock()
        who = claim.outside_id if claim.invite is None else f"invite:{claim.invite}"
        outside = None if who is None else self.outside_hash(who)
        known = None if outside is None else repository.rater_outside(outside)
        if known is not None and outside is not None:
            return self._token_of(outside)
        if claim.invite is not None:
            invite = repository.invite(hash_token(claim.invite))
            if invite is None:
                raise forged("This invitation is not one of this study's.")
            if invite.used:
                raise EntryRefused(
                    "used",
                    "This invitation was used before, and its answers were deleted on request. "
                    "Please ask for a new one if you want to take part again.",
                )
            invite.used = True
        self._require_room(repository)
        return self._join(repository, outside)

    def outside_hash(self, who: str) -> str:
        """The keyed hash by which someone known elsewhere (`prolific:5f…`) is stored."""
        return keyed_hash(self._key, who)

    def _token_of(self, outside_hash: str) -> str:
        """The token of a rater known elsewhere: always the same, and only the secret makes it."""
        return keyed_hash(self._key, f"token:{outside_hash}")[:32]

    def _join(self, repository: Repository, outside_hash: str | None) -> str:
        token = new_token() if outside_hash is None else self._token_of(outside_hash)
        repository.add_rater(
            public_id=f"r{new_token()[:12]}",
            token_hash=hash_token(token),
            kind="person",
            share=self.info.rules.share,
            now=self._clock(),
            outside_hash=outside_hash,
        )
        return token

    def _require_room(self, repository: Repository) -> None:
        if repository.state() == "closed":
            raise EntryRefused(
                "closed",
                "This study has ended. Thank you for your interest; nothing is left to do.",
            )
        now, most = self._clock(), self.info.design.raters.max
        full = most is not None and repository.active_people(now, now - self._lease) >= most
        if full or not repository.pairs_left(now):
            raise EntryRefused(
                "full",
                "This study has all the people it needs just now. Thank you for your interest; "
                "places of those who leave early become free again, so you may try later.",
            )

    def invite(self, count: int) -> list[str]:
        """Tokens of new personal links, told here and nowhere else: `/?invite=TOKEN`."""
        tokens = [new_token() for _ in range(count)]
        hashes = [hash_token(token) for token in tokens]
        self.write(lambda session: Repository(session).add_invites(hashes, self._clock()))
        return tokens

    @cached_property
    def _key(self) -> bytes:
        with self.database.reading() as session:
            return secret_key(Repository(session).study().secret)

    def agree(self, token: str) -> None:
        """The rater agreed to take part; the time is stored, once."""
        self._pass(token, "consented_at")

    def instructed(self, token: str) -> None:
        """The rater has read the instructions; the time is stored, once."""
        self._pass(token, "instructed_at")

    def rested(self, token: str) -> None:
        """The rater's break is over."""

        def work(session: Session) -> None:
            repository = Repository(session)
            rater = self._rater(repository, token)
            repository.set_rater(rater.id, rested=rater.done)

        self.write(work)

    def _pass(self, token: str, column: str) -> None:
        def work(session: Session) -> None:
            repository = Repository(session)
            rater = self._rater(repository, token)
            if getattr(rater, column) is None:
                repository.set_rater(rater.id, **{column: self._clock()})

        self.write(work)

    def practise(self, token: str, pair: str, answer: str) -> Feedback:
        """Answer a practice pair; stored as a try, never as a vote.

        Args:
            token: the rater's.
            pair: `ShownPair.assignment` of the practice pair.
            answer: one of those offered.

        Raises:
            UnknownRater: the token or the pair is not this study's.
            StudyUsageError: not an answer.
        """
        checked = check_answer(answer, self.info.rules.answers)
        items = self.info.practice
        number = next((n for n, item in enumerate(items) if item.shown.assignment == pair), None)
        if number is None:
            raise UnknownRater("This practice pair is not of this study. Reload the page to go on.")
        item = items[number]
        right = checked in item.expected

        def work(session: Session) -> None:
            repository = Repository(session)
            rater = self._rater(repository, token)
            if rater.practised != number:
                return  # a second click on one passed already
            repository.add_practice_answer(rater.id, item.id, checked, right, self._clock())
            if right:
                repository.set_rater(rater.id, practised=number + 1)

        self.write(work)
        return Feedback(right, item.expected, item.explanation)

    # ------------------------------------------------------------------ a rater's way

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
            answer: one of those offered.
            seconds: from the pair's appearance to the click; None when not known.

        Returns:
            `accepted`, or why nothing was stored (see `VoteOutcome`).

        Raises:
            UnknownRater: the token or the assignment is not this study's, or not this rater's.
            StudyUsageError: not an answer.
            DatabaseError: it could not be stored.
        """
        checked = check_answer(answer, self.info.rules.answers)

        def work(session: Session) -> VoteOutcome:
            repository = Repository(session)
            repository.lock()
            rater = self._rater(repository, token)
            row = self._assignment(repository, rater, assignment)
            if row.state == "answered":
                return "repeated"
            if rater.state == "closed":
                return "closed"
            if too_early(seconds, self.info.rules):
                return "too_early"
            if row.state == "gone" or (
                row.state == "lapsed" and not repository.retake(row.pair_id, rater.kind)
            ):
                return "lapsed"
            repository.add_vote(row.id, row.revision, checked, seconds, self._clock())
            undoable = None if row.revision else row.id
            repository.count_answer(rater.id, 1, undoable)
            self._hand_out_ahead(repository, rater)
            return "accepted"

        return self.write(work)

    def undo(self, token: str) -> bool:
        """Take the last answer back: its pair is shown again and answered anew.

        The answer stays in the data, marked as revised. Once a pair: undoing an undo, or nothing,
        changes nothing and returns False.
        """

        def work(session: Session) -> bool:
            repository = Repository(session)
            repository.lock()
            rater = self._rater(repository, token)
            if not self._can_undo(rater):
                return False
            repository.add_undo(rater.undoable_id, self._clock(), self._lease)
            repository.count_answer(rater.id, -1, None)
            return True

        return self.write(work)

    def set_aside(self, token: str, assignment: str, reason: str) -> None:
        """Pass over a pair that can't be shown; another takes its place.

        Where one of its images is truly missing, no pair with that image is handed out any more
        until the owner has put it back (see `resume`). Nothing answered is touched.
        """

        def work(session: Session) -> None:
            repository = Repository(session)
            repository.lock()
            rater = self._rater(repository, token)
            row = self._assignment(repository, rater, assignment)
            if row.state not in ("open", "lapsed"):
                return
            if row.state == "open" and row.expires_at is not None:
                repository.give_back(row.pair_id, rater.kind)
            repository.set_aside(row.id, reason, self._clock())
            repository.count_given(rater.id, -1)
            sides = (row.left_image_id, row.right_image_id)
            missing = [image for image in sides if not self._file(image).is_file()]
            if missing:
                repository.withdraw(missing)

        self.write(work)

    def _turn(self, repository: Repository, token: str) -> tuple[Turn, bool]:
        """The rater's turn, and whether nothing needs to be handed out for it."""
        rater = self._rater(repository, token)
        stage = self._stage(rater)
        if rater.done >= rater.share:
            return self._last_turn(rater, "done"), True
        if stage == "closed":
            return self._last_turn(rater, stage), True
        if stage not in ("pairs", "break"):
            return self._turn_without_pairs(rater, stage), True
        waiting = repository.open_assignments(rater.id)
        lapsed = any(row.state == "lapsed" for row in waiting)
        complete = not lapsed and (len(waiting) >= 2 or rater.given >= rater.share)
        if not waiting:
            return self._last_turn(rater, "done"), complete
        current, upcoming = (*(self._shown(row) for row in waiting[:2]), None)[:2]
        if stage == "break":
            current, upcoming = None, current
        can_undo = self._can_undo(rater)
        return Turn(current, upcoming, rater.done, rater.share, stage, can_undo), complete

    def _last_turn(self, rater: AnyRow, stage: Stage) -> Turn:
        """Nothing is left to answer; who answered anything gets their completion."""
        completion = self._completion(rater) if rater.done or stage == "done" else None
        return Turn(None, None, rater.done, rater.done, stage, completion=completion)

    def _turn_without_pairs(self, rater: AnyRow, stage: Stage) -> Turn:
        current = upcoming = None
        if stage == "practice":
            ahead = [item.shown for item in self.info.practice[rater.practised :]]
            current, upcoming = (*ahead, None)[:2]
        return Turn(current, upcoming, rater.done, rater.share, stage)

    def _stage(self, rater: AnyRow) -> Stage:
        state = RaterState(
            consented=rater.consented_at is not None,
            instructed=rater.instructed_at is not None,
            practised=rater.practised,
            rested=rater.rested,
            done=rater.done,
        )
        return stage_of(state, self.info.stages, rater.state)

    @staticmethod
    def _can_undo(rater: AnyRow) -> bool:
        return rater.state == "open" and rater.undoable_id is not None

    def _shown(self, row: AnyRow) -> ShownPair:
        question_id, caption = self._pairs[row.pair_id]
        question = self.info.questions[question_id]
        return ShownPair(
            assignment=row.uid,
            question=question,
            caption=caption if question.shows_caption else "",
            left=self._image_names[row.left_image_id],
            right=self._image_names[row.right_image_id],
            answers=self.info.rules.answers,
            again=row.revision > 0,
        )

    def _hand_out_ahead(self, repository: Repository, rater: AnyRow) -> None:
        """Give the rater a current and an upcoming pair, as far as there are any."""
        now, given = self._clock(), rater.given
        waiting = 0
        for row in repository.open_assignments(rater.id):
            if row.state == "open":
                waiting += 1
            elif repository.retake(row.pair_id, rater.kind):
                repository.renew(row.id, now + self._lease)
                waiting += 1
            else:
                repository.set_assignment_state(row.id, "gone")
                repository.count_given(rater.id, -1)
                given -= 1
        for extra in range(min(2 - waiting, rater.share - given)):
            to = Recipient(rater.id, rater.kind, given + extra)
            if self.assign(repository, to, new_token(), now) is None:
                return

    def assign(
        self, repository: Repository, to: Recipient, uid: str, now: datetime
    ) -> Assigned | None:
        """Hand one more pair to a rater (see `assignment.hand_out`)."""
        order = slots(self.info.seed, to.id, self.info.rules)
        questions = list(self.info.questions)
        arm_pairs: ArmPairs = lambda _question: []  # noqa: E731
        if self._adviser is not None:
            questions = repository.unsettled()
            arm_pairs = partial(self._advised, repository.session, to)
        return hand_out(
            repository,
            to,
            order[to.given] if to.given < len(order) else "plain",
            question_ids=questions,
            lease=self._lease,
            uid=uid,
            now=now,
            arm_pairs=arm_pairs,
        )

    def _advised(self, session: Session, to: Recipient, question_id: int) -> list[int]:
        assert self._adviser is not None
        return self._adviser.order(
            session, to.kind, question_id, seed=self.info.seed, rater=to.id, given=to.given
        )

    @cached_property
    def _adviser(self) -> Adviser | None:
        """What chooses arm pairs in an adaptive study; None in a balanced one."""
        votes = self.info.design.votes
        if votes.scheduling == "balanced":
            return None
        return Adviser(list(self.info.arms), self._read, self._settle, votes.stop, self._all_votes)

    def _read(self, work: Callable[[Session], T]) -> T:
        with self.database.reading() as session:
            return work(session)

    def _settle(self, reasons: dict[str, str]) -> None:
        self.write(lambda session: Repository(session).settle(reasons))

    def _all_votes(self) -> pd.DataFrame:
        from .export import votes_frame

        return votes_frame(self)

    @property
    def _lease(self) -> timedelta:
        return timedelta(minutes=self.info.design.raters.lease_minutes)

    def _completion(self, rater: AnyRow) -> Completion | None:
        wanted = self.info.design.completion
        if wanted is None:
            return None
        code = wanted.code or self.completion_code(rater.public_id)
        redirect = wanted.redirect.replace("{code}", code) if wanted.redirect else None
        return Completion(code, redirect)

    def completion_code(self, public_id: str) -> str:
        """The code of one rater, where each has their own."""
        return keyed_hash(self._key, f"completion:{public_id}")[:10].upper()

    @staticmethod
    def _rater(repository: Repository, token: str) -> AnyRow:
        rater = repository.rater(hash_token(token)) if is_token(token) else None
        if rater is None:
            raise UnknownRater("This link is not of this study. Start again to get a new one.")
        return rater

    @staticmethod
    def _assignment(repository: Repository, rater: AnyRow, uid: str) -> AnyRow:
        row = repository.assignment(uid, rater.id) if is_token(uid) else None
        if row is None:
            raise UnknownRater("This pair was not given to this rater. Reload the page to go on.")
        return row

    def write(self, work: Callable[[Session], T]) -> T:
        """The result of `work` in a transaction of its own, once it is durable."""
        with self.database.explaining():
            return self.database.writer.run(work)

    # ------------------------------------------------------------------ images

    @cached_property
    def _pairs(self) -> dict[int, tuple[int, str]]:
        """Question and caption of every pair: pairs never change, so they are read once."""
        with self.database.reading() as session:
            return Repository(session).captions()

    @cached_property
    def _image_names(self) -> dict[int, str]:
        with self.database.reading() as session:
            return Repository(session).names_by_image()

    @cached_property
    def _known_names(self) -> frozenset[str]:
        return frozenset(self._image_names.values())

    def image_path(self, name: str) -> Path | None:
        """The file of an opaque name; None when there is no such image."""
        return self.info.image_root / f"{name}.png" if name in self._known_names else None

    def _file(self, image: int) -> Path:
        return self.info.image_root / f"{self._image_names[image]}.png"

    # ------------------------------------------------------------------ for the owner

    def is_owner(self, password: str) -> bool:
        """Whether this is the owner's password."""
        return verify_password(password, self.info.password_hash)

    @property
    def state(self) -> StudyState:
        """`open`, `paused` or `closed`, as it is now."""
        with self.database.reading() as session:
            return Repository(session).state()  # pyright: ignore[reportReturnType]

    def pause(self) -> None:
        """Hand out nothing for now; answers to pairs already shown still count."""
        self._set_state("paused")

    def resume(self) -> None:
        """Go on after a pause; pairs whose images are all there again are handed out again."""
        self._set_state("open")
        present = [image for image in self._image_names if self._file(image).is_file()]
        self.write(lambda session: Repository(session).restore(present))

    def close_voting(self) -> None:
        """End the study: no vote is taken any more."""
        self._set_state("closed")

    def _set_state(self, state: StudyState) -> None:
        def work(session: Session) -> None:
            repository = Repository(session)
            repository.lock()
            if repository.state() == "closed" and state != "closed":
                raise StudyUsageError(
                    "This study is closed, and closed studies stay so: their votes may have been "
                    "analysed. To ask for more, fork it: `glide-eval study fork`."
                )
            repository.set_state(state)

        self.write(work)

    def progress(self) -> Progress:
        """Votes wanted and raters so far."""
        with self.database.reading() as session:
            repository = OwnerRepository(session)
            return Progress(repository.wanted_by_question(), repository.rater_counts())


def _read_info(repository: Repository, folder: Path) -> StudyInfo:
    row = repository.study()
    design = StudyDesign.model_validate_json(row.design)
    rules = design.rules()
    names = repository.names_by_image()
    questions = {
        question.id: Question(question.key, question.text, question.shows_caption)
        for question in repository.questions()
    }
    practice = tuple(
        PracticePair(
            id=item.id,
            shown=ShownPair(
                assignment=item.uid,
                question=questions[item.question_id],
                caption=item.caption if questions[item.question_id].shows_caption else "",
                left=names[item.left_image_id],
                right=names[item.right_image_id],
                answers=rules.answers,
                practice=True,
            ),
            expected=tuple(check_answer(one, ANSWERS) for one in item.expected.split(",")),
            explanation=item.explanation,
        )
        for item in repository.practice()
    )
    width, height = (int(side) for side in row.image_size.split("x"))
    return StudyInfo(
        name=row.name,
        seed=row.seed,
        created_at=row.created_at,
        rules=rules,
        questions=questions,
        arms={arm.name: arm.label for arm in repository.arms()},
        image_size=(width, height),
        image_root=folder / row.image_root,
        password_hash=row.password_hash,
        design=design,
        source=None if row.source is None else Path(row.source),
        practice=practice,
        stages=Stages(
            consent=bool(design.pages.consent.strip()),
            instructions=bool(design.pages.instructions.strip()),
            practice=len(practice),
            break_every=rules.break_every,
        ),
    )
