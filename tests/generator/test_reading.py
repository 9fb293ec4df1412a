"""The text transformer's training on captions alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from generator.config import UNetConfig
from generator.tabletop.captions import parse
from generator.tabletop.scenes import COLORS, HELD_OUT, MATERIALS, SHAPES, SIZES
from generator.text_unet import TextUNet
from generator.training.captions import ASKED, Captions, Parser, answers, parsing_loss

CAPTION = "a small red cube behind a shiny blue sphere, and a green cone"
SMALL = UNetConfig(
    image_size=16, num_channels=32, num_res_blocks=1, channel_mult=(1,), dropout=0.0,
    attention_resolutions=(16,), num_head_channels=32, norm_groups=8,
    text_ctx=32, xf_width=64, xf_layers=1, xf_heads=2, n_vocab=48,
)  # fmt: skip


def facts(numbers: np.ndarray) -> list[str | None]:
    """Class numbers in words."""
    roles = [
        f"{place} of {r}"
        for place in ("first", "second")
        for r in ("left", "right", "front", "behind")
    ]
    words = (SHAPES, COLORS, (*SIZES, None), (*MATERIALS, None), (*roles, None))
    return [names[n] for names, n in zip(words, numbers, strict=True)]


def test_every_word_of_an_object_is_to_tell_the_whole_object():
    of_words, of_objects = (a[0] for a in answers([CAPTION], 32))
    told = [None if (row < 0).all() else facts(row) for row in of_words]
    cube = ["cube", "red", "small", None, "first of behind"]
    sphere = ["sphere", "blue", None, "shiny", "second of behind"]
    cone = ["cone", "green", None, None, None]
    # words: a small red cube | behind | a shiny blue sphere | , and | a green cone | padding
    assert told == [*[cube] * 4, None, *[sphere] * 4, None, None, *[cone] * 3, *[None] * 18]
    assert [facts(row) for row in of_objects] == [cube, sphere, cone]


def test_of_an_object_that_a_caption_does_not_have_the_answer_is_that_there_is_none():
    _, of_objects = answers(["a red cube"], 32)
    assert of_objects[0, 1:].tolist() == [list(ASKED.values())] * 2


def test_what_is_no_caption_of_the_grammar_is_refused():
    with pytest.raises(ValueError, match="'two cubes' is not of the tabletop's grammar"):
        answers(["two cubes"], 32)


def test_the_captions_name_no_held_out_combination():
    batch = Captions(300).batch(np.random.default_rng(0), 300)
    claims = [parse(caption) for caption in batch]
    pairs = {(m.color, m.shape) for claim in claims if claim for m in claim.mentions}
    assert len(pairs) == 15
    assert not pairs & set(HELD_OUT)


def test_a_transformer_learns_which_colour_goes_with_which_shape():
    torch.manual_seed(0)
    captions, rng = Captions(500), np.random.default_rng(1)
    parser = Parser(TextUNet(SMALL))
    optimiser = torch.optim.AdamW(parser.parameters(), lr=3e-3)
    for _ in range(250):
        optimiser.zero_grad()
        parsing_loss(parser, captions.batch(rng, 48), 32).backward()
        optimiser.step()
    swapped = ["a red cube and a blue sphere", "a blue cube and a red sphere"]
    with torch.no_grad():
        assert parsing_loss(parser, swapped, 32) < 0.1
