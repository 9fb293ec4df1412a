"""The order in which a rater meets plain, gold and repeated pairs, from the study's seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np

from .domain import Rules
from .limits import FIRST_GOLD

Slot = Literal["plain", "gold", "repeat"]


@lru_cache(maxsize=4096)  # one per rater who is there: each vote asks
def slots(seed: int, rater: int, rules: Rules) -> tuple[Slot, ...]:
    """Return the kinds of a rater's pairs in order, as many as their share.

    Where questions are asked together, plain pairs stand in groups of as many. Repeats fall in the
    last half, so that what is asked again was asked a while ago; gold pairs anywhere after the
    first few.

    Args:
        seed: the study's.
        rater: the rater's row id.
        rules: how many of each kind.
    """
    kinds: list[Slot] = ["plain"] * rules.looks
    if not rules.gold_per_rater and not rules.repeats_per_rater:
        return tuple(_grouped(kinds, rules))
    rng = np.random.default_rng([seed, rater])
    late = list(range(rules.looks - max(rules.looks // 2, rules.repeats_per_rater), rules.looks))
    for place in rng.choice(late, rules.repeats_per_rater, replace=False):
        kinds[place] = "repeat"
    free = [place for place, kind in enumerate(kinds) if kind == "plain"]
    later = free[min(FIRST_GOLD, len(free) - rules.gold_per_rater) :]
    for place in rng.choice(later, rules.gold_per_rater, replace=False):
        kinds[place] = "gold"
    return tuple(_grouped(kinds, rules))


def _grouped(kinds: Sequence[Slot], rules: Rules) -> Iterator[Slot]:
    """Yield each plain pair once for each question that is asked about it."""
    left = rules.pairs_per_rater
    for kind in kinds:
        if kind != "plain":
            yield kind
            continue
        for _ in range(min(rules.together, left)):
            yield kind
        left -= rules.together
