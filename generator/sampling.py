"""Samplers: plain functions of one signature, from noise to a picture.

A *denoiser* maps (x_t, t of 0..999) to (ε, v); guidance wraps it (`generator.guidance`). A
*gradient*, where given, steers the mean (DDPM) or the score (DDIM).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .diffusion import Diffusion

Denoiser = Callable[[Tensor, Tensor], Tensor]
Gradient = Callable[[Tensor, Tensor], Tensor]
Noise = Callable[[int], Tensor]
OnStep = Callable[[int, Tensor], None]


@torch.no_grad()
def ddpm(
    denoiser: Denoiser,
    x: Tensor,
    diffusion: Diffusion,
    noise: Noise,
    gradient: Gradient | None = None,
    denoised_fn: Callable[[Tensor], Tensor] | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Ancestral sampling (Ho et al. 2020, algorithm 2) with learned variance.

    Args:
        denoiser: (x_t, t) to (batch, 6, …); t is (batch,) int64 in 0..999.
        x: x_T, (batch, 3, size, size).
        diffusion: the respaced process.
        noise: called with 0, 1, … once a step; gives noise shaped like x.
        gradient: (x_t, t) to ∇ log p(y | x_t), already scaled.
        denoised_fn: see `Diffusion.predict`.
        on_step: called with the step's number and x after it.

    Returns:
        x_0 like x, in -1..1 but for the last step's rounding.
    """
    for number, i in enumerate(reversed(range(len(diffusion)))):
        t, step = _steps(diffusion, i, x)
        prediction = diffusion.predict(denoiser(x, step), x, t, denoised_fn=denoised_fn)
        if gradient is not None:
            prediction = diffusion.condition_mean(prediction, gradient(x, step))
        x = diffusion.ddpm_step(prediction, t, noise(number))
        if on_step is not None:
            on_step(number, x)
    return x


@torch.no_grad()
def ddim(
    denoiser: Denoiser,
    x: Tensor,
    diffusion: Diffusion,
    noise: Noise | None = None,
    gradient: Gradient | None = None,
    denoised_fn: Callable[[Tensor], Tensor] | None = None,
    on_step: OnStep | None = None,
    eta: float = 0.0,
) -> Tensor:
    """Song et al. 2021; deterministic at η = 0. Arguments as `ddpm`'s; `noise` may be None then."""
    for number, i in enumerate(reversed(range(len(diffusion)))):
        t, step = _steps(diffusion, i, x)
        prediction = diffusion.predict(denoiser(x, step), x, t, denoised_fn=denoised_fn)
        if gradient is not None:
            prediction = diffusion.condition_score(prediction, x, t, gradient(x, step))
        drawn = noise(number) if noise is not None and eta > 0 else None
        x = diffusion.ddim_step(prediction, x, t, drawn, eta)
        if on_step is not None:
            on_step(number, x)
    return x


SAMPLERS = {"ddpm": ddpm, "ddim": ddim}


def _steps(diffusion: Diffusion, i: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """Index i and its step of the 1000-step process, (batch,) each."""
    t = torch.full((len(x),), i, dtype=torch.int64, device=x.device)
    return t, torch.full_like(t, int(diffusion.timesteps[i]))
