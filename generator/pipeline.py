"""From captions to pictures: base model, guidance, upsampler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from .clip import Clip
from .config import ClipConfig, UNetConfig
from .diffusion import Diffusion
from .errors import OptionError
from .guidance import classifier_free, unguided
from .networks import LazyModel, Networks
from .options import Sampling
from .sampling import SAMPLERS, Denoiser
from .seeds import BASE, UPSAMPLER, SampleNoise
from .text_unet import TextCondition, TextUNet
from .tokenizer import Tokenizer, cut_off, ended, padded

UPSAMPLER_TEMPERATURE = 0.997  # on the upsampler's initial noise, as in the released notebooks


class Pipeline:
    """The networks of a model on one device.

    Attributes:
        networks: loaded when first used; `base`, `upsampler`, … below name them.
        tokenizer, clip_tokenizer: what the UNets and the noised CLIP read.
        weights: file name to sha256, for provenance.
        device: where it computes.
        dtype: in which precision; what surrounds the networks stays fp32.
    """

    def __init__(
        self,
        base: TextUNet | LazyModel[TextUNet],
        upsampler: TextUNet | LazyModel[TextUNet],
        clip: Clip | LazyModel[Clip],
        tokenizer: Tokenizer,
        weights: dict[str, str],
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        *,
        base_inpaint: TextUNet | LazyModel[TextUNet] | None = None,
        upsample_inpaint: TextUNet | LazyModel[TextUNet] | None = None,
        clip_tokenizer: Tokenizer | None = None,
        low_memory: bool = False,
    ):
        models = {
            "base": base,
            "upsampler": upsampler,
            "clip": clip,
            "base_inpaint": base_inpaint,
            "upsample_inpaint": upsample_inpaint,
        }
        present: dict[str, Any] = {name: m for name, m in models.items() if m is not None}
        self.networks = Networks(present, low_memory)
        self.tokenizer = tokenizer
        self.clip_tokenizer = clip_tokenizer or tokenizer
        self.weights = weights
        self.device = device
        self.dtype = dtype

    @property
    def base(self) -> TextUNet:
        """Draws small pictures; fine-tuned for classifier-free guidance."""
        return cast(TextUNet, self.networks.get("base"))

    @property
    def upsampler(self) -> TextUNet:
        """Enlarges them."""
        return cast(TextUNet, self.networks.get("upsampler"))

    @property
    def clip(self) -> Clip:
        """The noised CLIP that may guide."""
        return cast(Clip, self.networks.get("clip"))

    @property
    def base_inpaint(self) -> TextUNet | None:
        """Fills holes in small pictures; None if the model has no such network."""
        return cast(TextUNet | None, self._optional("base_inpaint"))

    @property
    def upsample_inpaint(self) -> TextUNet | None:
        """Enlarges what fills them; None if the model has no such network."""
        return cast(TextUNet | None, self._optional("upsample_inpaint"))

    @property
    def image_size(self) -> int:
        """Width and height of a finished picture."""
        return self.networks.config("upsampler").image_size

    def cut_off(self, caption: str, guided_by_clip: bool = False) -> str:
        """The end of a caption that no UNet (or the guiding CLIP) reads; "" if all is read.

        The longest such end, as the tokenizer spells it.
        """
        contexts = [
            cast(UNetConfig, self.networks.config(name)).text_ctx for name in ("base", "upsampler")
        ]
        ends = [cut_off(self.tokenizer, caption, min(contexts))]
        if guided_by_clip:
            context = cast(ClipConfig, self.networks.config("clip")).max_text_len
            ends.append(cut_off(self.clip_tokenizer, caption, context, ended=True))
        return max(ends, key=len)

    @torch.no_grad()
    def sample(
        self, captions: Sequence[str], seeds: Sequence[int], sampling: Sampling | None = None
    ) -> np.ndarray:
        """One picture a caption.

        Args:
            captions: texts; the tabletop miniature knows the words of its grammar.
            seeds: as many non-negative integers: each picture's noise.
            sampling: how; by default `Sampling()`.

        Returns:
            uint8 (n, image_size, image_size, 3). Equal bytes need equal batch sizes: float kernels
            differ between them, so callers that promise bytes fix the batch size.

        Raises:
            OptionError: impossible sampling, or other than one seed a caption.
        """
        sampling = sampling or Sampling()
        sampling.check()
        if len(captions) != len(seeds) or not captions:
            raise OptionError(
                f"Expected as many seeds as captions and at least one; found {len(captions)} "
                f"captions and {len(seeds)} seeds."
            )
        small = self.sample_base(captions, seeds, sampling)
        large = self.upsample(small, captions, seeds, sampling)
        return to_uint8(large).permute(0, 2, 3, 1).cpu().numpy()

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
            empty = self._condition(self.base, [""] * len(captions))
            denoiser = classifier_free(self.base, text, empty, float(sampling.scale or 1.0))
        else:
            denoiser = unguided(self.base, text)
        if sampling.strategy == "clip":
            tokens, lengths = ended(self.clip_tokenizer, captions, self.clip.config.max_text_len)
            target = self.clip.text_embeddings(tokens.to(self.device), lengths.to(self.device))
            gradient = self.clip.gradient(target, float(sampling.scale or 0.0))
        return SAMPLERS[sampling.sampler](
            self._in_dtype(denoiser),
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
            self._in_dtype(unguided(self.upsampler, text, low_res)),
            _channels_last(noise.initial(shape) * UPSAMPLER_TEMPERATURE),
            Diffusion(config.noise_schedule, "fast27" if as_released else str(steps)),
            lambda number: noise.step(number, shape),
        ).clamp(-1, 1)

    def _optional(self, name: str) -> nn.Module | None:
        return self.networks.get(name) if name in self.networks else None

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


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
