"""`low_memory`: never two UNets in memory, whatever is drawn; its peak at full size."""

from __future__ import annotations

import dataclasses
import gc
import weakref

import numpy as np
import pytest
import torch

import generator.unet
from generator.config import GLIDE_BASE, GLIDE_CLIP, GLIDE_UPSAMPLE
from generator.editing import SceneStep, build_scene, from_sketch, inpaint
from generator.networks import LazyModel
from generator.options import Sampling
from generator.pipeline import Pipeline
from generator.tabletop.words import WordTokenizer
from generator.text_unet import TextUNet
from tests.generator.fake_gpu import DeviceBytes, fake_gpu, fake_mode, fake_unet
from tests.generator.recipe import with_recipe_weights
from tests.generator.test_gpu_without_gpu import CAPTIONS, LARGE, SEEDS, SMALL

SAMPLING = Sampling("classifier_free", 3.0, steps=2, upsampler_steps=2)
SIZE = LARGE.image_size
SOURCE = np.zeros((2, SIZE, SIZE, 3), np.uint8)
KNOWN = np.zeros((2, SIZE, SIZE), bool)
KNOWN[:, :4] = True
WORK = {
    "sampling": lambda p: p.sample(CAPTIONS, SEEDS, SAMPLING, micro_batch=1),
    "inpainting": lambda p: inpaint(p, CAPTIONS, SEEDS, SOURCE, KNOWN, SAMPLING),
    "implicit": lambda p: inpaint(p, CAPTIONS, SEEDS, SOURCE, KNOWN, SAMPLING, context="implicit"),
    "sketch": lambda p: from_sketch(p, CAPTIONS, SEEDS, SOURCE, 0.7, SAMPLING),
    "scene": lambda p: list(build_scene(
        p, [SceneStep("a red cube"), SceneStep("a blue cone", KNOWN[0])], [1], sampling=SAMPLING
    )),
}  # fmt: skip


@pytest.fixture
def counted():
    """A pipeline in low memory, and the largest number of UNets that lived at once."""
    living: weakref.WeakSet[TextUNet] = weakref.WeakSet()
    most = [0]

    def lazy(config):
        def load() -> TextUNet:
            unet = with_recipe_weights(TextUNet(config))
            living.add(unet)
            most[0] = max(most[0], len(living))
            return unet

        return LazyModel(lambda: config, load)

    tuned = [dataclasses.replace(config, inpaint=True) for config in (SMALL, LARGE)]
    pipeline = Pipeline(
        lazy(SMALL), lazy(LARGE), LazyModel(lambda: None, torch.nn.Identity), WordTokenizer(), {},
        torch.device("cpu"), base_inpaint=lazy(tuned[0]), upsample_inpaint=lazy(tuned[1]),
        low_memory=True,
    )  # fmt: skip
    return pipeline, most


@pytest.mark.parametrize("work", list(WORK))
def test_in_low_memory_no_two_unets_live_at_once(counted, work):
    pipeline, most = counted
    WORK[work](pipeline)
    assert most == [1]


@pytest.mark.slow
@pytest.mark.parametrize("work", ["sampling", "inpainting"])
def test_a_full_size_picture_in_low_memory_takes_a_gigabyte(monkeypatch, work):
    # Attention that stores no weights, as on a GPU.
    monkeypatch.setattr(generator.unet, "attend", lambda q, k, v: torch.empty_like(q))
    size = GLIDE_UPSAMPLE.image_size
    with fake_gpu(monkeypatch, fake_mode()), DeviceBytes() as counted:

        def lazy(config):
            return LazyModel(lambda: config, lambda: fake_unet(config, torch.float16))

        base, upsampler = (dataclasses.replace(c, n_vocab=50257) for c in
                           (GLIDE_BASE, GLIDE_UPSAMPLE))  # fmt: skip
        pipeline = Pipeline(
            lazy(base), lazy(upsampler), LazyModel(lambda: GLIDE_CLIP, torch.nn.Identity),
            WordTokenizer(), {}, torch.device("cuda"), torch.float16, low_memory=True,
            base_inpaint=lazy(dataclasses.replace(base, inpaint=True)),
            upsample_inpaint=lazy(dataclasses.replace(upsampler, inpaint=True)),
        )  # fmt: skip
        monkeypatch.setattr(type(pipeline), "image_size", size)
        monkeypatch.setattr(
            "generator.pipeline.to_pictures", lambda x: np.zeros((1, size, size, 3))
        )
        monkeypatch.setattr("generator.editing.to_pictures", lambda x: np.zeros((1, size, size, 3)))
        if work == "sampling":
            pipeline.sample(CAPTIONS[:1], [1], SAMPLING)
        else:
            source, known = np.zeros((1, size, size, 3), np.uint8), np.zeros((1, size, size), bool)
            monkeypatch.setattr(
                "generator.editing._to_tensors",
                lambda *_: (torch.empty(1, 3, size, size, device="cuda"),
                            torch.empty(1, 1, size, size, device="cuda")),
            )  # fmt: skip
            inpaint(pipeline, CAPTIONS[:1], [1], source, known, SAMPLING)
        del pipeline
        gc.collect()
    print(f"{work}: {counted.peak / 1e9:.2f} GB")
    assert counted.peak < 1.0e9
