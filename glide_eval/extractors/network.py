"""What the extractors' networks share: where they run, in what precision, on which batches."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor


def choose_device(device: torch.device | str | None) -> torch.device:
    """The device asked for; for None, CUDA if there is one, else the CPU."""
    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))


@contextlib.contextmanager
def inference() -> Iterator[None]:
    """No gradients, and full float32 on a GPU too, whose convolutions would round to ten bits."""
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


def stacks(prepared: Sequence[np.ndarray], device: torch.device) -> Iterator[Tensor]:
    """Runs of arrays of one shape, stacked: (n, …) each, in order."""
    start = 0
    for end in range(1, len(prepared) + 1):
        if end == len(prepared) or prepared[end].shape != prepared[start].shape:
            yield torch.from_numpy(np.stack(prepared[start:end])).to(device)
            start = end
