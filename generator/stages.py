"""How one network takes part in making a picture: plain, inpainting, or starting from a sketch.

`Pipeline` runs a `Stage` of the base model, then a `Stage` of the upsampler. An edit is a stage of
its own and leaves guidance and sampler alone, so every strategy and sampler can edit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from .diffusion import Diffusion
from .guidance import Network
from .seeds import NoiseAhead, SampleNoise
from .text_unet import TextCondition, TextUNet

R = TypeVar("R", Tensor, Tensor | None)
Function = Callable[[Tensor, Tensor], R]  # of (x_t, t of 0..999): a denoiser or a gradient


class Stage:
    """A network used as it was trained.

    Attributes:
        unet: the network, for its config and its text.
        network: what guidance calls at every step.
        denoised_fn: changes each prediction of x_0 (see `Diffusion.predict`); None leaves it.
        upsampler: the sampler for GLIDE's own 27 steps, if this stage upsamples.
    """

    network: Network
    denoised_fn: Callable[[Tensor], Tensor] | None = None
    upsampler: str = "ddim"

    def __init__(self, unet: TextUNet):
        self.unet = unet
        self.network = unet

    def looking(self, function: Function[R]) -> Function[R]:
        """Wrap a denoiser or gradient so that it receives this stage's view of x_t."""
        return function

    def start(self, noise: Tensor, diffusion: Diffusion) -> tuple[Tensor, Diffusion]:
        """Return the starting sample and the schedule to run, from x_T ~ N(0, I) and all steps."""
        return noise, diffusion

    def close(self) -> None:
        """Let go of what `start` began, once sampling has ended."""


class Inpainting(Stage):
    """Complete a picture whose known part is kept.

    In every prediction of x_0 the known part is replaced by the source, as in GLIDE's released
    code. A network with inpainting channels receives source and mask (GLIDE §4.3). A network
    without them may see the known part as a fresh draw of q(x_t | x_0) at every step: Song et al.
    2021 (arXiv 2011.13456) inpaint this way with a model that was not trained for it, and GLIDE
    compares with it. Only the network's input is changed, not x_t itself. The result is the same,
    since samplers work pixel by pixel, and this also works for multistep samplers.
    """

    def __init__(
        self, unet: TextUNet, source: Tensor, known: Tensor, noise: SampleNoise | None = None
    ):
        """Set up the stage.

        Args:
            unet: with or without inpainting channels.
            source: (batch, 3, size, size), -1..1.
            known: (batch, 1, size, size), 1 where the source is kept, 0 where to paint.
            noise: for a network without the channels, the noise through which it sees the source;
                None shows the network only its own x_t.
        """
        super().__init__(unet)
        self.source, self.known = source, known.to(source)
        self._noise = None if unet.config.inpaint else noise
        self._ahead: NoiseAhead | None = None
        self._noised: tuple[int, Tensor] | None = None
        self._process = Diffusion(unet.config.noise_schedule)
        self.denoised_fn = self._restored
        if unet.config.inpaint:
            self.network = _Told(unet, self.source, self.known)
            self.upsampler = "ddpm"

    def looking(self, function: Function[R]) -> Function[R]:
        """See `Stage.looking`: the known part is the noised source, if there is noise for it."""
        noise = self._noise
        if noise is None:
            return function

        def look(x: Tensor, t: Tensor) -> R:
            return function(torch.where(self.known > 0, self._noised_source(noise, t), x), t)

        return look

    def start(self, noise: Tensor, diffusion: Diffusion) -> tuple[Tensor, Diffusion]:
        """See `Stage.start`: all is painted, and the known part's noise is drawn ahead."""
        if self._noise is not None:
            steps = [int(t) for t in reversed(diffusion.timesteps)]
            self._ahead = self._noise.ahead(steps, tuple(noise.shape[1:]))
        return noise, diffusion

    def close(self) -> None:
        """See `Stage.close`."""
        if self._ahead is not None:
            self._ahead.close()
        self._ahead = self._noised = None

    def _noised_source(self, noise: SampleNoise, t: Tensor) -> Tensor:
        """Return a draw of q(x_t | source); a step's denoiser and gradients see the same."""
        number = int(t[0])
        if self._noised is None or self._noised[0] != number:
            shape = tuple(self.source.shape[1:])
            drawn = self._ahead(number) if self._ahead else noise.step(number, shape)
            self._noised = (number, self._process.q_sample(self.source, number, drawn))
        return self._noised[1]

    def _restored(self, x_start: Tensor) -> Tensor:
        return torch.where(self.known > 0, self.source, x_start)


class _Told:
    """A UNet with inpainting channels that is told the same source and mask at every step."""

    def __init__(self, unet: TextUNet, source: Tensor, known: Tensor):
        self.config = unet.config
        self._unet = unet
        self._told = {1: (source, known)}

    def __call__(
        self, x: Tensor, t: Tensor, text: TextCondition, low_res: Tensor | None = None
    ) -> Tensor:
        # Guidance may double the batch: one half with the caption, one without.
        source, known = self._told[1]
        copies = len(x) // len(source)
        if copies not in self._told:
            self._told[copies] = (source.repeat(copies, 1, 1, 1), known.repeat(copies, 1, 1, 1))
        image, mask = self._told[copies]
        return self._unet(x, t, text, low_res, inpaint_image=image, inpaint_mask=mask)


class Sketched(Stage):
    """A picture begun from a sketch: SDEdit (Meng et al. 2022, arXiv 2108.01073, algorithm 1).

    The sketch is noised to an intermediate step and denoised from there. With fewer steps the
    picture stays nearer to the sketch.
    """

    def __init__(self, unet: TextUNet, sketch: Tensor, strength: float):
        """Set up the stage.

        Args:
            unet: the base model.
            sketch: (batch, 3, size, size), -1..1.
            strength: share of the steps to run, above 0 and at most 1.
        """
        super().__init__(unet)
        self._sketch, self._strength = sketch, strength

    def start(self, noise: Tensor, diffusion: Diffusion) -> tuple[Tensor, Diffusion]:
        """See `Stage.start`: a draw of q(x_t | sketch) at the noisiest step that is run."""
        walked = diffusion.first(max(1, round(self._strength * len(diffusion))))
        return walked.q_sample(self._sketch, len(walked) - 1, noise), walked
