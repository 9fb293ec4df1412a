"""The miniature's tokenizer."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .scenes import COLORS, MATERIALS, SHAPES, SIZES


class WordTokenizer:
    """Gives each word of the caption grammar an id; all other words share one id.

    Attributes:
        n_vocab: number of ids, rounded up so that words can be added without changing shapes.
        start_token: none; captions begin with their first word.
        end_token: ends a caption.
        pad_token: the end token again.
    """

    _WORDS = (*SIZES, *MATERIALS, *COLORS, *SHAPES, "a", "an", "to", "the", "left", "right", "of",
              "in", "front", "behind", "and", ",",
              "two", *(f"{shape}s" for shape in SHAPES))  # fmt: skip
    n_vocab = 48
    start_token = None
    end_token = 0
    pad_token = 0
    unknown_token = 1

    def __init__(self) -> None:
        self._ids = {word: 2 + i for i, word in enumerate(self._WORDS)}

    def encode(self, text: str) -> list[int]:
        """Return the ids of the lower-cased words and commas."""
        return [
            self._ids.get(word, self.unknown_token)
            for word in re.findall(r"[^\W\d_]+|,|\d+", text.lower())
        ]

    def decode(self, ids: Sequence[int]) -> str:
        """Return words with spaces between them; ids of unknown or no words become "?"."""
        words = {number: word for word, number in self._ids.items()}
        return " ".join(words.get(number, "?") for number in ids).replace(" ,", ",")
