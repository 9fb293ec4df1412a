"""Handing pairs to raters: who gets which pair next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .domain import RaterKind, a_on_left, preferred_question
from .repository import Repository


@dataclass(frozen=True, slots=True)
class Assigned:
    """A stored assignment, by row ids."""

    id: int
    question_id: int
    left_image_id: int
    right_image_id: int


def hand_out(
    repository: Repository,
    *,
    rater: int,
    kind: RaterKind,
    given: int,
    question_ids: list[int],
    wanted: int,
    uid: str,
    now: datetime,
) -> Assigned | None:
    """Assign the next pair to a rater, with its sides; None when there is none left for them.

    Leases of raters who left are only called in when nothing else is to be had.

    Args:
        repository: of the session to write in.
        rater: the rater's row id.
        kind: whose quota it counts against.
        given: pairs this rater was handed before.
        question_ids: in the study's order.
        wanted: votes per pair.
        uid: the new assignment's unguessable id.
        now: the time of the assignment.
    """
    first = preferred_question(rater, given, len(question_ids))
    in_order = question_ids[first:] + question_ids[:first]
    while True:
        for question_id in in_order:
            pair = repository.next_pair(rater, kind, question_id, wanted)
            if pair is not None:
                images = (pair.image_a_id, pair.image_b_id)
                left, right = images if a_on_left(pair.a_first, pair.draws) else images[::-1]
                stored = repository.add_assignment(
                    uid=uid, rater=rater, kind=kind, pair=pair.pair_id, sides=(left, right), now=now
                )
                return Assigned(stored, question_id, left, right)
        if not repository.lapse_expired(now):
            return None
