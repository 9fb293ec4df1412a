"""Damaged weights and configs: a sentence instead of noise, a traceback or an endless build."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from generator.checkpoints import check_ours, load_clip, load_unet, read_config, read_notes, save
from generator.clip import Clip
from generator.config import ClipConfig, UNetConfig
from generator.errors import CheckpointError, SamplingError
from generator.finite import Watch
from generator.loading import load_pipeline
from generator.options import Sampling
from generator.pipeline import Pipeline
from generator.text_unet import TextUNet

QUICK = Sampling(strategy="unguided", steps=2, upsampler_steps=2)
SMALL = UNetConfig(
    image_size=16, num_channels=32, num_res_blocks=1, channel_mult=(1, 2), num_head_channels=32,
    attention_resolutions=(8,), text_ctx=8, xf_width=32, xf_layers=1, xf_heads=2, n_vocab=64,
    norm_groups=8,
)  # fmt: skip
SMALL_CLIP = ClipConfig(
    image_size=16, patch_size=8, n_timesteps=10, n_vocab=64, max_text_len=8, n_embd=32,
    n_head_text=2, n_head_state_text=16, n_xf_blocks_text=1, n_head_image=2,
    n_head_state_image=16, n_xf_blocks_image=1,
)  # fmt: skip


@pytest.fixture
def pipeline() -> Pipeline:
    return load_pipeline("tabletop", optional=())


def spoil(network: nn.Module) -> None:
    """Make one weight of the network no number."""
    with torch.no_grad():
        next(iter(network.parameters())).view(-1)[0] = float("nan")


@pytest.mark.parametrize(
    ("part", "name", "sampling"),
    [
        ("base", "base model", QUICK),
        ("upsampler", "upsampler", QUICK),
        ("clip", "base model", Sampling(strategy="clip", scale=2.0, steps=2, upsampler_steps=2)),
    ],
)
def test_one_weight_that_is_no_number_ends_sampling_with_a_sentence(pipeline, part, name, sampling):
    spoil(getattr(pipeline, part))
    with pytest.raises(SamplingError, match=rf"The {name} gave numbers .* 2 of 2 .*seed 7"):
        pipeline.sample(["a red cube", "a blue cone"], [7, 8], sampling)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_the_picture_and_the_step_that_overflowed_are_named(value):
    watch = Watch("base model")

    def denoiser(x, t):
        prediction = x.clone()
        if int(t[0]) == 400:
            prediction[1, 0, 0] = value
        return prediction

    x = torch.zeros(3, 3, 4, 4)
    for t in (800, 400, 0):
        watch.looking(denoiser)(x, torch.full((3,), t))
    with pytest.raises(SamplingError, match=r"1 of 3 pictures, .* t = 400 .*'b', seed 6"):
        watch.require_finite(x, ["a", "b", "c"], [5, 6, 7])


def test_finite_pictures_pass():
    watch = Watch("base model")
    x = torch.ones(1, 3, 4, 4)
    assert watch.require_finite(watch.looking(lambda x, t: x)(x, torch.zeros(1)), ["a"], [1]) is x


def rewritten(path: Path, model: nn.Module, settings, **metadata) -> Path:
    """Save a model whose file says something else of itself."""
    told = {"class": type(model).__name__, "config": json.dumps(settings.to_dict()), "notes": "{}"}
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path, told | metadata)
    return path


CONFIGS = {
    "endless": {"xf_layers": 10**6},
    "huge": {"image_size": 10**9},
    "text": {"num_channels": "32"},
    "negative": {"num_res_blocks": -1},
    "zero": {"xf_heads": 0},
    "odd heads": {"num_head_channels": 7},
    "no groups": {"norm_groups": 5},
    "no multipliers": {"channel_mult": None, "image_size": 17},
    "levels": {"channel_mult": [1] * 100},
    "schedule": {"noise_schedule": "none"},
    "unknown": {"layers": 3},
    "truth": {"super_res": 1},
    "dropout": {"dropout": "much"},
}


@pytest.mark.parametrize("change", CONFIGS.values(), ids=CONFIGS)
def test_a_config_of_no_network_is_refused(tmp_path, change):
    values = json.dumps(SMALL.to_dict() | change)
    path = rewritten(tmp_path / "a.safetensors", TextUNet(SMALL), SMALL, config=values)
    for look in (load_unet, check_ours):
        with pytest.raises(CheckpointError, match=r"a\.safetensors"):
            look(path)


@pytest.mark.parametrize("text", ["[]", "5", "null", "[" * 100_000, "{", '"x"'])
@pytest.mark.parametrize("key", ["config", "notes"])
def test_metadata_that_is_no_object_is_refused(tmp_path, text, key):
    path = rewritten(tmp_path / "a.safetensors", TextUNet(SMALL), SMALL, **{key: text})
    with pytest.raises(CheckpointError, match=r"a\.safetensors"):
        read_config(path) if key == "config" else read_notes(path)


@pytest.mark.parametrize("change", [{"n_xf_blocks_text": 10**6}, {"patch_size": 0}, {"n_embd": []}])
def test_a_clip_config_of_no_network_is_refused(tmp_path, change):
    values = json.dumps(SMALL_CLIP.to_dict() | change)
    path = rewritten(tmp_path / "a.safetensors", Clip(SMALL_CLIP), SMALL_CLIP, config=values)
    with pytest.raises(CheckpointError, match=r"a\.safetensors"):
        load_clip(path)


def test_whole_files_load(tmp_path):
    save(tmp_path / "unet.safetensors", TextUNet(SMALL), SMALL, {})
    assert load_unet(tmp_path / "unet.safetensors").config == SMALL
    save(tmp_path / "clip.safetensors", Clip(SMALL_CLIP), SMALL_CLIP, {})
    assert load_clip(tmp_path / "clip.safetensors").config == SMALL_CLIP
