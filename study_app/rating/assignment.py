"""Handing pairs to raters: who gets which pair next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from analysis.ballots import RaterKind
from study_app.rules import Slot, a_on_left, preferred_question
from study_app.store import Repository

if TYPE_CHECKING:
    from study_app.store import AnyRow


ArmPairs = Callable[[int], list[int]]
"""A question's row id → numbers of arm pairs, in the order to try them."""


@dataclass(frozen=True, slots=True)
class Assigned:
    """An assignment as it was stored, by row ids.

    Attributes:
        uid: its unguessable id.
        pair_id: what was handed out.
        question_id: what is asked.
        left_image_id: the image on the left.
        right_image_id: the image on the right.
        right_answer_id: a gold pair's right image.
        revision: no answer was taken back yet.
    """

    uid: str
    pair_id: int
    question_id: int
    left_image_id: int
    right_image_id: int
    right_answer_id: int | None = None
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who gets a pair.

    Attributes:
        id: the rater's row id.
        kind: whose quota it counts against.
        given: pairs handed to them before.
    """

    id: int
    kind: RaterKind
    given: int


def hand_out(
    repository: Repository,
    to: Recipient,
    slot: Slot,
    *,
    question_ids: list[int],
    lease: timedelta,
    uid: str,
    now: datetime,
    together: bool = False,
    arm_pairs: ArmPairs = lambda _question: [],
) -> Assigned | None:
    """Assign the next pair to a rater, with its sides; None when there is none left for them.

    Leases of raters who left are only called in when nothing else is to be had. A gold or repeated
    pair that can't be had is replaced by a plain one.

    Args:
        repository: of the session to write in.
        to: the rater.
        slot: the kind of pair.
        question_ids: in the study's order.
        lease: how long a plain pair is theirs.
        uid: the new assignment's unguessable id.
        now: the time of the assignment.
        together: every question is asked about the same two images before others are shown.
        arm_pairs: in an adaptive study, which two arms to ask a question about, best first; after
            those, and without any, the pair with the fewest votes.
    """
    if not question_ids:
        return None
    # Together, the order of the questions is one and the same for all of a rater's pairs.
    first = preferred_question(to.id, 0 if together else to.given, len(question_ids))
    in_order = question_ids[first:] + question_ids[:first]
    if slot == "gold":
        given = _hand_out_gold(repository, to, in_order, uid, now)
    elif slot == "repeat":
        given = _hand_out_repeat(repository, to, uid, now)
    elif together:
        given = _hand_out_companion(repository, to, in_order, uid, now + lease, now)
    else:
        given = None
    return given or _hand_out_plain(repository, to, in_order, uid, now, lease, arm_pairs)


def _hand_out_plain(
    repository: Repository,
    to: Recipient,
    question_ids: list[int],
    uid: str,
    now: datetime,
    lease: timedelta,
    arm_pairs: ArmPairs,
) -> Assigned | None:
    while True:
        for question in question_ids:
            wanted = [*arm_pairs(question), None]
            found = (repository.next_pair(to.id, to.kind, question, arms) for arms in wanted)
            pair = next((one for one in found if one is not None), None)
            if pair is not None:
                return _assign(repository, to, pair, uid, now, now + lease)
        if not repository.lapse_expired(now):
            return None


def _hand_out_companion(
    repository: Repository,
    to: Recipient,
    question_ids: list[int],
    uid: str,
    expires: datetime,
    now: datetime,
) -> Assigned | None:
    """Ask the next question about the images that the rater looks at, which stay where they are."""
    last = repository.last_plain(to.id)
    if last is None:
        return None
    images, sides = (last.image_a_id, last.image_b_id), (last.left_image_id, last.right_image_id)
    for question in question_ids:
        pair = repository.next_of_images(to.id, to.kind, question, images)
        if pair is not None:
            return _assign(repository, to, pair, uid, now, expires, sides)
    return None


def _hand_out_gold(
    repository: Repository, to: Recipient, question_ids: list[int], uid: str, now: datetime
) -> Assigned | None:
    for question in question_ids:
        pair = repository.next_gold(to.id, to.kind, question)
        if pair is not None:
            return _assign(repository, to, pair, uid, now, None)
    return None


def _hand_out_repeat(
    repository: Repository, to: Recipient, uid: str, now: datetime
) -> Assigned | None:
    before = repository.next_repeat(to.id)
    if before is None:
        return None
    left, right = before.right_image_id, before.left_image_id  # swapped: sides must not decide
    repository.add_assignment(
        uid=uid,
        rater=to.id,
        pair=before.pair_id,
        sides=(left, right),
        now=now,
        expires=None,
        repeat_of=before.id,
    )
    return Assigned(uid, before.pair_id, before.question_id, left, right)


def _assign(
    repository: Repository,
    to: Recipient,
    pair: AnyRow,
    uid: str,
    now: datetime,
    expires: datetime | None,
    sides: tuple[int, int] | None = None,
) -> Assigned:
    if sides is None:
        images = (pair.image_a_id, pair.image_b_id)
        sides = images if a_on_left(pair.a_first, pair.draws) else images[::-1]
    left, right = sides
    repository.draw(pair.pair_id, to.kind, takes=expires is not None)
    repository.add_assignment(
        uid=uid, rater=to.id, pair=pair.pair_id, sides=(left, right), now=now, expires=expires
    )
    right_answer = pair.image_a_id if expires is None else None
    return Assigned(uid, pair.pair_id, pair.question_id, left, right, right_answer)
