"""A rater's turn: who is let in, which pair comes next, when a vote counts."""

from __future__ import annotations

from .assignment import Assigned, Recipient
from .study import Clock, Progress, RaterProgress, Study, utc_now

__all__ = [
    "Assigned",
    "Clock",
    "Progress",
    "RaterProgress",
    "Recipient",
    "Study",
    "utc_now",
]
