"""Names that a person can't tell apart: those with invisible characters, and those nearly equal."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Iterable

from analysis.errors import AnalysisWarning, VotesError, some_of

# Characters that turn the direction of what follows, so that a name shows as another one.
_TURNING = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
SHOWN = 3


def plain(name: str) -> str:
    """Return what a person sees of a name: without capitals, spacing and invisible characters."""
    visible = "".join(c for c in unicodedata.normalize("NFKC", name) if not _invisible(c))
    return " ".join(visible.casefold().split())


def require_readable(where: str, names: Iterable[str]) -> None:
    """Refuse names that show as others, and warn of names that differ in nothing one can see.

    Args:
        where: the file, for messages.
        names: all names of one kind.

    Raises:
        VotesError: a name holds a control character, or one that turns the writing direction.

    Warns:
        AnalysisWarning: names are equal but for spaces, capitals, accents' spelling (NFC, NFD) or
            invisible characters. They still count as different.
    """
    alike: dict[str, list[str]] = {}
    for name in names:
        bad = [c for c in name if c in _TURNING or (unicodedata.category(c) == "Cc" and c != "\t")]
        if bad:
            raise VotesError(
                f"{where}: the name {name!a} holds the character U+{ord(bad[0]):04X}, which "
                "shows it as another name or not at all: expected visible characters. Correct the "
                "name."
            )
        alike.setdefault(plain(name), []).append(name)
    doubled = [" and ".join(map(ascii, same)) for same in alike.values() if len(same) > 1]
    if doubled:
        warnings.warn(
            f"{where}: {some_of(doubled, SHOWN)} differ only by spaces, capitals or invisible "
            "characters. They are counted as different names; if they are one, correct the file.",
            AnalysisWarning,
            stacklevel=2,
        )


def _invisible(character: str) -> bool:
    return unicodedata.category(character) in ("Cf", "Cc")
