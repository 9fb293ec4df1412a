"""From captions to token ids, whatever the tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class Tokenizer(Protocol):
    """What the networks need of a tokenizer.

    Attributes:
        n_vocab: number of ids.
        start_token: opens a caption for a CLIP; None if nothing does.
        end_token: closes a caption for a CLIP.
        pad_token: fills the rest of the context.
    """

    @property
    def n_vocab(self) -> int: ...  # noqa: D102
    @property
    def start_token(self) -> int | None: ...  # noqa: D102
    @property
    def end_token(self) -> int: ...  # noqa: D102
    @property
    def pad_token(self) -> int: ...  # noqa: D102

    def encode(self, text: str) -> list[int]:
        """Return token ids, without start, end or padding."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text some ids stand for, as near as the vocabulary allows."""
        ...


def padded(tokenizer: Tokenizer, captions: Sequence[str], context: int) -> tuple[Tensor, Tensor]:
    """Tokens for a UNet.

    Longer captions lose their end. An empty caption is all padding: the unconditional input.

    Returns:
        int64 tokens and bool mask, (batch, context); the mask is True at real tokens.
    """
    tokens = torch.full((len(captions), context), tokenizer.pad_token)
    mask = torch.zeros(len(captions), context, dtype=torch.bool)
    for row, caption in enumerate(captions):
        ids = tokenizer.encode(caption)[:context]
        tokens[row, : len(ids)] = torch.tensor(ids, dtype=torch.int64)
        mask[row, : len(ids)] = True
    return tokens, mask


def ended(tokenizer: Tokenizer, captions: Sequence[str], context: int) -> tuple[Tensor, Tensor]:
    """Tokens for a CLIP: each caption stands between the start token, if any, and the end token.

    Returns:
        int64 tokens (batch, context) and lengths (batch,), start and end token counted.
    """
    start = _start(tokenizer)
    tokens = torch.full((len(captions), context), tokenizer.pad_token)
    lengths = torch.empty(len(captions), dtype=torch.int64)
    for row, caption in enumerate(captions):
        body = tokenizer.encode(caption)[: context - len(start) - 1]
        ids = [*start, *body, tokenizer.end_token]
        tokens[row, : len(ids)] = torch.tensor(ids)
        lengths[row] = len(ids)
    return tokens, lengths


def cut_off(tokenizer: Tokenizer, caption: str, context: int, *, ended: bool = False) -> str:
    """Return the end of a caption that a network of this context never reads.

    Args:
        tokenizer: the network's.
        caption: any text.
        context: tokens the network takes.
        ended: it is a CLIP, whose start and end token take room.

    Returns:
        The text of the tokens beyond, "" if the caption fits.
    """
    room = context - len(_start(tokenizer)) - 1 if ended else context
    return tokenizer.decode(tokenizer.encode(caption)[room:]).strip()


def _start(tokenizer: Tokenizer) -> list[int]:
    return [] if tokenizer.start_token is None else [tokenizer.start_token]
