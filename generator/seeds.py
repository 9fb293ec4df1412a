"""Noise that belongs to a sample: the same seed gives the same noise whatever the batch or the
arm.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

# Stages of one sample draw from streams of their own; KNOWN noises what inpainting knows.
BASE, UPSAMPLER, KNOWN = 0, 1, 2


class SampleNoise:
    """Standard normal noise for a batch, one counter-based stream for each (seed, stage, draw).

    NumPy's Philox generator (Salmon et al. 2011, doi:10.1145/2063384.2063405) draws it on the CPU,
    so that a GPU sees the same noise as a CPU.

    Args:
        seeds: one for each sample of the batch, integers ≥ 0.
        stage: `BASE`, `UPSAMPLER` or `KNOWN`.
        device: where tensors are put.

    Examples:
        >>> alone, together = SampleNoise([7], BASE), SampleNoise([3, 7], BASE)
        >>> torch.equal(alone.step(0, (2,))[0], together.step(0, (2,))[1])
        True
    """

    def __init__(self, seeds: Sequence[int], stage: int, device: torch.device | str = "cpu"):
        self.seeds, self.stage, self.device = list(seeds), stage, device

    def initial(self, shape: tuple[int, ...]) -> Float32[Tensor, "batch *shape"]:
        """Return x_T: (batch, *shape) float32."""
        return self._draw(0, shape)

    def step(self, number: int, shape: tuple[int, ...]) -> Float32[Tensor, "batch *shape"]:
        """Return the noise of sampling step `number` = 0, 1, …: (batch, *shape) float32."""
        return self._draw(1 + number, shape)

    def _draw(self, draw: int, shape: tuple[int, ...]) -> Tensor:
        # A generator per sample, not torch.randn of the batch, whose values depend on its size.
        # SeedSequence mixes the three numbers, so neighbouring seeds share no stream.
        parts = [
            np.random.Generator(np.random.Philox(np.random.SeedSequence([s, self.stage, draw])))
            .standard_normal(shape, dtype=np.float32)
            for s in self.seeds
        ]  # fmt: skip
        return torch.from_numpy(np.stack(parts)).to(self.device)
