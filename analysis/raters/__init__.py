"""How raters did: agreement, conduct and the screens that flag careless ones."""

from __future__ import annotations

from .agreement import agreement, gold_accuracy, gold_answers, repeat_consistency, repeats
from .conduct import ResponseTimes, Sides, response_times, side_bias, study_conduct
from .limits import TOO_FAST
from .measure import Measure
from .screens import numbered_screens, rater_screens

__all__ = [
    "TOO_FAST",
    "Measure",
    "ResponseTimes",
    "Sides",
    "agreement",
    "gold_accuracy",
    "gold_answers",
    "numbered_screens",
    "rater_screens",
    "repeat_consistency",
    "repeats",
    "response_times",
    "side_bias",
    "study_conduct",
]
