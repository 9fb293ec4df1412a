"""Before and during a study: power, which pair to ask next, when to stop."""

from __future__ import annotations

from .adaptive import StopDecision, always_valid, pair_gains, stop
from .next_votes import LIMIT, NextVotes, next_votes
from .power import Design, PowerCurve, Variation, plan_study, variation_of

__all__ = [
    "LIMIT",
    "Design",
    "NextVotes",
    "PowerCurve",
    "StopDecision",
    "Variation",
    "always_valid",
    "next_votes",
    "pair_gains",
    "plan_study",
    "stop",
    "variation_of",
]
