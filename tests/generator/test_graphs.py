"""Pipelines and training steps through recorded graphs: on CUDA, and on a CPU with a stand-in."""

from __future__ import annotations

import dataclasses
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from torch._dynamo.testing import CompileCounter

from generator import acceleration
from generator.acceleration import GraphedForward, accelerate, accelerate_gradient
from generator.clip import Clip
from generator.diffusion import Diffusion
from generator.editing import inpaint
from generator.errors import GeneratorWarning
from generator.options import Sampling
from generator.pipeline import Pipeline
from generator.tabletop.words import WordTokenizer
from generator.text_unet import TextCondition, TextUNet
from generator.training.kinds import unet_batch, unet_loss
from generator.training.loop import Schedule, train
from tests.generator.recipe import with_recipe_weights
from tests.generator.test_gpu_without_gpu import CAPTIONS, CLIP, LARGE, SEEDS, SMALL
from tests.generator.test_speed import Recorder

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
UNETS = ("base", "upsampler", "base_inpaint", "upsample_inpaint")


@pytest.fixture(autouse=True)
def nothing_falls_back():
    """Graphs that can't be recorded are a warning to users, and a failure here."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", GeneratorWarning)
        yield


def pipeline_on(device: str, graphs: bool, dtype: torch.dtype = torch.float32) -> Pipeline:
    configs = [SMALL, LARGE, *(dataclasses.replace(c, inpaint=True) for c in (SMALL, LARGE))]
    unets = {}
    for name, config in zip(UNETS, configs, strict=True):
        unet = with_recipe_weights(TextUNet(config)).cast_torso(dtype).to(device)
        unet = unet.to(memory_format=torch.channels_last)
        capture = None if device == "cuda" else Recorder()
        unets[name] = accelerate(unet, "graphs" if graphs else "none", capture)
    clip = with_recipe_weights(Clip(CLIP)).to(device)
    capture = None if device == "cuda" else Recorder()
    return Pipeline(
        clip=accelerate_gradient(clip, "graphs" if graphs else "none", capture),
        tokenizer=WordTokenizer(), weights={}, device=torch.device(device), dtype=dtype, **unets,
    )  # fmt: skip


def recorded(pipeline: Pipeline) -> dict[str, int]:
    graphs = {name: pipeline.networks.get(name).forward.recorded for name in UNETS}
    return {name: count for name, count in graphs.items() if count}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("strategy", ["unguided", "classifier_free", "clip"])
def test_pictures_through_graphs_have_the_bytes_of_pictures_without(device, dtype, strategy):
    scale = {"classifier_free": 3.0, "clip": 2.0}.get(strategy)
    sampling = Sampling(strategy, scale, steps=3, upsampler_steps=2)
    plain, fast = pipeline_on(device, False, dtype), pipeline_on(device, True, dtype)
    expected = plain.sample(CAPTIONS, SEEDS, sampling)
    for _ in range(2):  # recorded, then replayed
        np.testing.assert_array_equal(fast.sample(CAPTIONS, SEEDS, sampling), expected)
    assert recorded(fast) == {"base": 1, "upsampler": 1}
    if strategy == "clip":
        assert fast.clip.similarity_gradient.recorded == 1


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("context", ["model", "implicit"])
def test_inpainting_through_graphs_has_the_bytes_of_inpainting_without(device, context):
    size = LARGE.image_size
    source = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    known = np.zeros((2, size, size), bool)
    known[:, :, : size // 2] = True
    sampling = Sampling("classifier_free", 3.0, steps=3, upsampler_steps=2)
    pictures = []
    for graphs in (False, True):
        pipeline = pipeline_on(device, graphs)
        pictures.append(
            inpaint(pipeline, CAPTIONS, SEEDS, source, known, sampling, context=context)
        )
    np.testing.assert_array_equal(pictures[1], pictures[0])
    base = "base_inpaint" if context == "model" else "base"
    assert recorded(pipeline) == {base: 1, "upsample_inpaint": 1}


@pytest.mark.parametrize("device", DEVICES)
def test_after_halving_smaller_graphs_are_recorded(device):
    pipeline = pipeline_on(device, True)
    sampling = Sampling("classifier_free", 3.0, steps=2, upsampler_steps=2)
    captions, seeds = CAPTIONS * 2, [1, 2, 3, 4]
    expected = pipeline_on(device, False).sample(captions, seeds, sampling, micro_batch=2)
    forward = pipeline.base.forward
    capture = forward._capture

    def small(function):
        if pipeline.halving.most is None:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return capture(function)

    forward._capture = small
    with pytest.warns(GeneratorWarning, match="making 4 pictures at once: going on with 2"):
        found = pipeline.sample(captions, seeds, sampling)
    np.testing.assert_array_equal(found, expected)
    assert recorded(pipeline) == {"base": 1, "upsampler": 1}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_training_step_in_each_precision_moves_the_weights(device, precision, tmp_path):
    unet = with_recipe_weights(TextUNet(SMALL)).to(device).requires_grad_(True)
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    process, place = Diffusion(SMALL.noise_schedule), torch.device(device)
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)

    def loss(rng: np.random.Generator, torch_rng: torch.Generator) -> torch.Tensor:
        batch = unet_batch(unet, WordTokenizer(), images, CAPTIONS, rng, 0.2)
        return unet_loss(unet, process, batch.to(place), torch_rng, getattr(torch, precision))

    schedule = Schedule(steps=2, lr=1e-3, warmup=1, loss_scaling=precision == "float16")
    train(unet, loss, schedule, tmp_path / "state.pt", log=lambda _: None)
    moved = [
        name for name, value in unet.state_dict().items() if not torch.equal(value, before[name])
    ]
    assert len(moved) > len(before) / 2


class Doubling(torch.nn.Module):
    """Stands in for a UNet: all of them share one function."""

    def forward(self, x, t, text):
        return 2 * x


@pytest.fixture
def compiled(monkeypatch):
    """Compiling without a compiler; counts the versions of the function."""
    torch._dynamo.reset()
    counter = CompileCounter()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=counter))
    yield counter
    torch._dynamo.reset()


@torch.no_grad()
def test_twelve_shapes_are_all_compiled(compiled):
    forward = acceleration._compiled(Doubling().forward)
    for rows in range(2, 14):
        assert forward(torch.ones(rows, 2), None, text=None).sum() == 4 * rows
    assert compiled.frame_count == 12


@torch.no_grad()
def test_a_shape_too_many_to_compile_is_told_and_recorded_uncompiled(compiled, monkeypatch):
    monkeypatch.setattr(acceleration, "_COMPILED_SHAPES", 2)
    plain, text = Doubling().forward, TextCondition(torch.zeros(1), [])
    forward = GraphedForward([acceleration._compiled(plain), plain], Recorder())
    for rows in (2, 3):
        forward(torch.ones(rows, 2), torch.zeros(rows), text)
    with pytest.warns(GeneratorWarning, match=r"Acceleration failed.*going on with a plain CUDA"):
        assert forward(torch.ones(4, 2), torch.zeros(4), text).sum() == 16
    assert forward.recorded == 1


@pytest.mark.gpu
@pytest.mark.parametrize("strategy", ["unguided", "classifier_free", "clip"])
def test_float32_on_cuda_draws_the_cpus_pictures(strategy):
    scale = {"classifier_free": 3.0, "clip": 2.0}.get(strategy)
    sampling = Sampling(strategy, scale, steps=5, upsampler_steps=5)
    ours, cpu = (
        pipeline_on(device, False).sample(CAPTIONS, SEEDS, sampling).astype(int)
        for device in ("cuda", "cpu")
    )
    assert np.abs(ours - cpu).max() <= 2  # grey levels; TF32 moved up to 63
