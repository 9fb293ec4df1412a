"""Growing a UNet for inpainting, and the regions that are erased from its training pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from generator.checkpoints import load_unet, save
from generator.config import UNetConfig
from generator.errors import OptionError
from generator.tabletop.words import WordTokenizer
from generator.text_unet import TextUNet
from generator.tokenizer import padded
from generator.training import tabletop
from generator.training.inpainting import REGIONS, grown, known_regions
from generator.training.loop import Schedule
from tests.generator.recipe import random_input, with_recipe_weights
from tests.generator.test_sampling import TINY, TINY_UP


@pytest.mark.parametrize("config", [TINY, TINY_UP], ids=["base", "upsampler"])
def test_a_grown_model_predicts_what_it_did_whatever_is_known(config: UNetConfig):
    model = with_recipe_weights(TextUNet(config))
    larger = grown(model)
    assert larger.config == replace(config, inpaint=True)
    size = config.image_size
    x, image = (random_input(seed, (2, 3, size, size)) for seed in (1, 2))
    mask = torch.from_numpy(known_regions(np.random.default_rng(0), 2, size))
    low = random_input(3, (2, 3, size // 2, size // 2)) if config.super_res else None
    t = torch.tensor([3, 700])
    text = model.condition(*padded(WordTokenizer(), ["a red cube", ""], config.text_ctx))
    with torch.no_grad():
        expected = model(x, t, text, low)
        torch.testing.assert_close(larger(x, t, text, low, image, mask), expected)
    with pytest.raises(OptionError, match="inpaints already"):
        grown(larger)


def test_erased_regions_are_of_every_kind_and_come_from_the_generator_alone():
    masks = known_regions(np.random.default_rng(5), 400, 32)
    assert masks.shape == (400, 1, 32, 32)
    assert masks.dtype == np.float32
    assert set(np.unique(masks)) == {0.0, 1.0}
    np.testing.assert_array_equal(masks, known_regions(np.random.default_rng(5), 400, 32))
    erased = 1 - masks.mean(axis=(1, 2, 3))
    assert erased.min() > 0, "every picture has something to paint"
    whole = (erased == 1).mean()
    assert abs(whole - REGIONS["everything"]) < 0.05
    assert 0.1 < np.median(erased[erased < 1]) < 0.6


def test_the_miniatures_inpainting_recipe_trains_on_from_the_base_model(tmp_path, monkeypatch):
    class FewPictures:
        web = None

        def __init__(self, *args, **kwargs): ...

        def batch(self, rng: np.random.Generator, size: int, pairs: float, noise: bool):
            chosen = rng.integers(2, size=size)
            flat = torch.tensor([-0.5, 0.5])[torch.from_numpy(chosen)]
            pictures = flat[:, None, None, None].expand(-1, 3, 16, 16)
            return pictures, [("a red cube", "a blue cube")[i] for i in chosen]

    monkeypatch.setattr(tabletop, "Corpus", FewPictures)
    short = Schedule(3, 1e-3, warmup=1, ema=0.5)
    recipe = replace(tabletop.RECIPES["base-inpaint"], schedule=short, batch=4)
    monkeypatch.setitem(tabletop.RECIPES, "base-inpaint", recipe)
    start = with_recipe_weights(TextUNet(TINY))
    save(tmp_path / "base.safetensors", start, TINY, {})
    tabletop.MAKERS["base-inpaint"](tmp_path, tmp_path, "cpu")
    trained = load_unet(tmp_path / "base-inpaint.safetensors")
    assert trained.config.inpaint
    first = trained.input_blocks[0][0].weight
    assert first.shape[1] == 7
    assert first[:, 3:].abs().max() > 0, "the new channels were trained"
