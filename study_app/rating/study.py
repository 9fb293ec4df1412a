"""An open study: everything that pages and commands do with it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from analysis.ballots import ANSWERS
from study_app.errors import EntryRefused, StudyUsageError, UnknownRater
from study_app.rules import (
    Ballot,
    Claim,
    Feedback,
    StudyState,
    Turn,
    VoteOutcome,
    check_answer,
    read_claim,
)
from study_app.store import (
    REPORTED,
    Database,
    GrowingVotes,
    OwnerRepository,
    Repository,
    StudyInfo,
    hash_token,
    is_token,
    new_token,
    open_database,
    read_info,
    secret_key,
    verify_password,
)

from .adaptive import Adviser
from .admission import Admission
from .assignment import Assigned, Recipient
from .limits import MOST_REPORTS
from .screening import Screening
from .turns import Turns

if TYPE_CHECKING:
    import pandas as pd

    from study_app.store import AnyRow

Clock = Callable[[], datetime]
T = TypeVar("T")


def utc_now() -> datetime:
    """Return the time that votes are stamped with."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a study is.

    Attributes:
        wanted: votes wanted of people, by question key; as many again of simulated raters.
        raters: raters who joined, by kind.
    """

    wanted: dict[str, int]
    raters: dict[str, int]


@dataclass(frozen=True, slots=True)
class RaterProgress:
    """How far one rater is.

    Attributes:
        answered: pairs answered.
        asked: pairs that they are asked about in all.
        implausible: answers whose time, as the browser claimed it, was longer than the server saw.
    """

    answered: int = 0
    asked: int = 0
    implausible: int = 0


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
        """Open the study in a database.

        Raises:
            DatabaseError: missing, locked, foreign or out of reach.
        """
        study = cls(open_database(url, writable=writable), clock)
        _ = study.info  # whatever is wrong shows now
        if writable:
            _ = study._turns  # read before raters wait for it
        return study

    def now(self) -> datetime:
        """Return the time by this study's clock."""
        return self._clock()

    def close(self) -> None:
        """Finish what is being written, then disconnect."""
        self.database.close()

    @cached_property
    def info(self) -> StudyInfo:
        """Design, questions and arms."""
        with self.database.reading() as session:
            return read_info(Repository(session), self.database.folder or Path())

    # ------------------------------------------------------------------ coming in

    def join(self) -> str:
        """Add a person, and return their token, which is stored only as a hash.

        Raises:
            DatabaseError: it could not be stored.
        """
        return self.write(lambda session: self._admission.join(Repository(session)))

    def admit(self, parameters: Mapping[str, str], visit: str | None = None) -> str:
        """Return the token of a person who comes by a link; they get the same place each time.

        Whoever is known elsewhere (Prolific, MTurk) or has a personal invite is one rater on
        every device: the token is new, and opens what the old one opened.

        Args:
            parameters: the address's query parameters.
            visit: an unguessable id of a page; a stranger who is let in by it twice, since the
                first answer was lost on its way, is one rater. None: a new rater each time.

        Raises:
            EntryRefused: the link does not lead into this study, and why.
            DatabaseError: it could not be stored.
        """
        claim = read_claim(parameters, self.info.entry, self.info.design.entry.study_id)
        if claim == Claim() and visit is not None:
            claim = Claim(outside_id=f"visit:{visit}")

        def work(session: Session) -> str:
            return self._admission.admit(Repository(session), claim)

        try:
            return self.write(work)
        except EntryRefused as refused:
            if refused.reason != "full" or not self._screening.all():
                raise
            return self.write(work)  # pairs of excluded raters have come back meanwhile

    def outside_hash(self, who: str) -> str:
        """Return the keyed hash that stands for an id from elsewhere (`prolific:5f…`)."""
        return self._admission.outside_hash(who)

    def invite(self, count: int) -> list[str]:
        """Return tokens of new personal links (`/?invite=TOKEN`). Only their hashes are stored.

        Raises:
            StudyUsageError: this study is not entered by invitation.
        """
        if self.info.entry not in ("open", "invite"):
            raise StudyUsageError(
                f"People come to this study by {self.info.entry} alone, so no invitation would "
                'open it. Expected `[entry] by = "invite"` or "open" when it was created; to '
                "begin one like it, fork it: `glide-eval study fork`."
            )
        tokens = [new_token() for _ in range(count)]
        hashes = [hash_token(token) for token in tokens]
        self.write(lambda session: Repository(session).add_invites(hashes, self._clock()))
        return tokens

    @cached_property
    def _admission(self) -> Admission:
        return Admission(self.info, self._clock, lambda: self._key)

    @cached_property
    def _screening(self) -> Screening:
        return Screening(self.database, self.info, self.votes_so_far)

    @cached_property
    def _key(self) -> bytes:
        with self.database.reading() as session:
            return secret_key(Repository(session).study().secret)

    def agree(self, token: str) -> None:
        """Store when the rater agreed to take part, and to which text; the first time stands."""
        self._pass(token, "consented_at", consented_to=self.info.consent_version)

    def instructed(self, token: str) -> None:
        """Store when the rater had read the instructions; the first time stands."""
        self._pass(token, "instructed_at")

    def rested(self, token: str) -> None:
        """End the rater's break."""

        def work(session: Session) -> None:
            repository = Repository(session)
            rater = self._rater(repository, token)
            since = self._clock().timestamp()
            repository.set_rater(rater.id, rested=rater.done, since=since)

        self.write(work)

    def _pass(self, token: str, column: str, **also: str) -> None:
        def work(session: Session) -> None:
            repository = Repository(session)
            rater = self._rater(repository, token)
            if getattr(rater, column) is None:
                repository.set_rater(rater.id, **{column: self._clock()}, **also)

        self.write(work)

    def practise(self, token: str, pair: str, answer: str) -> Feedback:
        """Answer a practice pair. The answer is stored as a try, never as a vote.

        Args:
            token: the rater's.
            pair: `ShownPair.assignment` of the practice pair.
            answer: one of those offered.

        Raises:
            UnknownRater: the token or the pair is not this study's.
            StudyUsageError: not an answer.
        """
        items = self.info.practice
        number = next((n for n, item in enumerate(items) if item.shown.assignment == pair), None)
        if number is None:
            raise UnknownRater("This practice pair is not of this study. Reload the page to go on.")
        item = items[number]
        checked = check_answer(answer, item.shown.answers)
        right = checked in item.expected or ANSWERS[checked].plain in item.expected

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
        """Return what this rater sees now: the same pair until it is answered.

        Raises:
            UnknownRater: nobody was given this token.
            DatabaseError: the database can't answer.
        """
        with self.database.reading() as session:
            repository = Repository(session)
            turn, complete = self._turns.turn(repository, self._rater(repository, token))
        if complete:
            return turn

        def work(session: Session) -> Turn:
            repository = Repository(session)
            repository.lock()
            rater = self._rater(repository, token)
            waiting = repository.open_assignments(rater.token_hash)
            return self._turns.next_turn(repository, rater, waiting)

        return self.write(work, pipelined=True)

    def vote(self, token: str, assignment: str, answer: str, seconds: float | None) -> VoteOutcome:
        """Store an answer, and return after it is durable.

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
        return self.vote_and_turn(token, assignment, answer, seconds)[0]

    def vote_and_turn(
        self, token: str, assignment: str, answer: str, seconds: float | None
    ) -> tuple[VoteOutcome, Turn | None]:
        """Do as `vote` does, and return the rater's next turn if the answer was accepted.

        The turn is of the vote's own transaction, which knows it without asking again.
        """
        checked = check_answer(answer, ANSWERS)
        return self._take(token, Ballot(assignment, checked, seconds), trusted=True)

    def cast(self, token: str, ballot: Ballot) -> tuple[VoteOutcome, Turn | None]:
        """Do as `vote_and_turn` does with what a browser says, which may be forged or late.

        The time it claims is bounded by what the server saw (see `rules.watched`).
        """
        return self._take(token, ballot, trusted=False)

    def _take(
        self, token: str, ballot: Ballot, *, trusted: bool
    ) -> tuple[VoteOutcome, Turn | None]:
        def work(session: Session) -> tuple[int, VoteOutcome, Turn | None]:
            repository = Repository(session)
            repository.lock()
            rater, row, waiting = self._voter(repository, token, ballot.assignment)
            answer = self._turns.answer(repository, rater, row, waiting, ballot, trusted=trusted)
            return rater.id, *answer

        rater, outcome, turn = self.write(work, pipelined=True)
        if turn is not None and turn.stage == "done":
            self._screening.one(rater)
        return outcome, turn

    def undo(self, token: str, done: int | None = None) -> bool:
        """Take the last answer back: its pair is shown again and answered anew.

        The answer stays in the data, marked as revised. Once a pair: undoing an undo, or nothing,
        changes nothing and returns False.

        Args:
            token: the rater's.
            done: how many answers the rater had when they asked; with another number by now it is
                a late duplicate and changes nothing. None: not asked.
        """

        def work(session: Session) -> bool:
            repository = Repository(session)
            repository.lock()
            rater = self._rater(repository, token)
            if not self._turns.can_undo(rater) or done not in (None, rater.done):
                return False
            now = self._clock()
            repository.add_undo(rater.undoable_id, now, self._turns.lease)
            repository.count_answer(rater.id, -1, None, now, implausible=False)
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
            rater, row, _ = self._voter(repository, token, assignment)
            if row.state not in ("open", "lapsed"):
                return
            if row.state == "open" and row.expires_at is not None:
                repository.give_back(row.pair_id, rater.kind)
            repository.set_aside(row.id, _plain(reason), self._clock())
            repository.count_given(rater.id, -1)
            sides = (row.left_image_id, row.right_image_id)
            missing = [image for image in sides if not self._file(image).is_file()]
            if missing:
                repository.withdraw(missing)
            if reason == REPORTED:
                self._keep_images_from(repository, rater, row.pair_id)

        self.write(work)

    def _keep_images_from(self, repository: Repository, rater: AnyRow, pair: int) -> None:
        """Ask a rater no other question about the two images of a pair."""
        for other in repository.other_questions(rater.id, pair):
            if other.assignment_id is None:
                repository.keep_from(rater.id, other, new_token(), self._clock())
            elif other.state in ("open", "lapsed"):
                if other.state == "open" and other.expires_at is not None:
                    repository.give_back(other.pair_id, rater.kind)
                repository.set_assignment_state(other.assignment_id, "gone")
                repository.count_given(rater.id, -1)

    def report(self, token: str, assignment: str) -> bool:
        """Pass over a pair that its rater does not want to look at; the owner is told which.

        The rater is asked no other question about its two images.

        Only the pair on their page can be reported, and only so many (`MOST_REPORTS`).

        Returns:
            Whether the pair was passed over.
        """
        current = self.turn(token).current
        if current is None or current.assignment != assignment or current.practice:
            return False
        with self.database.reading() as session:
            repository = Repository(session)
            rater = self._rater(repository, token)
            if repository.reports(rater.id) >= MOST_REPORTS:
                return False
        self.set_aside(token, assignment, REPORTED)
        return True

    def assign(
        self, repository: Repository, to: Recipient, uid: str, now: datetime
    ) -> Assigned | None:
        """Hand one more pair to a rater (see `assignment.hand_out`)."""
        return self._turns.assign(repository, to, uid, now)

    def completion_code(self, public_id: str) -> str:
        """Return one rater's own completion code."""
        return self._turns.completion_code(public_id)

    @cached_property
    def _turns(self) -> Turns:
        with self.database.reading() as session:
            pairs = Repository(session).captions()
        return Turns(
            self.info, self._clock, lambda: self._key, pairs, self._image_names, self._adviser
        )

    @cached_property
    def _adviser(self) -> Adviser | None:
        """What chooses arm pairs in an adaptive study; None in a balanced one."""
        votes = self.info.design.votes
        if votes.scheduling == "balanced":
            return None
        return Adviser(list(self.info.arms), self._read, self.settle, votes.stop, self.votes_so_far)

    def _read(self, work: Callable[[Session], T]) -> T:
        with self.database.reading() as session:
            return work(session)

    def settle(self, reasons: dict[str, str]) -> None:
        """Ask these questions no more, each for its reason; what was answered stays."""
        self.write(lambda session: Repository(session).settle(reasons))

    def votes_so_far(self) -> pd.DataFrame:
        """Return every vote, as votes.csv has them; what was returned before is not read anew.

        Raises:
            DatabaseError: the database can't answer.
        """
        return self._votes_so_far.table()

    @cached_property
    def _votes_so_far(self) -> GrowingVotes:
        return GrowingVotes(self.database, self.info)

    def _rater(self, repository: Repository, token: str) -> AnyRow:
        rater = repository.rater(hash_token(token)) if is_token(token) else None
        if rater is None:
            raise _unknown_rater()
        return rater

    def _voter(
        self, repository: Repository, token: str, uid: str
    ) -> tuple[AnyRow, AnyRow, Sequence[AnyRow]]:
        """Return the rater, the assignment named, and all assignments that wait for the rater."""
        if not is_token(token):
            raise _unknown_rater()
        rater, row, waiting = repository.voter(hash_token(token), uid if is_token(uid) else "")
        if rater is None:
            raise _unknown_rater()
        if row is None:
            raise UnknownRater("This pair was not given to this rater. Reload the page to go on.")
        return rater, row, waiting

    def write(self, work: Callable[[Session], T], *, pipelined: bool = False) -> T:
        """Run `work` in a transaction of its own, and return its result once it is durable."""
        with self.database.explaining():
            return self.database.writer.run(work, pipelined=pipelined)

    # ------------------------------------------------------------------ images

    @cached_property
    def _image_names(self) -> dict[int, str]:
        with self.database.reading() as session:
            return Repository(session).names_by_image()

    @property
    def has_images(self) -> bool:
        """Whether the study shows images; one of imported votes has none."""
        return bool(self._image_names)

    @cached_property
    def _known_names(self) -> frozenset[str]:
        return frozenset(self._image_names.values())

    @cached_property
    def longest_image(self) -> int:
        """Length in bytes of the largest image file; files that are missing now are passed over."""
        sizes = [0]
        for image in self._image_names:
            with contextlib.suppress(OSError):
                sizes.append(self._file(image).stat().st_size)
        return max(sizes)

    def image_path(self, name: str) -> Path | None:
        """Return the file of an opaque name; None if there is no such image."""
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
        """End the study: no vote is taken any more, and every vote is in the database's file."""
        self._set_state("closed")
        self.database.checkpoint()

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

    def raters_of(self, outside: Sequence[str]) -> dict[str, str]:
        """Return the id in votes.csv of each person whom their id elsewhere leads to.

        Args:
            outside: ids with the place before them (`prolific:5f…`); unknown ones are passed over.
        """
        hashes = {self.outside_hash(who): who for who in outside}
        with self.database.reading() as session:
            known = OwnerRepository(session).outside_hashes()
        return {hashes[one]: rater for one, rater in known.items() if one in hashes}

    def rater_progress(self) -> dict[str, RaterProgress]:
        """Return how far each person came, by id in votes.csv."""
        with self.database.reading() as session:
            raters = OwnerRepository(session).raters()
        return {
            row.rater: RaterProgress(row.done, row.share, row.implausible)
            for row in raters
            if row.rater_kind == "person"
        }

    def completion_codes(self) -> dict[str, str]:
        """Return the completion code of each person who is done, by their id in votes.csv."""
        with self.database.reading() as session:
            raters = OwnerRepository(session).raters()
        return {
            row.rater: self.code_of(row.rater)
            for row in raters
            if row.rater_kind == "person" and row.done >= row.share
        }

    def code_of(self, public_id: str) -> str:
        """Return the code that a rater's last page says: the study's, or their own."""
        fixed = self.info.design.completion.code if self.info.design.completion else None
        return fixed or self.completion_code(public_id)

    def progress(self) -> Progress:
        """Return the votes wanted and the raters so far."""
        with self.database.reading() as session:
            repository = OwnerRepository(session)
            return Progress(repository.wanted_by_question(), repository.rater_counts())


def _unknown_rater() -> UnknownRater:
    return UnknownRater("This link is not of this study. Start again to get a new one.")


def _plain(text: str) -> str:
    """Return a text that any database takes: no control characters, no halves of a pair."""
    return "".join(letter for letter in text if letter.isprintable())
