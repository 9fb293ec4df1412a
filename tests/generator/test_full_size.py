"""The released sizes, under the golden weight recipe, against the released code's outputs.

Forward passes of 385 to 400 million parameters: the slowest tests of the generator, still seconds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from generator.clip import Clip
from generator.config import GLIDE_BASE, GLIDE_CLIP, GLIDE_UPSAMPLE
from generator.text_unet import TextUNet
from tests.generator.recipe import GOLDEN, entry, golden, random_input

pytestmark = pytest.mark.slow


def test_the_recipe_gives_the_weights_the_golden_data_was_made_with():
    for row in json.loads((GOLDEN / "recipe_check.json").read_text())["entries"]:
        values = entry(row["name"], tuple(row["shape"]))
        assert hashlib.sha256(values.tobytes()).hexdigest() == row["sha256"], row["name"]


def test_the_full_base_model_matches_block_by_block():
    data = tensors("full_base")
    unet = full_size(lambda: TextUNet(GLIDE_BASE))
    seen: dict[str, torch.Tensor] = {}
    blocks = [
        *((f"input_blocks.{i}", block) for i, block in enumerate(unet.input_blocks)),
        ("middle_block", unet.middle_block),
        *((f"output_blocks.{i}", block) for i, block in enumerate(unet.output_blocks)),
    ]
    for name, block in blocks:
        block.register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out}))
    with torch.no_grad():
        summary, sequence = unet.read_text(data["tokens"], data["mask"])
        out = unet(data["x"], data["t"], unet.condition(data["tokens"], data["mask"]))
    close(summary, data["xf_proj"], 5e-5)
    close(sequence.transpose(1, 2)[:, :, :8], data["xf_out_first8"], 5e-5)
    names = [str(name) for name in golden("full_base")["block_names"]]
    assert list(seen) == names
    for name, (mean, std) in zip(names, data["block_mean_std"].tolist(), strict=True):
        assert seen[name].std().item() == pytest.approx(std, rel=1e-4), name
        assert seen[name].mean().item() == pytest.approx(mean, abs=1e-4 * std), name
    close(out, data["out"], 5e-5)


def test_the_full_upsampler_matches():
    data = tensors("full_upsample")
    unet = full_size(lambda: TextUNet(GLIDE_UPSAMPLE))
    with torch.no_grad():
        out = unet(
            random_input(22, (1, 3, 256, 256)),
            data["t"],
            unet.condition(data["tokens"], data["mask"]),
            low_res=random_input(23, (1, 3, 64, 64), 0.5).clamp(-1, 1),
        )
    close(out[:, :, ::8, ::8], data["out_stride8"], 2e-4)
    mean_std = torch.stack([out.mean((0, 2, 3)), out.std((0, 2, 3))], dim=-1)
    close(mean_std.double(), data["out_mean_std"], 2e-4)


def test_the_full_noised_clip_matches():
    data = tensors("full_clip")
    with torch.device("meta"):
        clip = Clip(GLIDE_CLIP)
    for encoder in (clip.text_encoder, clip.image_encoder):
        fill_by_recipe(encoder)
    images = data["image"].expand(3, -1, -1, -1)
    text = clip.text_encoder(data["tokens"], data["lens"])
    close(text, data["text_raw"], 1e-4)
    close(clip.text_embeddings(data["tokens"], data["lens"]), data["text_embeddings"], 1e-5)
    close(clip.image_encoder((images + 1) * 127.5, data["t"]), data["image_raw"], 1e-4)
    close(clip.image_embeddings(images, data["t"]), data["image_embeddings"], 1e-5)
    assert np.log(clip.logit_scale) == pytest.approx(float(data["logit_scale"]), rel=1e-6)
    gradient = clip.gradient(data["text_embeddings"][:1], 3.0)(data["image"], data["cond_t"])
    close(gradient, data["cond_grad"], 1e-4 * data["cond_grad"].abs().max().item())


def full_size(build: Callable[[], TextUNet]) -> TextUNet:
    """Built without memory, then filled: full size never exists twice."""
    with torch.device("meta"):
        unet = build()
    return fill_by_recipe(unet).to(memory_format=torch.channels_last)


def fill_by_recipe(module: nn.Module) -> nn.Module:
    state = {
        name: torch.from_numpy(entry(name, tuple(value.shape)))
        for name, value in module.state_dict().items()
    }
    module.load_state_dict(state, assign=True)
    return module.eval().requires_grad_(False)


def tensors(name: str) -> dict[str, torch.Tensor]:
    return {k: torch.from_numpy(v) for k, v in golden(name).items() if v.dtype.kind in "fiub"}


def close(ours: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    torch.testing.assert_close(ours, expected, rtol=0, atol=tolerance)
