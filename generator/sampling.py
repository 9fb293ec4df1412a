"""Samplers: plain functions of one signature, from noise to a picture.

A *denoiser* maps (x_t, t of 0..999) to (ε, v); guidance wraps it (`generator.guidance`). A
*gradient*, where given, steers the mean (DDPM) or the score (the deterministic ones).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from . import samplers
from .diffusion import Diffusion, Prediction
from .schedules import half_log_snr

Denoiser = Callable[[Tensor, Tensor], Tensor]
Gradient = Callable[[Tensor, Tensor], Tensor | None]  # None: nothing to steer at this step
Noise = Callable[[int], Tensor]
DenoisedFn = Callable[[Tensor], Tensor]
OnStep = Callable[[int, Tensor], None]


class Sampler(Protocol):
    """What every sampler takes; see `ddpm`. The deterministic ones let `noise` be None."""

    def __call__(
        self,
        denoiser: Denoiser,
        x: Tensor,
        diffusion: Diffusion,
        noise: Noise,
        gradient: Gradient | None = None,
        denoised_fn: DenoisedFn | None = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """From x_T to x_0."""
        ...


@torch.no_grad()
def ddpm(
    denoiser: Denoiser,
    x: Tensor,
    diffusion: Diffusion,
    noise: Noise,
    gradient: Gradient | None = None,
    denoised_fn: DenoisedFn | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Ancestral sampling (Ho et al. 2020, algorithm 2) with learned variance.

    Args:
        denoiser: (x_t, t) to (batch, 6, …); t is (batch,) int64 in 0..999.
        x: x_T, (batch, 3, size, size).
        diffusion: the respaced process.
        noise: called with 0, 1, … once a step; gives noise shaped like x.
        gradient: (x_t, t) to ∇ log p(y | x_t), already scaled, or to None at steps it leaves alone.
        denoised_fn: see `Diffusion.bounded`.
        on_step: called with the step's number and x after it.

    Returns:
        x_0 like x, in -1..1 but for the last step's rounding.
    """
    for number, i in enumerate(reversed(range(len(diffusion)))):
        t, step = _steps(diffusion, i, x)
        prediction = diffusion.predict(denoiser(x, step), x, t, denoised_fn=denoised_fn)
        slope = gradient(x, step) if gradient is not None else None
        if slope is not None:
            prediction = diffusion.condition_mean(prediction, slope)
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
    denoised_fn: DenoisedFn | None = None,
    on_step: OnStep | None = None,
    eta: float = 0.0,
) -> Tensor:
    """Song et al. 2021; deterministic at η = 0. Arguments as `ddpm`'s; `noise` may be None then."""
    for number, i in enumerate(reversed(range(len(diffusion)))):
        t, step = _steps(diffusion, i, x)
        prediction = diffusion.predict(denoiser(x, step), x, t, denoised_fn=denoised_fn)
        slope = gradient(x, step) if gradient is not None else None
        if slope is not None:
            prediction = diffusion.condition_score(prediction, x, t, slope)
        drawn = noise(number) if noise is not None and eta > 0 else None
        x = diffusion.ddim_step(prediction, x, t, drawn, eta)
        if on_step is not None:
            on_step(number, x)
    return x


