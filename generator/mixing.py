"""How guidance puts the prediction with the caption and that without it together.

Each function takes ε(x|c), ε(x|∅) and the scale s, and returns ε̂. At s = 1 all of them return
ε(x|c), but for what they say. They equal diffusers' guiders on the same predictions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

Mix = Callable[[Tensor, Tensor, Tensor], Tensor]


def plain(eps: Tensor, empty: Tensor, scale: Tensor) -> Tensor:
    """Return ε̂ = ε(x|∅) + s (ε(x|c) − ε(x|∅)) (Ho & Salimans 2021, arXiv 2207.12598).

    Args:
        eps: ε(x|c), (batch, 3, height, width).
        empty: ε(x|∅), same shape.
        scale: s, (batch, 1, 1, 1).

    Examples:
        >>> plain(torch.full((1, 1, 1, 1), 2.0), torch.ones(1, 1, 1, 1), torch.tensor(3.0)).item()
        4.0
    """
    return empty + scale * (eps - empty)


def zero_star(eps: Tensor, empty: Tensor, scale: Tensor) -> Tensor:
    """Return classifier-free guidance from α ε(x|∅), α = ⟨ε(x|c), ε(x|∅)⟩ / ‖ε(x|∅)‖².

    This is the optimised scale of CFG-Zero* (Fan et al. 2025, arXiv 2503.18886, eq. 13). Its zero
    initialisation belongs to flow matching, whose prediction is a velocity: for noise predictions
    it would mean nothing.

    Args:
        eps: as `plain`'s.
        empty: as `plain`'s.
        scale: as `plain`'s.

    Examples:
        >>> eps, empty = torch.full((1, 1, 1, 1), 2.0), torch.ones(1, 1, 1, 1)
        >>> zero_star(eps, empty, torch.tensor(3.0)).item()  # the two are parallel
        2.0
    """
    return plain(eps, _dot(eps, empty) / (_dot(empty, empty) + 1e-8) * empty, scale)


def tangential(eps: Tensor, empty: Tensor, scale: Tensor) -> Tensor:
    """Return classifier-free guidance from ε(x|∅) along the two predictions' main direction.

    Tangential damping (Kwon et al. 2025, arXiv 2503.18137): of the singular vectors of both
    predictions only the first is kept in ε(x|∅). It is found from their 2 × 2 Gram matrix.

    Args:
        eps: as `plain`'s.
        empty: as `plain`'s.
        scale: as `plain`'s.

    Examples:
        >>> eps, empty = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]])
        >>> tangential(eps.view(1, 1, 1, 2), empty.view(1, 1, 1, 2), torch.tensor(3.0)).flatten()
        tensor([6., 0.])
    """
    both = torch.stack([eps.flatten(1), empty.flatten(1)], dim=1)
    gram = both @ both.mT  # its main axis in closed form: a solver would wait for the GPU
    angle = torch.atan2(2 * gram[:, 0, 1], gram[:, 0, 0] - gram[:, 1, 1]) / 2
    main = F.normalize(angle.cos()[:, None] * both[:, 0] + angle.sin()[:, None] * both[:, 1], dim=1)
    along = (both[:, 1] * main).sum(1, keepdim=True) * main
    return plain(eps, along.view_as(empty), scale)


def frequency_decoupled(
    eps: Tensor, empty: Tensor, scale: Tensor, low_scale: float | None = None
) -> Tensor:
    """Return ε(x|∅) + s (Δ − Δ_low) + s_low Δ_low, with Δ = ε(x|c) − ε(x|∅).

    Δ_low is what a Laplacian pyramid of two levels keeps in its coarse one (Sadat et al. 2025,
    arXiv 2506.19713, algorithm 2). At s = 1 the coarse level is guided all the same, unless s_low
    is 1 too.

    Args:
        eps: as `plain`'s, with even height and width of at least 6.
        empty: as `plain`'s.
        scale: as `plain`'s, of the fine level.
        low_scale: s_low; None is half of s, but at least 1.

    Examples:
        >>> flat = torch.ones(1, 1, 8, 8)  # a difference without detail has the low scale
        >>> frequency_decoupled(flat, 0 * flat, torch.tensor(4.0), 2.0).mean()
        tensor(2.)
    """
    difference = eps - empty
    low = _blurred(F.interpolate(_halved(difference), scale_factor=2, mode="bilinear"))
    s_low = (scale / 2).clamp(min=1.0) if low_scale is None else low_scale
    return empty + scale * (difference - low) + s_low * low


@dataclass
class Projected:
    """Adaptive projected guidance (Sadat et al. 2025, arXiv 2410.02416, algorithm 1).

    Of Δ = ε(x|c) − ε(x|∅), averaged over steps and shortened, only a part of what is parallel to
    ε(x|c) is kept, which saturates colours. One object serves one call of a sampler.

    Attributes:
        parallel: η, the share of the parallel part; 1 keeps it.
        momentum: β of the average over steps; negative values push away from earlier steps.
        norm: r, the greatest length of Δ; 0 does not shorten.

    Examples:
        >>> eps, empty = torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, -1.0]])
        >>> mix = Projected(parallel=0.0)
        >>> mix(eps.view(1, 1, 1, 2), empty.view(1, 1, 1, 2), torch.tensor(3.0)).flatten()
        tensor([1., 2.])
    """

    parallel: float = 0.0
    momentum: float = 0.0
    norm: float = 0.0
    _average: Tensor | float = field(default=0.0, init=False)

    def __call__(self, eps: Tensor, empty: Tensor, scale: Tensor) -> Tensor:
        """Return ε̂; arguments as `plain`'s."""
        difference = eps - empty
        if self.momentum:
            difference = self._average = difference + self.momentum * self._average
        if self.norm:
            length = _dot(difference, difference).sqrt()
            difference = difference * (self.norm / length).clamp(max=1.0)
        towards = F.normalize(eps.flatten(1), dim=1).view_as(eps)
        along = _dot(difference, towards) * towards
        return empty + scale * (difference - along + self.parallel * along)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Return ⟨a, b⟩ of each row: (batch, 1, 1, 1)."""
    return (a * b).flatten(1).sum(1).view(-1, 1, 1, 1)


def _blurred(x: Tensor) -> Tensor:
    """Return x under the binomial filter 1 4 6 4 1, its border reflected."""
    x = F.pad(x, (2, 2, 2, 2), mode="reflect")
    for _ in range(4):  # means of neighbours: no filter to copy to the device
        x = F.avg_pool2d(x, 2, stride=1)
    return x


def _halved(x: Tensor) -> Tensor:
    return F.interpolate(_blurred(x), scale_factor=0.5, mode="bilinear")
