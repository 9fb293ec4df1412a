"""Steps t of a batch: known on the CPU, where decisions are made, and put beside pictures only
where a network reads them, so that no decision waits for a GPU.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

Step = int | Int[Tensor, " batch"]  # one for all rows, as in sampling; or one for each


def shared(t: int, x: Tensor) -> Int[Tensor, " batch"]:
    """Return step t for each row of x: int64 (batch,), on the CPU.

    Examples:
        >>> shared(7, torch.zeros(2, 3))
        tensor([7, 7])
    """
    # From a list, not filled: tracing without data (fake tensors) then still knows the values.
    return torch.tensor([t] * len(x))


def common(t: Int[Tensor, " batch"]) -> Step:
    """Return the step that all rows share, if the CPU can tell; else `t` itself.

    Examples:
        >>> common(torch.tensor([7, 7])), common(torch.tensor([7, 8]))
        (7, tensor([7, 8]))
    """
    if not t.is_cpu:
        return t
    first = int(t[0])
    return first if bool((t == first).all()) else t


def beside(t: Int[Tensor, " batch"], x: Tensor) -> Int[Tensor, " batch"]:
    """Return t on x's device. A step that all rows share is filled in there, not copied."""
    if t.device == x.device:
        return t
    step = common(t)
    if isinstance(step, int):
        return torch.full((len(t),), step, dtype=t.dtype, device=x.device)
    return step.to(x.device)


def read(table: np.ndarray | Tensor, t: Step, like: Tensor) -> Tensor:
    """Return table[t], rounded to `like`'s dtype, in a shape that multiplies `like`.

    Args:
        table: float64 (steps,); or a tensor of `like`'s dtype on its device, which saves a copy.
        t: an int gives a scalar on the CPU, which kernels take as a number wherever they run;
            (batch,) gives (batch, 1, …) on `like`'s device.
        like: (batch, …).

    Examples:
        >>> table, x = np.array([0.5, 0.25]), torch.zeros(2, 3, 4, 4)
        >>> read(table, 1, x), read(table, torch.tensor([1, 0]), x).shape
        (tensor(0.2500), torch.Size([2, 1, 1, 1]))
    """
    if isinstance(t, int):
        return torch.tensor(float(table[t]), dtype=like.dtype)
    # Rounded before it moves: not every device has float64.
    values = torch.as_tensor(table).to(like.dtype).to(like.device)
    return values[t].view(-1, *[1] * (like.dim() - 1))
