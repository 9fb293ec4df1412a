"""Telling somebody who waits what is going on, without knowing how they are told."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float], None]
"""Called with what is done next, and how much of the whole is done by then (0 to 1)."""


def quiet(doing: str, done: float) -> None:
    """Tells nobody."""


def between(progress: Progress, start: float, end: float) -> Progress:
    """Progress of a part as progress of the whole, which the part takes from `start` to `end`."""
    return lambda doing, done: progress(doing, start + (end - start) * done)
