"""Batch sizes that fit into memory: estimated beforehand, and halved when memory runs out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from .config import UNetConfig
from .devices import ran_out_of_memory
from .errors import GeneratorWarning

_USABLE = 0.85  # of free memory: the rest is fragmentation and other processes
_LARGEST = {"cuda": 64, "mps": 16, "cpu": 16}  # more rows no longer raise images per second

Make = Callable[[slice], np.ndarray]


def activation_bytes(config: UNetConfig, dtype: torch.dtype, rows: int = 1) -> int:
    """Estimate the peak memory of a forward of `rows` rows, in bytes, without weights.

    While the last and largest level of the decoder works, the skips of that level and the caption's
    keys and values are still held. Tests compare the estimate with real forwards: it is never too
    low, and at most twice as much.
    """
    size, width = config.image_size, config.num_channels
    multipliers = config.multipliers
    skips = text = 0
    for level, multiplier in enumerate(multipliers):
        maps = config.num_res_blocks + 1  # blocks, and the one that halves or the very first
        skips += maps * width * multiplier * size**2
        if size in config.attention_resolutions:
            blocks = 2 * config.num_res_blocks + 1
            text += blocks * 2 * width * multiplier * config.text_ctx
        if level < len(multipliers) - 1:
            size //= 2
    # The last level's first block: what comes from below joined by a skip, thrice over (joined,
    # normed, the level below's own), and what it writes.
    here, below = multipliers[0], multipliers[min(1, len(multipliers) - 1)]
    working = (3 * (below + here) + 3 * here) * width * config.image_size**2
    pictures = 12 * config.image_size**2 * 4  # x, the output and the sampler's own, fp32
    return rows * ((skips + text + working) * dtype.itemsize + pictures)


def free_bytes(device: torch.device) -> int:
    """Return the bytes that could be allocated now on a CUDA device, an Apple GPU or the CPU."""
    if device.type == "cuda":
        free, _total = torch.cuda.mem_get_info(device)
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        # Torch keeps blocks that it freed: CUDA counts them as used, the next batch can have them.
        return free + unused
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return _free_of_machine()


def _free_of_machine() -> int:
    """Return free bytes of main memory; half of all where a system (macOS) counts no free pages."""
    if "SC_AVPHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def batch_that_fits(
    base: UNetConfig,
    upsampler: UNetConfig,
    dtype: torch.dtype,
    device: torch.device,
    guided: bool = True,
    free: int | None = None,
) -> int:
    """Return how many pictures to make at once: a power of two, at least 1.

    Args:
        base: its rows are doubled where guided.
        upsampler: one row per picture.
        dtype: of the torsos.
        device: whose free memory counts, once the models are loaded.
        guided: classifier-free.
        free: bytes, in place of asking the device.
    """
    free = free_bytes(device) if free is None else free
    needs = max(
        activation_bytes(base, dtype, 2 if guided else 1), activation_bytes(upsampler, dtype)
    )
    fits = min(int(free * _USABLE) // needs, _LARGEST.get(device.type, 16))
    return 1 << max(0, fits.bit_length() - 1)


@dataclass
class Halving:
    """Makes batches, in smaller parts once the GPU's memory has run out.

    Attributes:
        most: pictures to make at once from now on; None until memory ran out.
    """

    most: int | None = None

    def run(self, make: Make, start: int, stop: int) -> np.ndarray:
        """Return rows start..stop of what `make` makes.

        Args:
            make: returns the rows of a slice; called again for parts that did not fit.
            start: the first row.
            stop: one past the last row.

        Raises:
            torch.OutOfMemoryError: one row alone does not fit.
        """
        while True:
            at_once = min(stop - start, self.most or stop - start)
            try:
                firsts = range(start, stop, at_once)
                return np.concatenate([make(slice(i, min(i + at_once, stop))) for i in firsts])
            except RuntimeError as error:
                if not ran_out_of_memory(error):
                    raise
                if at_once == 1:
                    raise torch.OutOfMemoryError(str(error)) from error
            # Out here the error is gone, and with it the frames that held the batch's tensors.
            self._halve(at_once)

    def _halve(self, at_once: int) -> None:
        self.most = (at_once + 1) // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        warnings.warn(
            f"Out of GPU memory making {at_once} pictures at once: going on with {self.most}. "
            "Pictures made in smaller batches may differ in the last grey level from those made "
            "before.",
            GeneratorWarning,
            stacklevel=3,
        )
