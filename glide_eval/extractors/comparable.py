"""Why two values can't be compared, in words: what differs between the extractors behind them."""

from __future__ import annotations

from collections.abc import Mapping

Described = tuple[str, Mapping[str, str]]  # an extractor's name and facts
DIGEST = 12  # characters shown of a SHA-256


def difference_in_words(first: Described, second: Described) -> str:
    """Return what differs between two extractors whose fingerprints differ.

    Examples:
        >>> difference_in_words(("a", {"resize": "bicubic"}), ("a", {"resize": "bilinear"}))
        'resize differs: bicubic against bilinear'
    """
    (name, facts), (other_name, other_facts) = first, second
    if name != other_name:
        return f"the extractors differ: {name} against {other_name}"
    if not facts or not other_facts:
        return f"another version of {name}; what changed was not recorded"
    keys = [*facts, *(key for key in other_facts if key not in facts)]
    differing = [
        f"{key} differs: {_shown(facts.get(key))} against {_shown(other_facts.get(key))}"
        for key in keys
        if facts.get(key) != other_facts.get(key)
    ]
    return "; ".join(differing) or f"another version of {name}"


def _shown(fact: str | None) -> str:
    if fact is None:
        return "none"
    is_digest = len(fact) == 64 and all(c in "0123456789abcdef" for c in fact)
    return f"{fact[:DIGEST]}…" if is_digest else fact
