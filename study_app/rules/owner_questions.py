"""Questions as an owner gives them: by key alone, or with words of their own."""

from __future__ import annotations

import re

from analysis.ballots import QUESTIONS, Question
from study_app.errors import StudyUsageError

from .limits import LONGEST_KEY

KEY = rf"^[a-z][a-z0-9_]{{0,{LONGEST_KEY - 1}}}$"
"""A question's key."""


def completed(
    key: str, text: str = "", shows_caption: bool | None = None, *, graded: bool = False
) -> Question:
    """Return the question, with what is not said taken from the usual question of that key."""
    usual = QUESTIONS.get(key, Question(key, ""))
    shown = usual.shows_caption if shows_caption is None else shows_caption
    return Question(key, text.strip() or usual.text, shown, graded)


def parse_questions(specs: tuple[str, ...]) -> tuple[Question, ...]:
    """Return questions from `KEY` (a usual one) or `KEY=What raters read` (the owner's own).

    Raises:
        StudyUsageError: a key is malformed or repeated, or unknown and without a text.
    """
    questions: dict[str, Question] = {}
    for spec in specs:
        key, _, text = (part.strip() for part in spec.partition("="))
        if not re.fullmatch(KEY, key):
            raise StudyUsageError(
                f"Question {spec!r}: expected KEY or KEY=TEXT, the key in lower-case letters, "
                f"digits and _, at most {LONGEST_KEY}."
            )
        if not text and key not in QUESTIONS:
            raise StudyUsageError(
                f"Question {key!r} is not one of {', '.join(QUESTIONS)}, so it needs its words: "
                f"--question '{key}=Which image …?'."
            )
        if key in questions:
            raise StudyUsageError(f"Question {key!r} is given twice; name it once.")
        questions[key] = completed(key, text)
    return tuple(questions.values()) or tuple(QUESTIONS.values())
