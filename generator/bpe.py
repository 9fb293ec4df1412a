"""The released models' tokenizers: GPT-2's for the UNets, CLIP's for the noised CLIP.

Both run in libraries (tiktoken, open_clip) on vocabularies that are on disk; nothing is downloaded.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import regex
import tiktoken

from .errors import CheckpointError

if TYPE_CHECKING:
    from open_clip.tokenizer import SimpleTokenizer

# What GPT-2 splits text into before it merges bytes (Radford et al. 2019, the released encoder).
_GPT2_PIECES = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_CLIP_PIECES = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)
_END_OF_TEXT = "<|endoftext|>"


class Gpt2Tokenizer:
    """GPT-2's byte pairs of the lower-cased caption, as the released UNets read it.

    Attributes:
        n_vocab: 50,257, the end token counted.
        end_token: pads captions.
    """

    start_token = None

    def __init__(self, vocabulary: Path):
        """Read a vocabulary.

        Args:
            vocabulary: GPT-2's `encoder.json`: token to id. An id is also its merge's rank, so
                the list of merges (`vocab.bpe`) says nothing more.

        Raises:
            CheckpointError: missing, or not GPT-2's vocabulary.
        """
        ranks = _read_vocabulary(vocabulary)
        self.end_token = ranks.pop(_END_OF_TEXT.encode())
        self.pad_token = self.end_token
        self.n_vocab = self.end_token + 1
        # Not tiktoken.get_encoding("gpt2"), which downloads its file at first use.
        self._bpe = tiktoken.Encoding(
            "glide",
            pat_str=_GPT2_PIECES,
            mergeable_ranks=ranks,
            special_tokens={_END_OF_TEXT: self.end_token},
        )

    def encode(self, text: str) -> list[int]:
        """Return token ids; a special token's name in the caption is text like any other."""
        return self._bpe.encode_ordinary(text.lower())

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of some ids; a letter cut in two becomes U+FFFD."""
        return self._bpe.decode(list(ids))


class ClipTokenizer:
    """CLIP's byte pairs of the cleaned (ftfy, HTML entities, spaces), lower-cased caption.

    Attributes:
        n_vocab: 49,408 ids; the released CLIP's embedding has rows to spare.
    """

    n_vocab = 49_408
    start_token = 49_406
    end_token = 49_407
    pad_token = 0

    @cached_property
    def _bpe(self) -> SimpleTokenizer:
        # open_clip takes seconds to import, and most arms need no CLIP.
        from open_clip.tokenizer import SimpleTokenizer

        bpe = SimpleTokenizer()
        # open_clip renamed the special tokens; the released model knows them by OpenAI's names.
        names = {"<|startoftext|>": self.start_token, _END_OF_TEXT: self.end_token}
        for name, number in names.items():
            del bpe.encoder[bpe.decoder[number]]
            bpe.encoder[name], bpe.decoder[number] = number, name
        bpe.cache = {name: name for name in names}
        bpe.pat = regex.compile(_CLIP_PIECES, regex.IGNORECASE)  # pyright: ignore[reportAttributeAccessIssue]
        return bpe

    def encode(self, text: str) -> list[int]:
        """Return token ids, without start and end."""
        return self._bpe.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of some ids, a space after each word."""
        return self._bpe.decode(ids)


_MOST_ID = 2**32 - 1


def _read_vocabulary(path: Path) -> dict[bytes, int]:
    """Return token bytes to id, from the JSON that spells bytes as printable letters."""
    letters = {letter: byte for byte, letter in enumerate(_byte_letters())}
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        ranks = {bytes(letters[c] for c in token): int(n) for token, n in values.items()}
        if _END_OF_TEXT.encode() not in ranks:
            raise ValueError(f"no token {_END_OF_TEXT}")
        ids = set(ranks.values())
        if len(ids) < len(ranks) or min(ids) < 0 or max(ids) > _MOST_ID:
            raise ValueError("ids of two tokens, or out of range")
        return ranks
    except FileNotFoundError as error:
        raise CheckpointError(
            f"GPT-2's vocabulary {path} is missing: the released models' captions can't be read "
            "without it. Fetch it with `glide-eval models fetch glide`."
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError, OSError, RecursionError,
            ArithmeticError) as error:  # fmt: skip
        raise CheckpointError(
            f"{path} is not GPT-2's vocabulary: expected the released encoder.json, a JSON object "
            f"of tokens and their ids ({type(error).__name__}: {error}). Fetch it again with "
            "`glide-eval models fetch glide`."
        ) from error


def _byte_letters() -> list[str]:
    """GPT-2's printable letter for each byte: itself where Latin-1 prints it, else from U+0100."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1),
                 *range(ord("®"), ord("ÿ") + 1)]  # fmt: skip
    spare = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]
