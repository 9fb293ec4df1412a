"""Captions become the released code's token ids, and what does not fit is named."""

from __future__ import annotations

import gzip
import json
import os
import socket
from pathlib import Path

import pytest

from generator.bpe import ClipTokenizer, Gpt2Tokenizer
from generator.errors import CheckpointError
from generator.tabletop.words import WordTokenizer
from generator.tokenizer import cut_off, ended, padded
from tests.generator.recipe import GOLDEN

EXPECTED = json.loads((GOLDEN / "tokenizer.json").read_text("utf-8"))
PROMPTS = EXPECTED["prompts"]
REDUCED = GOLDEN / "gpt2_vocabulary.json"  # made by reduce_vocabulary.py
# GPT-2's whole encoder.json, gzipped or not; tested as well where somebody names it.
FULL = os.environ.get("GLIDE_EVAL_TEST_GPT2_VOCABULARY")


@pytest.fixture(scope="module", params=["reduced", *(["full"] if FULL else [])])
def gpt2(request, tmp_path_factory) -> Gpt2Tokenizer:
    if request.param == "reduced":
        return Gpt2Tokenizer(REDUCED)
    content = Path(FULL).read_bytes()
    path = tmp_path_factory.mktemp("vocabulary") / "encoder.json"
    path.write_bytes(gzip.decompress(content) if FULL.endswith(".gz") else content)
    return Gpt2Tokenizer(path)


@pytest.fixture(scope="module")
def clip() -> ClipTokenizer:
    return ClipTokenizer()


def test_gpt2_ids_are_the_released_codes(gpt2):
    assert (gpt2.n_vocab, gpt2.end_token) == (50257, 50256)
    for row in PROMPTS:
        assert gpt2.encode(row["prompt"]) == row["base"]["ids"], row["prompt"]
        assert gpt2.decode(row["base"]["ids"]) == row["base"]["decoded"], row["prompt"]
    tokens, mask = padded(gpt2, [row["prompt"] for row in PROMPTS], 128)
    assert tokens.tolist() == [row["base"]["padded128"] for row in PROMPTS]
    assert mask.sum(1).tolist() == [row["base"]["n_valid"] for row in PROMPTS]


def test_clip_ids_are_the_released_codes(clip):
    for row in PROMPTS:
        assert clip.encode(row["prompt"]) == row["clip"]["ids"], row["prompt"]
        assert clip.decode(row["clip"]["ids"]) == row["clip"]["decoded"], row["prompt"]
    tokens, lengths = ended(clip, [row["prompt"] for row in PROMPTS], 77)
    assert tokens.tolist() == [row["clip"]["padded77"] for row in PROMPTS]
    assert lengths.tolist() == [row["clip"]["len"] for row in PROMPTS]


def test_no_tokenizer_goes_to_the_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a tokenizer opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    assert ClipTokenizer().encode("a corgi")
    assert Gpt2Tokenizer(REDUCED).encode("a corgi")


def test_the_part_of_a_caption_that_is_cut_off_is_named(gpt2, clip):
    words = WordTokenizer()
    assert cut_off(words, "a red cube, and a blue cone", 4) == "and a blue cone"
    assert cut_off(words, "a red cube, and a blue cone", 8) == ""
    assert cut_off(words, "a red corgi", 2) == "?"
    assert cut_off(gpt2, "an oil painting of a corgi", 5) == "corgi"
    assert cut_off(gpt2, "an oil painting of a corgi", 7) == ""
    # CLIP's start and end token take two places.
    assert cut_off(clip, "an oil painting of a corgi", 7, ended=True) == "corgi"
    assert cut_off(clip, "an oil painting of a corgi", 8, ended=True) == ""
    long = PROMPTS[24]["prompt"]
    assert long.lower().endswith(cut_off(gpt2, long, 128))


def test_a_missing_or_foreign_vocabulary_names_the_command_that_fetches_it(tmp_path):
    with pytest.raises(CheckpointError, match=r"missing.*glide-eval models fetch glide"):
        Gpt2Tokenizer(tmp_path / "encoder.json")
    for content in (b"<html>404</html>", b"[1, 2]", b'{"a": 1}', b"\xff\xfe"):
        (tmp_path / "encoder.json").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"not GPT-2's vocabulary"):
            Gpt2Tokenizer(tmp_path / "encoder.json")
