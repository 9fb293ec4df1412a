"""The answers a rater can give to a pair: one record each, everything else is derived from them.

To offer another answer, add a record here and its words in `study_app/words`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

AnswerName = Literal[
    "left", "right", "tie", "both_bad",
    "left_strongly", "left_slightly", "right_slightly", "right_strongly",
]  # fmt: skip

TIED = 0.5
"""The share of a win that an answer gives each arm where it names no winner."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one answer means.

    Attributes:
        name: as in votes.csv.
        left_wins: the share of a win that it gives the arm on the left: 1, 0, or ½ where neither
            is better (Nichol et al. 2021, appendix A.1).
        mirrored: the answer that says the same once the two sides are exchanged.
        label: what a report calls it.
        choice: what it is called within a sentence about the protocol.
        key: the key that gives it, by its `KeyboardEvent.key`.
        sign: how a page prints that key.
        usual: offered in every study; others only where the study's design asks for them.
        grade: how much better the left image is, from 2 to −2, where a question is answered in
            five grades; None for answers that such a question does not offer.
    """

    name: AnswerName
    left_wins: float
    mirrored: AnswerName
    label: str
    choice: str
    key: str
    sign: str
    usual: bool = True
    grade: int | None = None

    @property
    def plain(self) -> AnswerName:
        """The answer without its grade: `left` for `left_slightly`."""
        sides: dict[float, AnswerName] = {1.0: "left", 0.0: "right"}
        return sides.get(self.left_wins, self.name)

    @property
    def decided(self) -> bool:
        """Whether the answer names a winner."""
        return self.left_wins != TIED


ANSWERS: dict[AnswerName, Answer] = {
    answer.name: answer
    for answer in (
        Answer("left", 1.0, "right", "Left", "left", key="ArrowLeft", sign="←"),
        Answer("right", 0.0, "left", "Right", "right", key="ArrowRight", sign="→"),
        Answer("tie", TIED, "tie", "Tie", "no difference", key=" ", sign="␣", grade=0),
        Answer(
            "both_bad", TIED, "both_bad", "Both bad", "both bad", key="ArrowDown", sign="↓",
            usual=False,
        ),
        Answer(
            "left_strongly", 1.0, "right_strongly", "Left, strongly", "left by far", key="1",
            sign="1", usual=False, grade=2,
        ),
        Answer(
            "left_slightly", 1.0, "right_slightly", "Left, slightly", "left by a little", key="2",
            sign="2", usual=False, grade=1,
        ),
        Answer(
            "right_slightly", 0.0, "left_slightly", "Right, slightly", "right by a little",
            key="4", sign="4", usual=False, grade=-1,
        ),
        Answer(
            "right_strongly", 0.0, "left_strongly", "Right, strongly", "right by far", key="5",
            sign="5", usual=False, grade=-2,
        ),
    )
}  # fmt: skip
"""Every answer by its name, in the order in which votes are coded."""

assert tuple(ANSWERS) == get_args(AnswerName)
DECIDED = tuple(name for name, answer in ANSWERS.items() if answer.decided)
