"""How raters did: agreement, conduct and the screens that flag careless ones."""

from __future__ import annotations

from .agreement import agreement, gold_accuracy, repeat_consistency
from .conduct import TOO_FAST, rater_screens, study_conduct
from .screens import numbered_screens

__all__ = [
    "TOO_FAST",
    "agreement",
    "gold_accuracy",
    "numbered_screens",
    "rater_screens",
    "repeat_consistency",
    "study_conduct",
]
