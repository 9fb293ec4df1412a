"""What becomes of a prompt on its way into a model: empty ones are refused, lost parts told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from glide_eval.errors import UsageError


def check_prompts(captions: Sequence[str]) -> list[str]:
    """Return prompts with the space around them taken off.

    Raises:
        UsageError: one of them is empty, or holds what no text file can hold.
    """
    stripped = [caption.strip() for caption in captions]
    for number, caption in enumerate(stripped, 1):
        if not caption:
            which = "The prompt" if len(stripped) == 1 else f"Prompt {number}"
            raise UsageError(
                f"{which} is empty: expected words that say what the picture shows. For pictures "
                "of nothing in particular there is no command; write what you would like to see."
            )
        if not _writable(caption):
            raise UsageError(
                f"The prompt {ascii(caption)[:80]} holds bytes that are no text in UTF-8 or a NUL: "
                "expected words. Type it anew."
            )
    return stripped


def _writable(text: str) -> bool:
    """Whether a text can be written to a file and read back."""
    try:
        return "\0" not in text and bool(text.encode("utf-8"))
    except UnicodeEncodeError:  # half of a surrogate pair, as of an argument in another encoding
        return False


def prompt_notes(pipeline: Any, captions: Sequence[str], guided_by_clip: bool = False) -> list[str]:
    """Return what a model will not read of some captions, one line each; nothing if it reads all.

    Args:
        pipeline: a `generator.pipeline.Pipeline`.
        captions: not empty.
        guided_by_clip: whether the noised CLIP reads them too, which may read less.
    """
    notes: list[str] = []
    for caption in dict.fromkeys(captions):
        if lost := pipeline.cut_off(caption, guided_by_clip):
            notes.append(
                f"{_short(caption)!r} is too long for this model: its end, {_short(lost)!r}, is "
                "cut off and has no influence."
            )
        unknown = _unknown_words(pipeline.tokenizer, caption)
        if unknown:
            notes.append(
                f"{_short(caption)!r} has what this model has no word for: {', '.join(unknown)}. "
                "The bundled miniature knows the captions of its tabletop world only, such as "
                "'a large shiny red sphere'."
            )
    return notes


def _unknown_words(tokenizer: Any, caption: str) -> list[str]:
    """Words of which a word tokenizer knows nothing; a byte-pair tokenizer knows all."""
    unknown = getattr(tokenizer, "unknown_token", None)
    if unknown is None:
        return []
    words = [word.strip(".,;:!?\"'") for word in caption.split()]
    return [_short(word) for word in dict.fromkeys(words) if _lost(tokenizer, word, unknown)]


def _lost(tokenizer: Any, word: str, unknown: int) -> bool:
    ids = tokenizer.encode(word)
    return bool(word) and (not ids or unknown in ids)


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"
