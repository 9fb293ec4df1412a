"""The rules of a study, without a database: sides, turns and when a click counts.

A rater's way has stages: consent, instructions, practice, pairs with breaks, done. The stage is a
function of what is stored with the rater (`stage_of`), so a reload, a restarted server or another
device comes back to it.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from analysis.ballots import ANSWERS, AnswerName, Question
from study_app.errors import StudyUsageError

from .limits import FORGIVEN_SECONDS, LONGEST_SECONDS, MOST_MIN_SECONDS, QUESTION_BLOCK

Stage = Literal["consent", "instructions", "practice", "pairs", "break", "done", "paused", "closed"]
StudyState = Literal["open", "paused", "closed"]
Entry = Literal["open", "invite", "prolific", "mturk"]


@dataclass(frozen=True, slots=True)
class Rules:
    """How a study collects votes; fixed when it is created.

    Attributes:
        votes_per_pair: votes wanted on each pair, from people and, separately, from simulated
            raters.
        pairs_per_rater: a person's fair share, after which they are thanked.
        min_seconds: a click sooner than this after the pair appeared is not an answer: it was
            meant for the pair before (a double click, a held key).
        break_every: a rater is offered a break after each so many answers; 0 for never.
        gold_per_rater: pairs with a known answer, handed out beside the share.
        repeats_per_rater: pairs asked of the same rater again, sides swapped, beside the share.
        extra_answers: offered beside the usual ones.
        together: questions asked one after the other about the same two images; 1: questions come
            in blocks.
    """

    votes_per_pair: int = 2
    pairs_per_rater: int = 40
    min_seconds: float = 0.6
    break_every: int = 0
    gold_per_rater: int = 0
    repeats_per_rater: int = 0
    extra_answers: tuple[AnswerName, ...] = ()
    together: int = 1

    def __post_init__(self) -> None:
        for name in ("votes_per_pair", "pairs_per_rater"):
            if getattr(self, name) < 1:
                raise StudyUsageError(
                    f"{name} is {getattr(self, name)}; expected at least 1. "
                    f"Give a larger --{name.replace('_', '-')}."
                )
        for name in ("break_every", "gold_per_rater", "repeats_per_rater"):
            if getattr(self, name) < 0:
                raise StudyUsageError(f"{name} is {getattr(self, name)}; expected 0 or more.")
        if not (math.isfinite(self.min_seconds) and 0 <= self.min_seconds <= MOST_MIN_SECONDS):
            raise StudyUsageError(
                f"min_seconds is {self.min_seconds}; expected 0 to {MOST_MIN_SECONDS} seconds. "
                "Give another --min-seconds."
            )

    def answers_to(self, question: Question) -> tuple[AnswerName, ...]:
        """Return the answers that a question offers, in the catalogue's order."""
        return offered_answers(self.extra_answers, graded=question.graded)

    @property
    def looks(self) -> int:
        """How often one rater sees two images that they did not see just before."""
        pairs = math.ceil(self.pairs_per_rater / self.together)
        return pairs + self.gold_per_rater + self.repeats_per_rater

    @property
    def share(self) -> int:
        """Answers asked of one rater, gold and repeated pairs included."""
        return self.pairs_per_rater + self.gold_per_rater + self.repeats_per_rater


@dataclass(frozen=True, slots=True)
class ShownPair:
    """A pair as its rater sees it: nothing in it tells the arms, nor whether it is gold.

    Attributes:
        assignment: the assignment's unguessable id, 32 hex digits.
        question: what is asked.
        caption: the prompt's caption; empty when the question hides it.
        left: opaque name of the image on the left, 32 hex digits.
        right: opaque name of the image on the right.
        answers: what this study offers.
        practice: goes to `Study.practise`, never to `Study.vote`.
        again: its answer was taken back; this is its one other chance.
    """

    assignment: str
    question: Question
    caption: str
    left: str
    right: str
    answers: tuple[AnswerName, ...]
    practice: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True)
