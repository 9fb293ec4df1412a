"""Numbers and lists as people read them."""

from __future__ import annotations

from collections.abc import Sequence


def duration(seconds: float) -> str:
    """A time span: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def count(number: int, noun: str) -> str:
    """A number with its noun: `1 image`, `2 images`, `12,000 images`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def some(items: Sequence[str], most: int = 5, between: str = ", ") -> str:
    """Return the first items and how many more there are: `a, b and 3 more`.

    Args:
        items: at least one.
        most: how many to name.
        between: what stands between two; `"; "` for items with commas in them.
    """
    rest = len(items) - most
    named = between.join(items[:most])
    return named + f"{between.rstrip(', ')} and {rest:,} more" * (rest > 0)
