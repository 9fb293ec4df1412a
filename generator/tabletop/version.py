"""Which miniature a weights file is of.

Version 1 learned from clean pairs, and its grammar has no "two". Version 2 learned from the web
corpus (`tabletop.web`). The recipes write the number into each file's notes. Files of version 1
have no number and are recognised by their other notes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

VERSION = 2  # of what the recipes train
_FIRST = {"schedule", "batch", "steps_done"}  # every file of the first has these notes


def version_of(notes: Mapping[str, Any]) -> int | None:
    """Return the miniature's version from a weights file's notes; None if it has no such notes."""
    if "miniature" in notes:
        return int(notes["miniature"])
    return 1 if notes.keys() >= _FIRST else None


def older_than(bundled: Mapping[Path, int | None], versions: Mapping[Path, int | None]) -> str:
    """Name files of an older miniature than the bundled one.

    Args:
        bundled: version of the bundled file of the same name, by file.
        versions: version of each file.

    Returns:
        One paragraph for a warning; empty if none is older.
    """
    older = {path: v for path, v in versions.items() if v is not None and v < (bundled[path] or 0)}
    if not older:
        return ""
    numbers = sorted(set(older.values()))
    names = ", ".join(path.name for path in older)
    folder = next(iter(older)).parent
    newest = max(bundled[path] or 0 for path in older)
    return (
        f"{folder} holds weights of an older miniature (version {', '.join(map(str, numbers))}: "
        f"{names}; the bundled one is version {newest}). They draw as they did, but its captions "
        "have words that they never learnt, and its figures do not hold for them. For the bundled "
        "weights, name the model tabletop."
    )
