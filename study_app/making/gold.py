"""Pairs with a known answer: a sample against its degraded twin, or against another prompt's.

Gold pairs tell who looks; practice pairs, made the same way, show what is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.ballots import Question
from glide_eval.files import Sample
from study_app.errors import StudyUsageError
from study_app.rules import GoldTable, PracticeTable

from .images import Picture

WRONG_CAPTION = "wrong caption"


@dataclass(frozen=True, slots=True)
class KnownPair:
    """A pair whose answer is known.

    Attributes:
        question: its key.
        right: the answer.
        wrong: the other picture.
        right_first: the right one stands on the left the first time.
    """

    question: str
    right: Picture
    wrong: Picture
    right_first: bool


def plan_gold(
    samples: Sequence[Sample], questions: Sequence[Question], gold: GoldTable, seed: int
) -> list[KnownPair]:
    """Plan the study's gold pairs; none if raters are shown none.

    A question that shows captions gets wrong captions (unless the design says otherwise): a
    blurred image matches its caption as well as before. Others get degraded twins in turn. Half of
    a question's pairs have the right one first.

    Raises:
        StudyUsageError: an unknown arm, or nothing to make them of.
    """
    if not gold.per_rater:
        return []
    trusted = [sample for sample in samples if gold.arms is None or sample.arm in gold.arms]
    if not trusted:
        raise StudyUsageError(
            f"`gold.arms` names {', '.join(gold.arms or ())}, but no such arm takes part; expected "
            f"some of {', '.join(sorted({s.arm for s in samples}))}. Mend the study file."
        )
    planned: list[KnownPair] = []
    for index, question in enumerate(questions):
        rng = np.random.default_rng([seed, 2, index])
        order: list[int] = rng.permutation(len(trusted)).tolist()
        first = bool(rng.integers(2))
        for number in range(min(gold.count, len(trusted))):
            sample = trusted[order[number]]
            by_caption = question.shows_caption and gold.wrong_caption
            how = WRONG_CAPTION if by_caption else gold.twins[number % len(gold.twins)]
            wrong = _wrong(sample, how, trusted, rng)
            planned.append(
                KnownPair(question.key, Picture(sample), wrong, first == (number % 2 == 0))
            )
    if gold.per_rater > len(planned):
        raise StudyUsageError(
            f"`gold.per_rater` is {gold.per_rater}, but only {len(planned)} gold pairs can be "
            "made, and a rater meets each once. Raise `gold.count` or lower `gold.per_rater`."
        )
    return planned


def plan_practice(
    samples: Sequence[Sample], items: Sequence[PracticeTable], seed: int
) -> list[KnownPair]:
    """Plan the practice pairs, in their order.

    Raises:
        StudyUsageError: a prompt or arm that is not there.
    """
    planned: list[KnownPair] = []
    for index, item in enumerate(items):
        rng = np.random.default_rng([seed, 3, index])
        fitting = [s for s in samples if item.arm in (None, s.arm)]
        prompt = item.prompt or str(rng.choice(sorted({s.prompt_id for s in samples})))
        found = next((s for s in fitting if s.prompt_id == prompt), None)
        if found is None:
            raise StudyUsageError(
                f"`practice[{index}]` asks for a sample of {item.arm or 'any arm'} for the prompt "
                f"{prompt!r}, which takes no part. Name an arm and a prompt of this study, or "
                "leave `prompt` out and one is drawn."
            )
        wrong = _wrong(found, item.twin, samples, rng)
        planned.append(KnownPair(item.question, Picture(found), wrong, bool(rng.integers(2))))
    return planned


def _wrong(
    sample: Sample, how: str, samples: Sequence[Sample], rng: np.random.Generator
) -> Picture:
    if how != WRONG_CAPTION:
        return Picture(sample, how)
    others = [s for s in samples if s.arm == sample.arm and s.caption != sample.caption]
    if not others:
        raise StudyUsageError(
            f"The arm {sample.arm} has one caption alone, so no sample can be shown under a wrong "
            "one. Add prompts, or set `gold.wrong_caption = false`."
        )
    return Picture(others[rng.integers(len(others))])
