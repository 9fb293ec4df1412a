"""From captions to pictures: base model, guidance, upsampler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .clip import Clip
from .diffusion import Diffusion
from .errors import OptionError
from .guidance import classifier_free, unguided
from .options import Sampling
from .sampling import SAMPLERS, Denoiser, OnStep
from .seeds import BASE, UPSAMPLER, SampleNoise
from .stages import Stage
from .text_unet import TextCondition, TextUNet
from .tokenizer import Tokenizer, ended, padded

UPSAMPLER_TEMPERATURE = 0.997  # on the upsampler's initial noise, as in the released notebooks


@dataclass
class Pipeline:
    """Models on one device.

    Attributes:
        base: draws small pictures; fine-tuned for classifier-free guidance.
        upsampler: enlarges them.
        clip: the noised CLIP that may guide.
        weights: file name to sha256, for provenance.
        base_inpaint: the base model fine-tuned for inpainting, if there is one.
        upsample_inpaint: the upsampler likewise.
    """

    base: TextUNet
    upsampler: TextUNet
    clip: Clip
    tokenizer: Tokenizer
    weights: dict[str, str]
    device: torch.device
    dtype: torch.dtype = torch.float32
    base_inpaint: TextUNet | None = None
    upsample_inpaint: TextUNet | None = None

    @property
    def image_size(self) -> int:
        """Width and height of a finished picture."""
        return self.upsampler.config.image_size

    @torch.no_grad()
    def sample(
        self,
        captions: Sequence[str],
        seeds: Sequence[int],
        sampling: Sampling | None = None,
        *,
        on_step: OnStep | None = None,
    ) -> np.ndarray:
        """One picture a caption.

        Args:
            captions: texts; the tabletop miniature knows the words of its grammar.
            seeds: as many non-negative integers: each picture's noise.
            sampling: how; by default `Sampling()`.
            on_step: called after each step of either network.

        Returns:
            uint8 (n, image_size, image_size, 3). Equal bytes need equal batch sizes: float kernels
            differ between them, so callers that promise bytes fix the batch size.

        Raises:
            OptionError: impossible sampling, or other than one seed a caption.
        """
        sampling = sampling or Sampling()
        self.check(captions, seeds, sampling)
        small = self.sample_base(captions, seeds, sampling, on_step=on_step)
        return to_pictures(self.upsample(small, captions, seeds, sampling, on_step=on_step))

    def check(self, captions: Sequence[str], seeds: Sequence[int], sampling: Sampling) -> None:
        """Refuse what can't be sampled.

        Raises:
            OptionError: impossible sampling, or other than one seed a caption.
        """
        sampling.check()
        if len(captions) != len(seeds) or not captions:
            raise OptionError(
                f"Expected as many seeds as captions and at least one; found {len(captions)} "
                f"captions and {len(seeds)} seeds."
            )

    @torch.no_grad()
    def sample_base(
        self,
        captions: Sequence[str],
        seeds: Sequence[int],
        sampling: Sampling,
        stage: Stage | None = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Small pictures (n, 3, size, size) in -1..1; arguments as `sample`'s.

        `stage` is the base model's unless an edit brings its own.
        """
        stage = stage or Stage(self.base)
        config = stage.unet.config
        noise = SampleNoise(seeds, BASE, self.device)
        shape = (3, config.image_size, config.image_size)
        text = self._condition(stage.unet, captions)
        gradient = None
        if sampling.strategy == "classifier_free":
            empty = self._condition(stage.unet, [""] * len(captions))
            denoiser = classifier_free(stage.network, text, empty, float(sampling.scale or 1.0))
        else:
            denoiser = unguided(stage.network, text)
        if sampling.strategy == "clip":
            tokens, lengths = ended(self.tokenizer, captions, self.clip.config.max_text_len)
            target = self.clip.text_embeddings(tokens.to(self.device), lengths.to(self.device))
            gradient = stage.looking(self.clip.gradient(target, float(sampling.scale or 0.0)))
        x, diffusion = stage.start(
            noise.initial(shape), Diffusion(config.noise_schedule, str(sampling.steps))
        )
        return SAMPLERS[sampling.sampler](
            stage.looking(self._in_dtype(denoiser)),
            _channels_last(x),
            diffusion,
            lambda number: noise.step(number, shape),
            gradient=gradient,
            denoised_fn=stage.denoised_fn,
            on_step=on_step,
        ).clamp(-1, 1)

    @torch.no_grad()
    def upsample(
        self,
        small: Tensor,
        captions: Sequence[str],
        seeds: Sequence[int],
        sampling: Sampling,
        stage: Stage | None = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Large pictures (n, 3, image_size, image_size) in -1..1; arguments as `sample`'s.

        The small picture is quantised to 8 bits first, as the upsampler was trained. `stage` is
        the upsampler's unless an edit brings its own.
        """
        stage = stage or Stage(self.upsampler)
        config = stage.unet.config
        noise = SampleNoise(seeds, UPSAMPLER, self.device)
        shape = (3, config.image_size, config.image_size)
        low_res = _channels_last(to_uint8(small).float() / 127.5 - 1)
        text = self._condition(stage.unet, captions)
        steps = sampling.upsampler_steps
        as_released = steps == 27
        return SAMPLERS[stage.upsampler if as_released else sampling.sampler](
            stage.looking(self._in_dtype(unguided(stage.network, text, low_res))),
            _channels_last(noise.initial(shape) * UPSAMPLER_TEMPERATURE),
            Diffusion(config.noise_schedule, "fast27" if as_released else str(steps)),
            lambda number: noise.step(number, shape),
            denoised_fn=stage.denoised_fn,
            on_step=on_step,
        ).clamp(-1, 1)

    def _condition(self, unet: TextUNet, captions: Sequence[str]) -> TextCondition:
        tokens, mask = padded(self.tokenizer, captions, unet.config.text_ctx)
        return unet.condition(tokens.to(self.device), mask.to(self.device))

    def _in_dtype(self, denoiser: Denoiser) -> Denoiser:
        """Run the network in the pipeline's dtype; what surrounds it stays fp32."""
        if self.dtype == torch.float32:
            return denoiser

        def denoise(x: Tensor, t: Tensor) -> Tensor:
            with torch.autocast(self.device.type, self.dtype):
                return denoiser(x, t).float()

        return denoise


def to_uint8(x: Tensor) -> Tensor:
    """-1..1 to 0..255, rounded."""
    return ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def to_pictures(x: Tensor) -> np.ndarray:
    """(n, 3, size, size) in -1..1 to uint8 (n, size, size, 3)."""
    return to_uint8(x).permute(0, 2, 3, 1).cpu().numpy()


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
