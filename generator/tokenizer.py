"""From captions to token ids, whatever the tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor


class Tokenizer(Protocol):
    """What the networks need of a tokenizer."""

    n_vocab: int
    end_token: int

    def encode(self, text: str) -> list[int]:
        """Token ids, without end or padding."""
        ...


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