class Completion:
    """What a rater takes home at the end.

    Attributes:
        code: shows the recruiting site that they are done.
        redirect: where they are sent; None for nowhere.
    """

    code: str
    redirect: str | None


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a rater hears of an answer to a practice pair.

    Attributes:
        right: it is among `expected`; the practice goes on to its next pair.
        expected: the answers that are right.
        explanation: why, in the owner's words; may be empty.
    """

    right: bool
    expected: tuple[AnswerName, ...]
    explanation: str


@dataclass(frozen=True, slots=True)
class Turn:
    """Where a rater stands.

    Attributes:
        current: the pair to answer now (a practice pair in that stage); None in stages without.
        upcoming: the pair after it, so that its images can be loaded ahead; None at the end. In
            a break, the pair that follows it.
        done: answers so far; practice does not count.
        total: answers asked of this rater; less than their share when the study runs out of pairs.
        stage: what the page shows.
        can_undo: the last answer can be taken back.
        completion: set when the stage is `done`, or `closed` after some answers, if the study has
            one.
        instructed: the rater has read how to answer.
    """

    current: ShownPair | None
    upcoming: ShownPair | None
    done: int
    total: int
    stage: Stage = "pairs"
    can_undo: bool = False
    completion: Completion | None = None
    instructed: bool = False


VoteOutcome = Literal["accepted", "repeated", "too_early", "lapsed", "closed", "not_shown"]
"""Only `accepted` stored something. `repeated`: this assignment had its answer before; that one
stands. `lapsed`: the rater was away so long that the pair went to somebody else. `closed`: the
study's owner has closed it. `not_shown`: the pair is the rater's, and not yet on their page."""


@dataclass(frozen=True, slots=True)
class Ballot:
    """What a browser says of an answer; nothing of it is taken on trust.

    Attributes:
        assignment: `ShownPair.assignment` of the pair that was clicked.
        answer: one of those offered.
        seconds: from the pair's appearance to the click, as the browser claims; None when it does
            not know.
        again: `ShownPair.again` of that pair: a late duplicate of an answer that was taken back
            meanwhile is no new answer. None: not asked.
        comment: what the rater wrote about the pair; None for nothing.
    """

    assignment: str
    answer: AnswerName
    seconds: float | None
    again: bool | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """A browser's claim of how long a pair was looked at, beside what the server saw.

    Attributes:
        claimed: seconds as the browser says; None when not known.
        seconds: as claimed, and at most what the server saw; None when not known.
        hasty: no page of ours sends answers at this pace.
        implausible: longer was claimed than the server saw, even with the network's delay.
    """

    claimed: float | None
    seconds: float | None
    hasty: bool = False
    implausible: bool = False


def watched(claimed: float | None, elapsed: float | None, rules: Rules) -> Watch:
    """Return what to believe of a browser's claim.

    Args:
        claimed: seconds from the pair's appearance to the click; None when the browser can't say.
        elapsed: seconds since the pair became the rater's; None when not known, as after the
            server's clock was set back.
        rules: the study's.
    """
    if claimed is not None and not 0 <= claimed < LONGEST_SECONDS:
        claimed = None  # a clock that jumped, or no number at all
    if elapsed is None or elapsed < 0:
        return Watch(claimed, claimed)
    hasty = elapsed < rules.min_seconds / 2
    if claimed is None:
        return Watch(None, None, hasty)
    return Watch(claimed, min(claimed, elapsed), hasty, claimed > elapsed + FORGIVEN_SECONDS)


@dataclass(frozen=True, slots=True)
class RaterState:
    """What is stored of a rater that decides their stage.

    Attributes:
        consented: agreed to take part.
        instructed: has read the instructions.
        practised: practice pairs answered rightly.
        rested: answers at the last break; 0 before the first.
        done: answers that stand.
    """

    consented: bool
    instructed: bool
    practised: int
    rested: int
    done: int


@dataclass(frozen=True, slots=True)
class Stages:
    """Which stages a study has.

    Attributes:
        consent: asks for consent.
        instructions: shows instructions.
        practice: practice pairs.
        break_every: answers between breaks; 0 for none.
    """

    consent: bool = False
    instructions: bool = False
    practice: int = 0
    break_every: int = 0


def stage_of(rater: RaterState, stages: Stages, state: StudyState) -> Stage:
    """Return the stage that a rater is in, as long as there are pairs for them."""
    if state != "open":
        return state
    if stages.consent and not rater.consented:
        return "consent"
    if stages.instructions and not rater.instructed:
        return "instructions"
    if rater.practised < stages.practice:
        return "practice"
    if stages.break_every and rater.done // stages.break_every > rater.rested // stages.break_every:
        return "break"
    return "pairs"


def offered_answers(
    extra: Collection[AnswerName] = (), *, graded: bool = False
) -> tuple[AnswerName, ...]:
    """Return the usual answers, or the five grades, and these extra ones, in catalogue order."""
    return tuple(
        name
        for name, answer in ANSWERS.items()
        if (answer.grade is not None if graded else answer.usual) or name in extra
    )


def check_answer(answer: str, offered: Collection[AnswerName]) -> AnswerName:
    """Return the answer if it is one of those offered.

    Raises:
        StudyUsageError: it is not.
    """
    for known in offered:
        if answer == known:
            return known
    shown = answer if len(answer) <= 40 else f"{answer[:40]}…"
    raise StudyUsageError(f"{shown!r} is not an answer; expected one of {', '.join(offered)}.")


def too_early(seconds: float | None, rules: Rules) -> bool:
    """Whether a click came too soon after its pair appeared to be meant for it.

    `seconds` is None when the server can't know (it was restarted between): then it counts.
    """
    return seconds is not None and seconds < rules.min_seconds


def a_on_left(a_first: bool, draw: int) -> bool:
    """Whether a pair's first arm stands on the left in its `draw`-th assignment (0, 1, …).

    The plan draws `a_first` at random, half of each arm pair either way; later assignments of the
    same pair alternate, so every two votes on a pair see both orders.
    """
    return a_first == (draw % 2 == 0)


def preferred_question(rater_number: int, given: int, questions: int) -> int:
    """Return the index of the question that a rater should get next.

    Questions come in blocks, since switching at each pair invites answering the wrong one;
    raters start with different questions.
    """
    return (rater_number + given // QUESTION_BLOCK) % questions
