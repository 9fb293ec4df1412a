"""Which pairs a study asks about: two samples of one prompt from two arms, balanced and seeded."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from study_app.errors import StudyUsageError

Unit = tuple[str, int]
"""(prompt_id, replica): what two samples of a pair share."""


@dataclass(frozen=True, slots=True)
class PlannedPair:
    """A pair before it is stored; `a_first` is the side drawn for its first assignment."""

    question: str
    prompt_id: str
    replica: int
    arm_a: str
    arm_b: str
    a_first: bool


def plan_pairs(
    samples: Collection[tuple[str, str, int]],
    questions: Sequence[str],
    pairs_per_question: int | Mapping[str, int | None] | None,
    seed: int,
    *,
    together: bool = False,
) -> list[PlannedPair]:
    """Return the study's pairs in the order in which they are first handed out.

    When every arm has every prompt, in any prefix of a question's pairs the counts of arm pairs
    differ by at most one, and so do those of prompts; within an arm pair the first sides are
    drawn in blocks of two, one of each.

    Args:
        samples: (arm, prompt_id, replica) of every image there is.
        questions: keys, each planned on its own.
        pairs_per_question: None for all there are; a mapping for each question's own.
        seed: same seed and samples, same plan.
        together: all questions are asked about the same pairs.

    Raises:
        StudyUsageError: fewer than two arms share a prompt, or fewer pairs than asked for.
    """
    have = set(samples)
    arms = sorted({arm for arm, _, _ in have})
    units = sorted({(prompt, replica) for _, prompt, replica in have})
    plan: list[list[PlannedPair]] = []
    for index, question in enumerate(questions):
        limit = pairs_per_question
        if isinstance(limit, Mapping):
            limit = limit[question]
        rng = np.random.default_rng([seed, 0 if together else index])
        pairs = list(_question_pairs(have, arms, units, question, rng, limit))
        if not pairs:
            raise StudyUsageError(
                f"No pair can be made: found {len(arms)} arms, no two of which share a prompt; "
                "expected at least two arms with the same prompts. Add arms to the sweep."
            )
        if limit is not None and len(pairs) < limit:
            raise StudyUsageError(
                f"{limit} pairs a question were asked for, but the run holds only "
                f"{len(pairs)}. Lower --pairs, or raise --votes-per-pair for more votes on each."
            )
        plan.append(pairs)
    # one of each question in turn: any prefix serves every question alike
    rounds = itertools.zip_longest(*plan)
    return [pair for one_of_each in rounds for pair in one_of_each if pair is not None]


def _question_pairs(
    have: set[tuple[str, str, int]],
    arms: list[str],
    units: list[Unit],
    question: str,
    rng: np.random.Generator,
    limit: int | None,
) -> Iterator[PlannedPair]:
    arm_pairs = list(itertools.combinations(arms, 2))
    rng.shuffle(arm_pairs)
    rng.shuffle(units)
    pending_side: dict[tuple[str, str], bool] = {}
    cells = (
        (arm_pairs[row], units[column]) for row, column in _diagonals(len(arm_pairs), len(units))
    )
    possible = (
        (pair, unit)
        for pair, unit in cells
        if (pair[0], *unit) in have and (pair[1], *unit) in have
    )
    for (arm_a, arm_b), (prompt, replica) in itertools.islice(possible, limit):
        if (arm_a, arm_b) in pending_side:
            a_first = not pending_side.pop((arm_a, arm_b))
        else:
            a_first = pending_side[arm_a, arm_b] = bool(rng.integers(2))
        yield PlannedPair(question, prompt, replica, arm_a, arm_b, a_first)


def _diagonals(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    """Yield every cell of a grid once, so that any prefix covers rows and columns evenly.

    Walking both indices together visits a diagonal of lcm(rows, columns) cells; there are
    gcd(rows, columns) such diagonals, each one column further.
    """
    if not rows or not columns:
        return
    diagonal = math.lcm(rows, columns)
    for step in range(rows * columns):
        yield step % rows, (step + step // diagonal) % columns
