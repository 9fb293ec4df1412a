"""What a study is: its design, pairs, turns and exclusions, without a database."""

from __future__ import annotations

from .counting import filling_quota, of_kind
from .design import (
    ExcludeTable,
    GoldTable,
    PracticeTable,
    PromptsTable,
    QuestionTable,
    RatersTable,
    RunTable,
    StopTable,
    StudyDesign,
    VotesTable,
)
from .domain import (
    Completion,
    Entry,
    Feedback,
    RaterState,
    Rules,
    ShownPair,
    Stage,
    Stages,
    StudyState,
    Turn,
    VoteOutcome,
    a_on_left,
    check_answer,
    offered_answers,
    preferred_question,
    stage_of,
    too_early,
)
from .entry import MTURK_FRAMES, MTURK_SUBMIT, Claim, MTurkTask, forged, mturk_task, read_claim
from .exclusion import exclusions
from .pairing import PlannedPair, plan_pairs
from .questions import parse_questions
from .schedule import Slot, slots
from .study_file import StudyFile, changed_keys, load_study_file

__all__ = [
    "MTURK_FRAMES",
    "MTURK_SUBMIT",
    "Claim",
    "Completion",
    "Entry",
    "ExcludeTable",
    "Feedback",
    "GoldTable",
    "MTurkTask",
    "PlannedPair",
    "PracticeTable",
    "PromptsTable",
    "QuestionTable",
    "RaterState",
    "RatersTable",
    "Rules",
    "RunTable",
    "ShownPair",
    "Slot",
    "Stage",
    "Stages",
    "StopTable",
    "StudyDesign",
    "StudyFile",
    "StudyState",
    "Turn",
    "VoteOutcome",
    "VotesTable",
    "a_on_left",
    "changed_keys",
    "check_answer",
    "exclusions",
    "filling_quota",
    "forged",
    "load_study_file",
    "mturk_task",
    "of_kind",
    "offered_answers",
    "parse_questions",
    "plan_pairs",
    "preferred_question",
    "read_claim",
    "slots",
    "stage_of",
    "too_early",
]
