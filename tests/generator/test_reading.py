"""The text transformer's training on captions alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from generator.config import UNetConfig
from generator.tabletop.captions import parse
from generator.tabletop.scenes import COLORS, MATERIALS, SHAPES, SIZES
from generator.tabletop.words import WordTokenizer
from generator.text_unet import TextUNet
from generator.tokenizer import padded
from generator.training.captions import FACTS, PAIRS, Captions, Parser, answers, parsing_loss
from generator.training.optimiser import optimisers

CAPTION = "a small red cube behind a shiny blue sphere, and a green cone"
SMALL = UNetConfig(
    image_size=16, num_channels=32, num_res_blocks=1, channel_mult=(1,), dropout=0.0,
    attention_resolutions=(16,), num_head_channels=32, norm_groups=8,
    text_ctx=32, xf_width=64, xf_layers=1, xf_heads=2, n_vocab=48,
)  # fmt: skip


def in_words(numbers: np.ndarray) -> list[str | int | None]:
    """What a word's class numbers say."""
    relations = ("left", "right", "front", "behind")
    roles = [f"{place} of {r}" for place in ("first", "second") for r in relations]
    words = (SHAPES, COLORS, (*SIZES, None), (*MATERIALS, None), (*roles, None), (1, 2))
    return [names[n] for names, n in zip(words, numbers, strict=True)]


def test_every_word_of_an_object_is_to_tell_the_whole_object():
    of_words = answers([CAPTION], 32)[0][0]
    told = [None if (row < 0).all() else in_words(row) for row in of_words]
    cube = ["cube", "red", "small", None, "first of behind", 1]
    sphere = ["sphere", "blue", None, "shiny", "second of behind", 1]
    cone = ["cone", "green", None, None, None, 1]
    # words: a small red cube | behind | a shiny blue sphere | , and | a green cone | padding
    assert told == [*[cube] * 4, None, *[sphere] * 4, None, None, *[cone] * 3, *[None] * 18]


def test_twins_are_told_as_two():
    of_words, of_pairs = answers(["two large red cubes and a green cone"], 32)
    twins = ["cube", "red", "large", None, None, 2]
    told = [None if (row < 0).all() else in_words(row) for row in of_words[0]]
    assert told[:8] == [*[twins] * 4, None, *[["cone", "green", None, None, None, 1]] * 3]
    told_of_cubes = of_pairs[0][PAIRS.index(("red", "cube"))]
    assert {FACTS[k] for k in np.flatnonzero(told_of_cubes)} == {"named", "two", "large"}


def test_the_summary_is_to_tell_which_colour_goes_with_which_shape():
    of_pairs = answers([CAPTION], 32)[1][0]
    told = {PAIRS[i]: {FACTS[k] for k in np.flatnonzero(row)} for i, row in enumerate(of_pairs)}
    assert {pair: facts for pair, facts in told.items() if facts} == {
        ("red", "cube"): {"named", "small", "behind the second"},
        ("blue", "sphere"): {"named", "shiny", "the first is behind it"},
        ("green", "cone"): {"named"},
    }


def test_what_is_no_caption_of_the_grammar_is_refused():
    with pytest.raises(ValueError, match="'two cubes' is not of the tabletop's grammar"):
        answers(["two cubes"], 32)


def test_the_captions_name_every_pair():
    batch = Captions(300).batch(np.random.default_rng(0), 300)
    claims = [parse(caption) for caption in batch]
    assert {(m.color, m.shape) for claim in claims if claim for m in claim.mentions} == set(PAIRS)


def test_a_transformer_learns_which_colour_goes_with_which_shape():
    """A few captions by heart, among them two of the same words."""
    torch.manual_seed(0)
    captions = [
        "a red cube and a blue sphere",
        "a blue cube and a red sphere",
        CAPTION,
        "a red cone",
    ]
    parser = Parser(TextUNet(SMALL))
    together = optimisers(parser, "muon", 8e-3, 0.01)
    for _ in range(100):
        parser.zero_grad()
        parsing_loss(parser, captions, 32).backward()
        for one in together:
            one.step()
    tokens, mask = padded(WordTokenizer(), captions[:2], 32)
    with torch.no_grad():
        named = parser(tokens, mask)[1][:, :, FACTS.index("named")] > 0
    told = [{PAIRS[i] for i in row.nonzero()[:, 0]} for row in named]
    assert told[0] == {("red", "cube"), ("blue", "sphere")}
    assert told[1] == {("blue", "cube"), ("red", "sphere")}
