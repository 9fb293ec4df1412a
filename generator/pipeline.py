"""From captions to pictures: base model, guidance, upsampler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from generator.tabletop.words import WordTokenizer

from .checkpoints import WEIGHTS, load_clip, load_unet, sha256
from .clip import Clip
from .diffusion import Diffusion
from .errors import OptionError
from .guidance import classifier_free, unguided
from .sampling import SAMPLERS, Denoiser
from .seeds import BASE, UPSAMPLER, SampleNoise
from .text_unet import TextCondition, TextUNet
from .tokenizer import Tokenizer, ended, padded

STRATEGIES = ("unguided", "classifier_free", "clip")
UPSAMPLER_TEMPERATURE = 0.997  # on the upsampler's initial noise, as in the released notebooks
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_FILES = {
    "base": "base.safetensors",
    "upsample": "upsample.safetensors",
    "noised-clip": "noised-clip.safetensors",
}


@dataclass
class Pipeline:
    """Models on one device.

    Attributes:
        base: draws small pictures; fine-tuned for classifier-free guidance.
        upsampler: enlarges them.
        clip: the noised CLIP that may guide.
        weights: file name to sha256, for provenance.
    """

    base: TextUNet
    upsampler: TextUNet
    clip: Clip
    tokenizer: Tokenizer
    weights: dict[str, str]
    device: torch.device
    dtype: torch.dtype = torch.float32

    @property
    def image_size(self) -> int:
        """Width and height of a finished picture."""
        return self.upsampler.config.image_size

    @torch.no_grad()
    def sample(
        self,
        captions: Sequence[str],
        seeds: Sequence[int],
        *,
        strategy: str = "classifier_free",
        scale: float | None = 3.0,
        sampler: str = "ddim",
        steps: int = 50,
        upsampler_steps: int = 27,
    ) -> np.ndarray:
        """One picture a caption.

        Args:
            captions: texts; the tabletop miniature knows the words of its grammar.
            seeds: as many non-negative integers: each picture's noise.
            strategy: `unguided`, `classifier_free` or `clip`.
            scale: guidance scale; ignored when unguided.
            sampler: `ddpm` or `ddim` (η = 0).
            steps: base steps of 1..1000.
            upsampler_steps: 27 upsamples as GLIDE does, by DDIM on `fast27`; other counts are
                evenly spaced and sampled by `sampler`.

        Returns:
            uint8 (n, image_size, image_size, 3). Equal bytes need equal batch sizes: float kernels
            differ between them, so callers that promise bytes fix the batch size.

        Raises:
            OptionError: an unknown strategy or sampler, or an impossible scale or count of steps.
        """
        self._check(captions, seeds, strategy, scale, sampler, steps, upsampler_steps)
        small = self.sample_base(
            captions, seeds, strategy=strategy, scale=scale, sampler=sampler, steps=steps
        )
        large = self.upsample(small, captions, seeds, upsampler_steps, sampler)
        return to_uint8(large).permute(0, 2, 3, 1).cpu().numpy()

    @torch.no_grad()
    def sample_base(
        self,
        captions: Sequence[str],
        seeds: Sequence[int],
        *,
        strategy: str,
        scale: float | None,
        sampler: str,
        steps: int,
    ) -> Tensor:
        """Small pictures (n, 3, size, size) in -1..1; arguments as `sample`'s."""
        config = self.base.config
        noise = SampleNoise(seeds, BASE, self.device)
        shape = (3, config.image_size, config.image_size)
        text = self._condition(self.base, captions)
        gradient = None
        if strategy == "classifier_free":
            empty = self._condition(self.base, [""] * len(captions))
            denoiser = classifier_free(self.base, text, empty, float(scale or 1.0))
        else:
            denoiser = unguided(self.base, text)
        if strategy == "clip":
            tokens, lengths = ended(self.tokenizer, captions, self.clip.config.max_text_len)
            target = self.clip.text_embeddings(tokens.to(self.device), lengths.to(self.device))
            gradient = self.clip.gradient(target, float(scale or 0.0))
        return SAMPLERS[sampler](
            self._in_dtype(denoiser),
            _channels_last(noise.initial(shape)),
            Diffusion(config.noise_schedule, str(steps)),
            lambda number: noise.step(number, shape),
            gradient=gradient,
        ).clamp(-1, 1)

    @torch.no_grad()
    def upsample(
        self,
        small: Tensor,
        captions: Sequence[str],
        seeds: Sequence[int],
        steps: int,
        sampler: str = "ddpm",
    ) -> Tensor:
        """Large pictures (n, 3, image_size, image_size) in -1..1; `steps` as in `sample`.

        The small picture is quantised to 8 bits first, as the upsampler was trained.
        """
        config = self.upsampler.config
        noise = SampleNoise(seeds, UPSAMPLER, self.device)
        shape = (3, config.image_size, config.image_size)
        low_res = _channels_last(to_uint8(small).float() / 127.5 - 1)
        text = self._condition(self.upsampler, captions)
        as_released = steps == 27
        return SAMPLERS["ddim" if as_released else sampler](
            self._in_dtype(unguided(self.upsampler, text, low_res)),
            _channels_last(noise.initial(shape) * UPSAMPLER_TEMPERATURE),
            Diffusion(config.noise_schedule, "fast27" if as_released else str(steps)),
            lambda number: noise.step(number, shape),
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

    def _check(
        self, captions: Sequence[str], seeds: Sequence[int], strategy: str, scale: float | None,
        sampler: str, steps: int, upsampler_steps: int,
    ) -> None:  # fmt: skip
        if len(captions) != len(seeds) or not captions:
            raise OptionError(
                f"Expected as many seeds as captions and at least one; found {len(captions)} "
                f"captions and {len(seeds)} seeds."
            )
        if strategy not in STRATEGIES:
            raise OptionError(f"Unknown strategy {strategy!r}: use one of {', '.join(STRATEGIES)}.")
        if sampler not in SAMPLERS:
            raise OptionError(f"Unknown sampler {sampler!r}: use one of {', '.join(SAMPLERS)}.")
        if strategy != "unguided" and (scale is None or not 0 <= scale < 1e4):
            raise OptionError(f"{strategy} guidance needs a scale of 0 or more; found {scale}.")
        for name, count in (("steps", steps), ("upsampler_steps", upsampler_steps)):
            if not 1 <= count <= 1000:
                raise OptionError(f"{name} must be between 1 and 1000; found {count}.")


def load_pipeline(model: str = "tabletop", device: str = "cpu", dtype: str = "float32") -> Pipeline:
    """Load a model by name (`tabletop`, the bundled miniature) or from a folder of its three files.

    Raises:
        CheckpointError: a file is missing, corrupt or of another model.
        OptionError: an unknown dtype or a device this machine lacks.
    """
    if dtype not in _DTYPES:
        raise OptionError(f"Unknown dtype {dtype!r}: use one of {', '.join(_DTYPES)}.")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise OptionError(
            f"Device {device!r} is not there: no CUDA device found. Use device = 'cpu'."
        )
    folder = WEIGHTS if model == "tabletop" else Path(model)
    paths = {name: folder / file for name, file in _FILES.items()}
    place = torch.device(device)
    return Pipeline(
        _channels_last_module(load_unet(paths["base"]).to(place)),
        _channels_last_module(load_unet(paths["upsample"]).to(place)),
        load_clip(paths["noised-clip"]).to(place),
        WordTokenizer(),
        {path.name: sha256(path) for path in paths.values()},
        place,
        _DTYPES[dtype],
    )


def to_uint8(x: Tensor) -> Tensor:
    """-1..1 to 0..255, rounded."""
    return ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def _channels_last_module(unet: TextUNet) -> TextUNet:
    """Convolution weights in the layout that is fastest on CPUs and tensor cores."""
    return unet.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
