"""Noise that belongs to a sample: the same seed gives the same noise whatever the batch or the
arm.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import TracebackType

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from .prefetch import drawn_ahead

# Stages of one sample draw from streams of their own; KNOWN noises what inpainting knows.
BASE, UPSAMPLER, KNOWN = 0, 1, 2
_THREADS = 2  # that draw ahead: one draws 64 rows of 256 pixels in about the time of a GPU's step


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
        self.seeds, self.stage, self.device = list(seeds), stage, torch.device(device)

    def initial(self, shape: tuple[int, ...]) -> Float32[Tensor, "batch *shape"]:
        """Return x_T: (batch, *shape) float32."""
        return placed(self._drawn(0, shape), self.device)

    def step(self, number: int, shape: tuple[int, ...]) -> Float32[Tensor, "batch *shape"]:
        """Return the noise of sampling step `number` = 0, 1, …: (batch, *shape) float32."""
        return placed(self._drawn(1 + number, shape), self.device)

    def ahead(
        self, numbers: Iterable[int], shape: tuple[int, ...], threads: int | None = None
    ) -> NoiseAhead:
        """Return the noise of steps that will be asked for in this order, drawn while others run.

        Args:
            numbers: of the steps; those that are not asked for cost nothing but their drawing.
            shape: of one sample.
            threads: that draw; by default none for a CPU, whose cores the network needs, and two
                for any other device.
        """
        if threads is None:
            threads = 0 if self.device.type == "cpu" else _THREADS
        return NoiseAhead(self, numbers, shape, threads)

    def _drawn(self, draw: int, shape: tuple[int, ...]) -> Tensor:
        # A generator per sample, not torch.randn of the batch, whose values depend on its size.
        # SeedSequence mixes the three numbers, so neighbouring seeds share no stream.
        values = host_tensor((len(self.seeds), *shape), self.device)
        for seed, row in zip(self.seeds, values.numpy(), strict=True):
            sequence = np.random.SeedSequence([seed, self.stage, draw])
            generator = np.random.Generator(np.random.Philox(sequence))
            generator.standard_normal(dtype=np.float32, out=row)
        return values


class NoiseAhead:
    """The noise of known steps, each drawn before it is asked for (see `SampleNoise.ahead`).

    A call returns a step's noise on the device. The same step may be asked for again before the
    next one.
    """

    def __init__(
        self, noise: SampleNoise, numbers: Iterable[int], shape: tuple[int, ...], threads: int
    ):
        self._noise, self._shape = noise, shape
        self._drawn = drawn_ahead(
            lambda number: (number, noise._drawn(1 + number, shape)), numbers, threads
        )
        self._last: tuple[int, Tensor] | None = None

    def __enter__(self) -> NoiseAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def __call__(self, number: int) -> Float32[Tensor, "batch *shape"]:
        """Return the noise of a step; one that was not foreseen is drawn now."""
        while self._last is None or self._last[0] != number:
            found, values = next(self._drawn, (number, None))
            if values is None:
                values = self._noise._drawn(1 + number, self._shape)
            self._last = (found, placed(values, self._noise.device) if found == number else values)
        return self._last[1]

    def close(self) -> None:
        """Stop drawing."""
        self._drawn.close()


def host_tensor(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Return an empty float32 tensor on the CPU from which a copy to the device need not wait."""
    # CUDA copies pageable memory only while the caller waits.
    return torch.empty(shape, dtype=torch.float32, pin_memory=device.type == "cuda")


def placed(values: Tensor, device: torch.device) -> Tensor:
    """Return a `host_tensor` on the device; the CPU does not wait for the copy."""
    return values.to(device, non_blocking=device.type == "cuda")
