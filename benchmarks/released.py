"""The released code (openai/glide-text2im) beside ours: same weights, same captions, same steps.

Nothing of it is part of this project: `--reference` names a clone, which is imported from there.
Weights are random, drawn by the golden data's recipe: speed does not depend on their values.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from generator.acceleration import accelerate
from generator.config import UNetConfig
from generator.text_unet import TextUNet
from tests.generator.recipe import with_recipe_weights

CAPTION = "an oil painting of a corgi"


def our_unet(
    config: UNetConfig, dtype: torch.dtype, device: str = "cpu", acceleration: str = "auto"
) -> TextUNet:
    """One of our UNets with recipe weights, placed as `load_pipeline` places it."""
    unet = with_recipe_weights(TextUNet(config)).cast_torso(dtype).to(device)
    return accelerate(unet.to(memory_format=torch.channels_last), acceleration)


@dataclass
class Released:
    """The released code's model and diffusion, driven as its text2im notebook drives them."""

    model: Any
    diffusion: Any
    tokens: Tensor
    mask: Tensor

    @classmethod
    def build(
        cls, clone: Path, steps: str, upsampler: bool = False, fp16: bool = False,
        device: str = "cpu",
    ) -> Released:  # fmt: skip
        """Full size, with the same recipe weights as `our_unet`'s."""
        if str(clone) not in sys.path:
            sys.path.insert(0, str(clone))
        creation = importlib.import_module("glide_text2im.model_creation")
        options = (
            creation.model_and_diffusion_defaults_upsampler()
            if upsampler
            else creation.model_and_diffusion_defaults()
        )
        options |= {"use_fp16": fp16, "timestep_respacing": steps}
        model, diffusion = creation.create_model_and_diffusion(**options)
        with_recipe_weights(model)
        if fp16:
            model.convert_to_fp16()
        ids = model.tokenizer.encode(CAPTION)
        tokens, mask = model.tokenizer.padded_tokens_and_mask(ids, options["text_ctx"])
        return cls(
            model.to(device), diffusion,
            torch.tensor([tokens], device=device), torch.tensor([mask], device=device),
        )  # fmt: skip

    def captions(self, batch: int) -> dict[str, Tensor]:
        """The caption's tokens and mask as keyword arguments of its model."""
        return {"tokens": self.tokens.repeat(batch, 1), "mask": self.mask.repeat(batch, 1)}

    def empty(self, batch: int) -> dict[str, Tensor]:
        """The empty caption's."""
        end = self.model.tokenizer.end_token
        return {
            "tokens": torch.full_like(self.tokens, end).repeat(batch, 1),
            "mask": torch.zeros_like(self.mask).repeat(batch, 1),
        }

    def guided(self, x: Tensor, scale: float = 3.0) -> Tensor:
        """Ancestral sampling with classifier-free guidance: x_T (batch, 3, 64, 64) to pictures."""
        batch = len(x)
        text, empty = self.captions(batch), self.empty(batch)
        both = {key: torch.cat([text[key], empty[key]]) for key in text}

        def model_fn(x_t: Tensor, ts: Tensor, **kwargs: Tensor) -> Tensor:
            half = x_t[: len(x_t) // 2]
            out = self.model(torch.cat([half, half]), ts, **kwargs)
            eps, rest = out[:, :3], out[:, 3:]
            conditional, unconditional = eps.chunk(2)
            eps = unconditional + scale * (conditional - unconditional)
            return torch.cat([torch.cat([eps, eps]), rest], dim=1)

        return self.diffusion.p_sample_loop(
            model_fn, (2 * batch, *x.shape[1:]), noise=torch.cat([x, x]), device=x.device,
            clip_denoised=True, progress=False, model_kwargs=both, cond_fn=None,
        )[:batch]  # fmt: skip

    def upsampled(self, x: Tensor, low_res: Tensor) -> Tensor:
        """DDIM from x_T (batch, 3, 256, 256) and the small pictures."""
        return self.diffusion.ddim_sample_loop(
            self.model, x.shape, noise=x, device=x.device, clip_denoised=True, progress=False,
            model_kwargs={**self.captions(len(x)), "low_res": low_res}, cond_fn=None,
        )  # fmt: skip
