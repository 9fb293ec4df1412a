"""The rules of a study, without a database: questions, sides, turns and when a click counts."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, get_args

from .errors import StudyUsageError

Answer = Literal["left", "right", "tie"]
RaterKind = Literal["person", "simulated"]
ANSWERS: tuple[Answer, ...] = get_args(Answer)
RATER_KINDS: tuple[RaterKind, ...] = get_args(RaterKind)

LEASE = timedelta(hours=1)
"""A pair handed out and not answered for this long goes back to the others."""

QUESTION_BLOCK = 10
"""A rater answers this many pairs for one question before the question changes."""


@dataclass(frozen=True, slots=True)
class Question:
    """What raters are asked about a pair.

    Attributes:
        key: letters, digits, `_`; what votes.csv says (`photorealism`).
        text: what raters read.
        shows_caption: the caption stands above the images. GLIDE's raters saw it for caption
            similarity only (arXiv 2112.10741, A.1): a caption shown invites judging the match.
    """

    key: str
    text: str
    shows_caption: bool = True


DEFAULT_QUESTIONS = (
    Question("photorealism", "Which image looks more photorealistic?", shows_caption=False),
    Question("caption_similarity", "Which image matches the caption better?"),
)


@dataclass(frozen=True, slots=True)
class Rules:
    """How a study collects votes; fixed when it is created.

    Attributes:
        votes_per_pair: votes wanted on each pair, from people and, separately, from simulated
            raters.
        pairs_per_rater: a person's fair share, after which they are thanked.
        min_seconds: a click sooner than this after the pair appeared is not an answer: it was
            meant for the pair before (a double click, a held key).
    """

    votes_per_pair: int = 2
    pairs_per_rater: int = 40
    min_seconds: float = 0.6

    def __post_init__(self) -> None:
        for name in ("votes_per_pair", "pairs_per_rater"):
            if getattr(self, name) < 1:
                raise StudyUsageError(
                    f"{name} is {getattr(self, name)}; expected at least 1. "
                    f"Give a larger --{name.replace('_', '-')}."
                )
        if not (math.isfinite(self.min_seconds) and 0 <= self.min_seconds <= 60):
            raise StudyUsageError(
                f"min_seconds is {self.min_seconds}; expected 0 to 60 seconds. "
                "Give another --min-seconds."
            )


@dataclass(frozen=True, slots=True)
class ShownPair:
    """A pair as its rater sees it: nothing in it tells the arms.

    Attributes:
        assignment: the assignment's unguessable id, 32 hex digits.
        question: what is asked.
        caption: the prompt's caption; empty when the question hides it.
        left: opaque name of the image on the left, 32 hex digits.
        right: opaque name of the image on the right.
    """

    assignment: str
    question: Question
    caption: str
    left: str
    right: str


@dataclass(frozen=True, slots=True)
class Turn:
    """Where a rater stands.

    Attributes:
        current: the pair to answer now; None when the rater is done.
        upcoming: the pair after it, so that its images can be loaded ahead; None at the end.
        done: answers so far.
        total: answers asked of this rater; less than their share when the study runs out of pairs.
    """

    current: ShownPair | None
    upcoming: ShownPair | None
    done: int
    total: int


VoteOutcome = Literal["accepted", "repeated", "too_early"]
"""`repeated`: this assignment had its answer before; the first one stands."""


def check_answer(answer: str) -> Answer:
    """The answer itself, if it is one.

    Raises:
        StudyUsageError: anything but left, right or tie.
    """
    for known in ANSWERS:
        if answer == known:
            return known
    raise StudyUsageError(f"{answer!r} is not an answer; expected one of {', '.join(ANSWERS)}.")


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
    """Index of the question a rater should get next.

    Questions come in blocks, since switching at each pair invites answering the wrong one;
    raters start with different questions.
    """
    return (rater_number + given // QUESTION_BLOCK) % questions


_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")


def parse_questions(specs: tuple[str, ...]) -> tuple[Question, ...]:
    """Questions from `KEY` (a default one) or `KEY=What raters read` (the owner's own).

    Raises:
        StudyUsageError: an unknown key without a text, a malformed or repeated key.
    """
    if not specs:
        return DEFAULT_QUESTIONS
    known = {question.key: question for question in DEFAULT_QUESTIONS}
    questions: list[Question] = []
    for spec in specs:
        key, _, text = (part.strip() for part in spec.partition("="))
        if not _KEY.fullmatch(key):
            raise StudyUsageError(
                f"Question {spec!r}: expected KEY or KEY=TEXT, the key in lower-case letters, "
                "digits and _, at most 40."
            )
        if not text and key not in known:
            raise StudyUsageError(
                f"Question {key!r} is not one of {', '.join(known)}, so it needs its words: "
                f"--question '{key}=Which image …?'."
            )
        if key in (question.key for question in questions):
            raise StudyUsageError(f"Question {key!r} is given twice; name it once.")
        shows_caption = known[key].shows_caption if key in known else True
        questions.append(Question(key, text, shows_caption) if text else known[key])
    return tuple(questions)
