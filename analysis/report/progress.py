"""Progress of a report, reported to whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float], None]
"""Called with what is done next, and how much of the whole is done by then (0 to 1)."""


def quiet(doing: str, done: float) -> None:
    """Report progress to nobody."""


def between(progress: Progress, start: float, end: float) -> Progress:
    """Return progress of a part as progress of the whole, from `start` to `end`."""
    return lambda doing, done: progress(doing, start + (end - start) * done)
