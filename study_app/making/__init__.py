"""Making a study: from runs, from another study, from votes, with simulated raters."""

from __future__ import annotations

from .create import CreatedStudy, create_from_design, create_study
from .fork import fork_study, require_images, require_unedited
from .importing import import_votes, parse_pairs
from .simulate import read_scores, simulate

__all__ = [
    "CreatedStudy",
    "create_from_design",
    "create_study",
    "fork_study",
    "import_votes",
    "parse_pairs",
    "read_scores",
    "require_images",
    "require_unedited",
    "simulate",
]
