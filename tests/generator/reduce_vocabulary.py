"""Reduce GPT-2's vocabulary to what the golden prompts need, so that tests carry kilobytes of it.

    python -m tests.generator.reduce_vocabulary encoder.json[.gz]

Keeps every byte, the end token, and every merge met while encoding those prompts: byte-pair
encoding takes the same steps with the rest gone, and ends at the same ids.
"""

from __future__ import annotations

import gzip
import itertools
import json
import sys
from pathlib import Path

import regex

from generator.bpe import _GPT2_PIECES, _byte_letters
from tests.generator.recipe import GOLDEN

REDUCED = GOLDEN / "gpt2_vocabulary.json"


def main(source: Path) -> None:
    content = source.read_bytes()
    full = json.loads(gzip.decompress(content) if source.suffix == ".gz" else content)
    letters = _byte_letters()
    kept = {*letters, "<|endoftext|>"}
    for row in json.loads((GOLDEN / "tokenizer.json").read_text("utf-8"))["prompts"]:
        for piece in regex.findall(_GPT2_PIECES, row["prompt"].lower()):
            kept |= tokens_met([letters[byte] for byte in piece.encode()], full)
    ids = {token: full[token] for token in sorted(kept, key=full.__getitem__)}
    REDUCED.write_text(json.dumps(ids, indent=0) + "\n", encoding="utf-8")
    print(f"{len(ids):,} of {len(full):,} tokens in {REDUCED}")


def tokens_met(parts: list[str], ids: dict[str, int]) -> set[str]:
    """Merge the pair of lowest id until none is a token; all tokens on the way."""
    met = set(parts)
    while pairs := [
        (ids[a + b], i) for i, (a, b) in enumerate(itertools.pairwise(parts)) if a + b in ids
    ]:
        _, i = min(pairs)
        parts = [*parts[:i], parts[i] + parts[i + 1], *parts[i + 2 :]]
        met.add(parts[i])
    return met


if __name__ == "__main__":
    main(Path(sys.argv[1]))
