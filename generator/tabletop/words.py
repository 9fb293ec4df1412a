"""The miniature's tokenizer."""

from __future__ import annotations

import re

from .scenes import COLORS, MATERIALS, SHAPES, SIZES


class WordTokenizer:
    """One id a word of the caption grammar; other words share one id.

    Attributes:
        n_vocab: number of ids, rounded up so that words can be added without changing shapes.
        end_token: ends a caption and pads it.
    """

    _WORDS = (*SIZES, *MATERIALS, *COLORS, *SHAPES, "a", "an", "to", "the", "left", "right", "of",
              "in", "front", "behind", "and", ",")  # fmt: skip
    n_vocab = 48
    end_token = 0
    unknown_token = 1

    def __init__(self) -> None:
        self._ids = {word: 2 + i for i, word in enumerate(self._WORDS)}

    def encode(self, text: str) -> list[int]:
        """Ids of the lower-cased words and commas."""
        return [
            self._ids.get(word, self.unknown_token)
            for word in re.findall(r"[^\W\d_]+|,|\d+", text.lower())
        ]
