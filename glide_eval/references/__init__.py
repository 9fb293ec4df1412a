"""The real images that distribution metrics compare with: built, merged, published."""

from __future__ import annotations

from .build import (
    TABLETOP_COUNT,
    TABLETOP_SEED,
    RealImages,
    build_references,
    folder_references,
    statistics_reference,
    tabletop_reference,
)
from .coco import PAPER_CAPTIONS, prompts_csv, read_coco
from .named import NamedReferences
from .reference import Reference

__all__ = [
    "PAPER_CAPTIONS",
    "TABLETOP_COUNT",
    "TABLETOP_SEED",
    "NamedReferences",
    "RealImages",
    "Reference",
    "build_references",
    "folder_references",
    "prompts_csv",
    "read_coco",
    "statistics_reference",
    "tabletop_reference",
]
