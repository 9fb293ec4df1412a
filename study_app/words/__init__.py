"""What raters read beside the owner's own texts, one file per language."""

from __future__ import annotations

from .texts import Words, direction, file_of, languages, mistakes, words

__all__ = ["Words", "direction", "file_of", "languages", "mistakes", "words"]
