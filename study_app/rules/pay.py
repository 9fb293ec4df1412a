"""What a study costs: hours of people's time, and money, before the first of them comes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from glide_eval.files import count

from .design import PayTable, StudyDesign
from .limits import PAIR_SECONDS, READING_SECONDS

_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Estimate:
    """What people will do, and what they will be paid for it.

    Attributes:
        people: needed for all votes, if everybody finishes.
        pairs: shown to each, attention checks, repeats and practice included.
        seconds: that one person needs for all of the pages.
        pay: as the study file says; None where it says nothing.
    """

    people: int
    pairs: int
    seconds: float
    pay: PayTable | None

    @property
    def hours(self) -> float:
        """Of work, of all people together."""
        return self.people * self.seconds / 3600


def estimated(design: StudyDesign, votes: int, pairs: int) -> Estimate:
    """Return what `votes` votes of people on `pairs` pairs ask of them.

    Nobody answers a pair twice, but for repeats: few pairs need more people.

    Examples:
        >>> made = estimated(StudyDesign(), 4800, 2400)
        >>> made.people, made.pairs, made.seconds, round(made.hours, 1)
        (120, 40, 260.0, 8.7)
        >>> estimated(StudyDesign(), 24, 8).people
        3
    """
    rules = design.rules()
    own = min(rules.pairs_per_rater, pairs)
    shown = own + rules.gold_per_rater + rules.repeats_per_rater + len(design.practice)
    each = PAIR_SECONDS if design.pay is None else design.pay.seconds_per_pair
    return Estimate(math.ceil(votes / own), shown, READING_SECONDS + shown * each, design.pay)


def estimate_text(made: Estimate) -> str:
    """Return the estimate as a sentence or two."""
    told = (
        f"About {_people(made.people)}, {count(made.pairs, 'pair')} and "
        f"{made.seconds / 60:.1f} minutes each: {made.hours:,.1f} hours of work."
    )
    return told if made.pay is None else f"{told} {_cost(made, made.pay)}"


def _people(number: int) -> str:
    return "1 person" if number == 1 else f"{number:,} people"


def _cost(made: Estimate, pay: PayTable) -> str:
    reward = made.people * pay.reward
    most = made.people * pay.bonus
    hourly = pay.reward * 3600 / Decimal(made.seconds)
    bonus = f" and at most {money(most)} of bonuses" if most else ""
    return (
        f"Pay: {money(reward)} {pay.currency}{bonus}; with the site's fee of {pay.fee:.0%}, "
        f"{money((reward + most) * (1 + pay.fee))} {pay.currency}. That is {money(hourly)} "
        f"{pay.currency} per hour."
    )


def money(amount: Decimal) -> str:
    """Return an amount in cents, such as 1,234.50."""
    return f"{amount.quantize(_CENT, ROUND_HALF_UP):,}"
