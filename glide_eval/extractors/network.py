"""What the extractors' networks share: device, precision and batches."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from generator.devices import checked_device


def choose_device(device: torch.device | str | None) -> torch.device:
    """Return the device asked for; for None and `auto` CUDA, else an Apple GPU, else the CPU.

    Raises:
        generator.errors.OptionError: this machine has no such device.
    """
    return checked_device(str(device or "auto"))


@contextlib.contextmanager
def inference() -> Generator[None]:
    """Turn off gradients and TF32, in which a GPU's convolutions would round to ten bits."""
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


def stacks(prepared: Sequence[np.ndarray], device: torch.device) -> Iterator[Tensor]:
    """Yield runs of arrays of one shape, stacked as (n, …) and in order."""
    start = 0
    for end in range(1, len(prepared) + 1):
        if end == len(prepared) or prepared[end].shape != prepared[start].shape:
            yield torch.from_numpy(np.stack(prepared[start:end])).to(device)
            start = end