@torch.no_grad()
def dpm_solver_pp_2m(
    denoiser: Denoiser,
    x: Tensor,
    diffusion: Diffusion,
    noise: Noise | None = None,
    gradient: Gradient | None = None,
    denoised_fn: DenoisedFn | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """DPM-Solver++(2M), Lu et al. 2022 (arXiv 2211.01095) algorithm 2. Arguments as `ddpm`'s.

    Its first-order step is DDIM's, so the second order is a DDIM step on x_0 extrapolated in
    λ = log(α/σ) from two predictions. The first step has one prediction only; the last leads to
    λ = ∞, where nothing can be extrapolated, and returns the prediction itself. With fewer than 15
    steps the one before it, long in λ, is of first order too.
    """
    lam = half_log_snr(diffusion.alpha_bar)
    before: Tensor | None = None
    for number, i in enumerate(reversed(range(len(diffusion)))):
        t, _ = _steps(diffusion, i, x)
        prediction = _look(denoiser, x, diffusion, i, gradient, denoised_fn)
        x_start = prediction.x_start
        if before is not None and i > (1 if len(diffusion) < 15 else 0):
            r = (lam[i] - lam[i + 1]) / (lam[i - 1] - lam[i])
            extrapolated = x_start + (x_start - before) / (2 * r)
            prediction = dataclasses.replace(prediction, x_start=extrapolated)
        before = x_start
        x = diffusion.ddim_step(prediction, x, t, None)
        if on_step is not None:
            on_step(number, x)
    return x


# Adams–Bashforth weights of ε, newest first, by how many predictions there are.
_ADAMS_BASHFORTH = {
    2: (3 / 2, -1 / 2),
    3: (23 / 12, -16 / 12, 5 / 12),
    4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
}
# Below this ᾱ one step multiplies an error of ε by hundreds: such predictions are not mixed.
_LEAST_ALPHA_BAR = 1e-4


@torch.no_grad()
def plms(
    denoiser: Denoiser,
    x: Tensor,
    diffusion: Diffusion,
    noise: Noise | None = None,
    gradient: Gradient | None = None,
    denoised_fn: DenoisedFn | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Pseudo linear multistep, Liu et al. 2022 (arXiv 2202.09778). Arguments as `ddpm`'s.

    DDIM steps on ε mixed from up to four predictions by Adams–Bashforth. The first is mixed with a
    look ahead (their pseudo improved Euler), so n steps cost n + 1 passes; orders two and three
    follow. Where ᾱ is nearly 0, at the cosine schedule's start, and at the last step, which returns
    the prediction of x_0, steps are DDIM's.
    """
    history: list[Tensor] = []
    for number, i in enumerate(reversed(range(len(diffusion)))):
        t, _ = _steps(diffusion, i, x)
        prediction = _look(denoiser, x, diffusion, i, gradient, denoised_fn)
        if i > 0 and diffusion.alpha_bar[i] >= _LEAST_ALPHA_BAR:
            eps = diffusion.eps_from_x_start(x, t, prediction.x_start)
            history = [eps, *history][:4]
            if len(history) == 1:
                ahead = diffusion.ddim_step(prediction, x, t, None)
                seen = _look(denoiser, ahead, diffusion, i - 1, gradient, denoised_fn)
                mixed = (eps + diffusion.eps_from_x_start(ahead, t - 1, seen.x_start)) / 2
            else:
                weights = _ADAMS_BASHFORTH[len(history)]
                mixed = sum((w * e for w, e in zip(weights, history, strict=True)), 0 * eps)
            x_start = diffusion.x_start_from_eps(x, t, mixed)
            prediction = dataclasses.replace(prediction, x_start=x_start)
        x = diffusion.ddim_step(prediction, x, t, None)
        if on_step is not None:
            on_step(number, x)
    return x


SAMPLERS: dict[str, Sampler] = {
    record.name: globals()[record.function] for record in samplers.SAMPLERS.values()
}


def sampler_named(name: str, eta: float = 0.0) -> Sampler:
    """Return the sampler of that name; η matters to DDIM alone."""
    return partial(ddim, eta=eta) if name == "ddim" else SAMPLERS[name]


def respacing(sampler: str, steps: int | str) -> str:
    """Return the respacing string of a count, as suits the sampler; a string stays as it is."""
    if isinstance(steps, str):
        return steps
    spacing = samplers.SAMPLERS[sampler].spacing
    return str(steps) if spacing == "t" else f"{spacing}{steps}"


def _look(
    denoiser: Denoiser,
    x: Tensor,
    diffusion: Diffusion,
    i: int,
    gradient: Gradient | None,
    denoised_fn: DenoisedFn | None,
) -> Prediction:
    """The prediction at kept step i, its score steered by the gradient.

    Unlike in DDIM, x_0 is bounded again after steering: where ᾱ is nearly 0 a gradient moves it by
    thousands, and a multistep sampler would carry that on.
    """
    t, step = _steps(diffusion, i, x)
    prediction = diffusion.predict(denoiser(x, step), x, t, denoised_fn=denoised_fn)
    slope = gradient(x, step) if gradient is not None else None
    if slope is None:
        return prediction
    steered = diffusion.condition_score(prediction, x, t, slope)
    bounded = diffusion.bounded(steered.x_start, denoised_fn)
    return dataclasses.replace(steered, x_start=bounded)


def _steps(diffusion: Diffusion, i: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """Index i and its step of the 1000-step process, (batch,) each."""
    t = torch.full((len(x),), i, dtype=torch.int64, device=x.device)
    return t, torch.full_like(t, int(diffusion.timesteps[i]))
