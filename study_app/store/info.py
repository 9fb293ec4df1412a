"""What is fixed when a study is created, as the rest of the program reads it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from analysis.ballots import ANSWERS, AnswerName, Question
from study_app.rules import (
    MTURK_FRAMES,
    Entry,
    ExcludeTable,
    Rules,
    ShownPair,
    Stages,
    StudyDesign,
    check_answer,
)
from study_app.words import Words, words

from .repository import Repository
from .settings import images_from_environment


@dataclass(frozen=True, slots=True)
class PracticePair:
    """A practice pair as stored; `expected` are the answers that are right."""

    id: int
    shown: ShownPair
    expected: tuple[AnswerName, ...]
    explanation: str


@dataclass(frozen=True)
class StudyInfo:
    """What is fixed when a study is created."""

    name: str
    seed: int
    created_at: datetime
    rules: Rules
    questions: dict[int, Question]  # by row id, in the study's order
    arms: dict[str, str]  # name → label, no two alike, in the run's order
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
    def consent_version(self) -> str:
        """What identifies the text that raters agree to: a hash of all that they are told."""
        pages = self.design.pages
        told = pages.model_dump_json(exclude={"instructions", "words"})
        own = (pages.words or {}).get("consent")
        if own:
            told += json.dumps(own, sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    @cached_property
    def words(self) -> Words:
        """What raters read beside the owner's texts, in the study's language."""
        return words(self.language, self.design.pages.words)

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
    def framed_by(self) -> tuple[str, ...]:
        """Origins of sites that may show the study inside their own page."""
        own = MTURK_FRAMES if self.entry == "mturk" else ()
        return (*own, *self.design.entry.framed_by)

    @property
    def exclude(self) -> ExcludeTable:
        """The rules, set before the first vote, by which raters are left out."""
        return self.design.exclude


def read_info(repository: Repository, folder: Path) -> StudyInfo:
    """The study of a database; `folder` is what its images' folder is relative to."""
    row = repository.study()
    design = StudyDesign.model_validate_json(row.design)
    rules = design.rules()
    names = repository.names_by_image()
    graded = {question.key for question in design.questions if question.graded}
    questions = {
        question.id: Question(
            question.key, question.text, question.shows_caption, question.key in graded
        )
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
                answers=rules.answers_to(questions[item.question_id]),
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
        arms=_told_apart({arm.name: arm.label for arm in repository.arms()}),
        image_size=(width, height),
        image_root=images_from_environment() or folder / row.image_root,
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


def _told_apart(labels: dict[str, str]) -> dict[str, str]:
    """Labels that several arms share, as those of two samplers at one scale, with their names."""
    shared = Counter(labels.values())
    return {
        name: f"{label} [{name}]" if shared[label] > 1 else label for name, label in labels.items()
    }
