"""From captions to token ids. The miniature reads words of the tabletop grammar."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from .tabletop.scenes import COLORS, MATERIALS, SHAPES, SIZES


class Tokenizer(Protocol):
    """What the networks need of a tokenizer."""

    n_vocab: int
    end_token: int

    def encode(self, text: str) -> list[int]:
        """Token ids, without end or padding."""
        ...


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


def padded(tokenizer: Tokenizer, captions: Sequence[str], context: int) -> tuple[Tensor, Tensor]:
    """Tokens for a UNet.

    Longer captions lose their end. An empty caption is all padding: the unconditional input.

    Returns:
        int64 tokens and bool mask, (batch, context); the mask is True at real tokens.
    """
    tokens = torch.full((len(captions), context), tokenizer.end_token)
    mask = torch.zeros(len(captions), context, dtype=torch.bool)
    for row, caption in enumerate(captions):
        ids = tokenizer.encode(caption)[:context]
        tokens[row, : len(ids)] = torch.tensor(ids, dtype=torch.int64)
        mask[row, : len(ids)] = True
    return tokens, mask


def ended(tokenizer: Tokenizer, captions: Sequence[str], context: int) -> tuple[Tensor, Tensor]:
    """Tokens for a CLIP: each caption is closed by the end token.

    Returns:
        int64 tokens (batch, context) and lengths (batch,), the end token counted.
    """
    tokens = torch.full((len(captions), context), tokenizer.end_token)
    lengths = torch.empty(len(captions), dtype=torch.int64)
    for row, caption in enumerate(captions):
        ids = [*tokenizer.encode(caption)[: context - 1], tokenizer.end_token]
        tokens[row, : len(ids)] = torch.tensor(ids)
        lengths[row] = len(ids)
    return tokens, lengths
