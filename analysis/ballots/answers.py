"""The answers a rater can give to a pair: one record each, everything else is derived from them.

To offer another answer, add a record here and its words in `study_app/words`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

AnswerName = Literal["left", "right", "tie", "both_bad"]

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
    """

    name: AnswerName
    left_wins: float
    mirrored: AnswerName
    label: str
    choice: str
    key: str
    sign: str
    usual: bool = True

    @property
    def decided(self) -> bool:
        """Whether the answer names a winner."""
        return self.left_wins != TIED


ANSWERS: dict[AnswerName, Answer] = {
    answer.name: answer
    for answer in (
        Answer("left", 1.0, "right", "Left", "left", key="ArrowLeft", sign="←"),
        Answer("right", 0.0, "left", "Right", "right", key="ArrowRight", sign="→"),
        Answer("tie", TIED, "tie", "Tie", "no difference", key=" ", sign="␣"),
        Answer(
            "both_bad", TIED, "both_bad", "Both bad", "both bad", key="ArrowDown", sign="↓",
            usual=False,
        ),
    )
}  # fmt: skip
"""Every answer by its name, in the order in which votes are coded."""

assert tuple(ANSWERS) == get_args(AnswerName)
DECIDED = tuple(name for name, answer in ANSWERS.items() if answer.decided)
