"""From captions to pictures: base model, guidance, upsampler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from .clip import Clip
from .diffusion import Diffusion
from .errors import OptionError
from .guidance import classifier_free, unguided
from .memory import Halving, batch_that_fits
from .options import Sampling
from .sampling import SAMPLERS
from .seeds import BASE, UPSAMPLER, SampleNoise
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
        dtype: what the UNets' torsos compute in (see `UNet.cast_torso`); all else is fp32.
        halving: makes smaller batches once memory has run out.
    """

    base: TextUNet
    upsampler: TextUNet
    clip: Clip
    tokenizer: Tokenizer
    weights: dict[str, str]
    device: torch.device
    dtype: torch.dtype = torch.float32
    halving: Halving = field(default_factory=Halving)

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
        micro_batch: int | str | None = None,
    ) -> np.ndarray:
        """One picture a caption.

        Args:
            captions: texts; the tabletop miniature knows the words of its grammar.
            seeds: as many non-negative integers: each picture's noise.
            sampling: how; by default `Sampling()`.
            micro_batch: pictures made together; by default all; `auto` asks how many fit free
                memory. When a GPU's memory runs out anyway, the batch is halved, with a warning.

        Returns:
            uint8 (n, image_size, image_size, 3). Equal bytes need equal batch sizes: float kernels
            differ between them, so callers that promise bytes fix the batch size.

        Raises:
            OptionError: impossible sampling, or other than one seed a caption.
            torch.OutOfMemoryError: one picture alone does not fit.
        """
        sampling = sampling or Sampling()
        sampling.check()
        if len(captions) != len(seeds) or not captions:
            raise OptionError(
                f"Expected as many seeds as captions and at least one; found {len(captions)} "
                f"captions and {len(seeds)} seeds."
            )

        def make(part: slice) -> np.ndarray:
            small = self.sample_base(captions[part], seeds[part], sampling)
            large = self.upsample(small, captions[part], seeds[part], sampling)
            return to_uint8(large).permute(0, 2, 3, 1).cpu().numpy()

        if micro_batch == "auto":
            guided = sampling.strategy == "classifier_free"
            micro_batch = self.batch_that_fits(guided)
        size = int(micro_batch or len(captions))
        parts = [range(i, min(i + size, len(captions))) for i in range(0, len(captions), size)]
        return np.concatenate([self.halving.run(make, part.start, part.stop) for part in parts])

    def batch_that_fits(self, guided: bool = True) -> int:
        """How many pictures free memory holds at once (see `memory.batch_that_fits`)."""
        return batch_that_fits(
            self.base.config, self.upsampler.config, self.dtype, self.device, guided
        )

    @torch.no_grad()
    def sample_base(
        self, captions: Sequence[str], seeds: Sequence[int], sampling: Sampling
    ) -> Tensor:
        """Small pictures (n, 3, size, size) in -1..1; arguments as `sample`'s."""
        config = self.base.config
        noise = SampleNoise(seeds, BASE, self.device)
        shape = (3, config.image_size, config.image_size)
        text = self._condition(self.base, captions)
        gradient = None
        if sampling.strategy == "classifier_free":
            empty = self._condition(self.base, [""]).expanded(len(captions))
            denoiser = classifier_free(self.base, text, empty, float(sampling.scale or 1.0))
        else:
            denoiser = unguided(self.base, text)
        if sampling.strategy == "clip":
            tokens, lengths = ended(self.tokenizer, captions, self.clip.config.max_text_len)
            target = self.clip.text_embeddings(tokens.to(self.device), lengths.to(self.device))
            gradient = self.clip.gradient(target, float(sampling.scale or 0.0))
        return SAMPLERS[sampling.sampler](
            denoiser,
            _channels_last(noise.initial(shape)),
            Diffusion(config.noise_schedule, str(sampling.steps)),
            lambda number: noise.step(number, shape),
            gradient=gradient,
        ).clamp(-1, 1)

    @torch.no_grad()
    def upsample(
        self, small: Tensor, captions: Sequence[str], seeds: Sequence[int], sampling: Sampling
    ) -> Tensor:
        """Large pictures (n, 3, image_size, image_size) in -1..1; arguments as `sample`'s.

        The small picture is quantised to 8 bits first, as the upsampler was trained.
        """
        config = self.upsampler.config
        noise = SampleNoise(seeds, UPSAMPLER, self.device)
        shape = (3, config.image_size, config.image_size)
        low_res = _channels_last(to_uint8(small).float() / 127.5 - 1)
        text = self._condition(self.upsampler, captions)
        steps = sampling.upsampler_steps
        as_released = steps == 27
        return SAMPLERS["ddim" if as_released else sampling.sampler](
            unguided(self.upsampler, text, low_res),
            _channels_last(noise.initial(shape) * UPSAMPLER_TEMPERATURE),
            Diffusion(config.noise_schedule, "fast27" if as_released else str(steps)),
            lambda number: noise.step(number, shape),
        ).clamp(-1, 1)

    def _condition(self, unet: TextUNet, captions: Sequence[str]) -> TextCondition:
        tokens, mask = padded(self.tokenizer, captions, unet.config.text_ctx)
        return unet.condition(tokens.to(self.device), mask.to(self.device))


def to_uint8(x: Tensor) -> Tensor:
    """-1..1 to 0..255, rounded."""
    return ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
