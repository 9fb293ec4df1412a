"""Samplers: plain functions of one signature, from noise to a picture.

A *denoiser* maps (x_t, t of 0..999) to (ε, v); guidance wraps it (`generator.guidance`). A
*gradient*, where given, steers the mean (DDPM) or the score (the deterministic ones). Both are told
t as (batch,) int64 on the CPU, wherever x is: `steps.beside` puts it there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from . import samplers
from .diffusion import Diffusion, Prediction
from .schedules import half_log_snr
from .steps import shared

Denoiser = Callable[[Tensor, "Tensor"], Tensor]
Gradient = Callable[[Tensor, "Tensor"], Tensor | None]  # None: nothing to steer at this step
Noise = Callable[[int], Tensor]
DenoisedFn = Callable[[Tensor], Tensor]
OnStep = Callable[[int, Tensor], None]


@runtime_checkable
class Sampler(Protocol):
    """What every sampler takes; see `ddpm`. The deterministic ones let `noise` be None."""

    def __call__(
        self,
        denoiser: Denoiser,
        x: Float[Tensor, "batch channels height width"],
        diffusion: Diffusion,
        noise: Noise,
        gradient: Gradient | None = None,
        denoised_fn: DenoisedFn | None = None,
        on_step: OnStep | None = None,
    ) -> Float[Tensor, "batch channels height width"]:
        """From x_T to x_0."""
        ...


@torch.no_grad()
def ddpm(
    denoiser: Denoiser,
    x: Float[Tensor, "batch channels height width"],
    diffusion: Diffusion,
    noise: Noise,
    gradient: Gradient | None = None,
    denoised_fn: DenoisedFn | None = None,
    on_step: OnStep | None = None,
) -> Float[Tensor, "batch channels height width"]:
    """Draw a picture by ancestral sampling with learned variance (DDPM).

    Each step is x_{t−1} = μ(x_t) + Σ(x_t)^½ z (Ho et al. 2020, arXiv 2006.11239, algorithm 2;
    Σ by Nichol & Dhariwal 2021, eq. 15); guidance by a gradient adds Σ ∇ log p(y | x_t) to μ.

    Args:
        denoiser: (x_t, t) to (batch, 6, …); t is (batch,) int64 in 0..999, on the CPU.
        x: x_T, (batch, 3, size, size).
        diffusion: the respaced process.
        noise: called with the step's number 0, 1, …, except the last, which has no noise; returns
            standard normal noise shaped like x.
        gradient: (x_t, t) to ∇ log p(y | x_t), already scaled; None at steps that are not steered.
        denoised_fn: see `Diffusion.bounded`.
        on_step: called with the step's number and x after it.

    Returns:
        x_0, shaped like x; in -1..1 up to the last step's rounding.

    Examples:
        >>> denoiser = lambda x, t: torch.cat([x, -torch.ones_like(x)], dim=1)
        >>> x, process = torch.ones(1, 3, 2, 2), Diffusion("linear", "25")
        >>> ddpm(denoiser, x, process, noise=lambda number: torch.zeros_like(x)).abs().max() < 0.1
        tensor(True)
    """
    for number, i in enumerate(reversed(range(len(diffusion)))):
        t = shared(int(diffusion.timesteps[i]), x)
        prediction = diffusion.predict(denoiser(x, t), x, i, denoised_fn=denoised_fn)
        slope = gradient(x, t) if gradient is not None else None
        if slope is not None:
            prediction = diffusion.condition_mean(prediction, slope)
        x = diffusion.ddpm_step(prediction, i, noise(number) if i else None)
        if on_step is not None:
            on_step(number, x)
    return x


@torch.no_grad()
def ddim(
    denoiser: Denoiser,
    x: Float[Tensor, "batch channels height width"],
    diffusion: Diffusion,
    noise: Noise | None = None,
    gradient: Gradient | None = None,
    denoised_fn: DenoisedFn | None = None,
    on_step: OnStep | None = None,
    eta: float = 0.0,
) -> Float[Tensor, "batch channels height width"]:
    """Draw a picture by DDIM (Song et al. 2021, arXiv 2010.02502, eq. 12).

    Each step is `Diffusion.ddim_step`: x_{t−1} = √ᾱ_{t−1} x_0 + √(1 − ᾱ_{t−1} − σ²) ε + σ z. It
    takes the arguments of `ddpm`, and η. With η = 0 it is deterministic, and `noise` may be None;
    η = 1 adds as much noise as DDPM.

    Examples:
        >>> denoiser = lambda x, t: torch.cat([x, x], dim=1)
        >>> x, process = torch.ones(1, 3, 2, 2), Diffusion("linear", "25")
        >>> torch.equal(ddim(denoiser, x, process), ddim(denoiser, x, process))
        True
    """
    for number, i in enumerate(reversed(range(len(diffusion)))):
        t = shared(int(diffusion.timesteps[i]), x)
        prediction = diffusion.predict(denoiser(x, t), x, i, denoised_fn=denoised_fn)
        slope = gradient(x, t) if gradient is not None else None
        if slope is not None:
            prediction = diffusion.condition_score(prediction, x, i, slope)
        drawn = noise(number) if noise is not None and eta > 0 and i else None
        x = diffusion.ddim_step(prediction, x, i, drawn, eta)
        if on_step is not None:
            on_step(number, x)
    return x


@torch.no_grad()
def dpm_solver_pp_2m(
    denoiser: Denoiser,
    x: Float[Tensor, "batch channels height width"],
    diffusion: Diffusion,
    noise: Noise | None = None,
    gradient: Gradient | None = None,
    denoised_fn: DenoisedFn | None = None,
    on_step: OnStep | None = None,
) -> Float[Tensor, "batch channels height width"]:
    """Draw a picture by DPM-Solver++(2M) (Lu et al. 2022, arXiv 2211.01095, algorithm 2).

    It takes the arguments of `ddpm`. With r = (λ_i − λ_{i+1}) / (λ_{i−1} − λ_i), each step is a
    DDIM step on x_0 + (x_0 − x_0 of the step before) / 2r.

    Its first-order step is DDIM's, so the second order is a DDIM step on x_0 extrapolated in
    λ = log(α/σ) from two predictions. The first step has only one prediction. The last step
    ends at λ = ∞, where extrapolation is impossible, so it returns the prediction itself. With
    fewer than 15 steps the step before it is long in λ, so it is of first order too.

    Examples:
        >>> denoiser = lambda x, t: torch.cat([x, x], dim=1)
        >>> x, process = torch.ones(1, 3, 2, 2), Diffusion("linear", "logsnr15")
        >>> dpm_solver_pp_2m(denoiser, x, process).shape
        torch.Size([1, 3, 2, 2])
    """
    lam = half_log_snr(diffusion.alpha_bar)
    before: Tensor | None = None
    for number, i in enumerate(reversed(range(len(diffusion)))):
        prediction = _look(denoiser, x, diffusion, i, gradient, denoised_fn)
        x_start = prediction.x_start
        if before is not None and i > (1 if len(diffusion) < 15 else 0):
            r = (lam[i] - lam[i + 1]) / (lam[i - 1] - lam[i])
            extrapolated = x_start + (x_start - before) / (2 * r)
            prediction = dataclasses.replace(prediction, x_start=extrapolated)
        before = x_start
        x = diffusion.ddim_step(prediction, x, i, None)
        if on_step is not None:
            on_step(number, x)
    return x


# Adams–Bashforth weights of ε, newest first, by how many predictions there are.
_ADAMS_BASHFORTH = {
    2: (3 / 2, -1 / 2),
    3: (23 / 12, -16 / 12, 5 / 12),
    4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
}
# Below this ᾱ one step multiplies an error of ε by hundreds, so such predictions are not mixed.
_LEAST_ALPHA_BAR = 1e-4


@torch.no_grad()
def plms(
    denoiser: Denoiser,
    x: Float[Tensor, "batch channels height width"],
    diffusion: Diffusion,
    noise: Noise | None = None,
    gradient: Gradient | None = None,
    denoised_fn: DenoisedFn | None = None,
    on_step: OnStep | None = None,
) -> Float[Tensor, "batch channels height width"]:
    """Draw a picture by the pseudo linear multistep method (Liu et al. 2022, arXiv 2202.09778).

    It takes the arguments of `ddpm`. With four predictions the mixed ε is
    (55 ε_t − 59 ε_{t+1} + 37 ε_{t+2} − 9 ε_{t+3}) / 24.

    Each step is a DDIM step on ε mixed from up to four predictions by Adams–Bashforth. The first
    step mixes its prediction with one at the next step (the paper's pseudo improved Euler), so n
    steps cost n + 1 passes; steps two and three use orders two and three. Two kinds of steps are
    plain DDIM: those where ᾱ is nearly 0, at the start of the cosine schedule, and the last one,
    which returns the prediction of x_0.

    Examples:
        >>> denoiser = lambda x, t: torch.cat([x, x], dim=1)
        >>> x, process = torch.ones(1, 3, 2, 2), Diffusion("linear", "25")
        >>> plms(denoiser, x, process).shape
        torch.Size([1, 3, 2, 2])
    """
    history: list[Tensor] = []
    for number, i in enumerate(reversed(range(len(diffusion)))):
        prediction = _look(denoiser, x, diffusion, i, gradient, denoised_fn)
        if i > 0 and diffusion.alpha_bar[i] >= _LEAST_ALPHA_BAR:
            eps = diffusion.eps_from_x_start(x, i, prediction.x_start)
            history = [eps, *history][:4]
            if len(history) == 1:
                ahead = diffusion.ddim_step(prediction, x, i, None)
                seen = _look(denoiser, ahead, diffusion, i - 1, gradient, denoised_fn)
                mixed = (eps + diffusion.eps_from_x_start(ahead, i - 1, seen.x_start)) / 2
            else:
                weights = _ADAMS_BASHFORTH[len(history)]
                mixed = sum((w * e for w, e in zip(weights, history, strict=True)), 0 * eps)
            x_start = diffusion.x_start_from_eps(x, i, mixed)
            prediction = dataclasses.replace(prediction, x_start=x_start)
        x = diffusion.ddim_step(prediction, x, i, None)
        if on_step is not None:
            on_step(number, x)
    return x


SAMPLERS: dict[str, Sampler] = {
    record.name: globals()[record.function] for record in samplers.SAMPLERS.values()
}


def sampler_named(name: str, eta: float = 0.0) -> Sampler:
    """Return the sampler of that name; only DDIM uses η.

    Raises:
        KeyError: no sampler has that name.

    Examples:
        >>> sampler_named("plms") is plms
        True
    """
    return partial(ddim, eta=eta) if name == "ddim" else SAMPLERS[name]


def noisy_steps(name: str, eta: float, diffusion: Diffusion) -> range:
    """Return the steps for which a sampler asks for noise: all but the last, or none.

    Examples:
        >>> process = Diffusion("linear", "5")
        >>> noisy_steps("ddpm", 0.0, process), noisy_steps("ddim", 0.0, process)
        (range(0, 4), range(0, 0))
    """
    noisy = samplers.SAMPLERS[name].stochastic or eta > 0
    return range(len(diffusion) - 1 if noisy else 0)


def respacing(sampler: str, steps: int | str) -> str:
    """Return the respacing string for a count of steps; a string is returned unchanged.

    DPM-Solver++ extrapolates in λ = log(α/σ). Steps that are even in t end with a leap in λ, over
    which extrapolation is worse than DDIM, so this sampler's steps are even in λ. The other
    samplers' steps are even in t.

    Args:
        sampler: a name in `samplers.SAMPLERS`.
        steps: a count, 1..1000, or a respacing string (`schedules.kept_steps`).

    Raises:
        KeyError: no sampler has that name.

    Examples:
        >>> respacing("ddim", 50), respacing("dpm++2m", 20), respacing("ddim", "fast27")
        ('50', 'logsnr20', 'fast27')
    """
    if isinstance(steps, str):
        return steps
    spacing = samplers.SAMPLERS[sampler].spacing
    return str(steps) if spacing == "t" else f"{spacing}{steps}"


def _look(
    denoiser: Denoiser,
    x: Float[Tensor, "batch channels height width"],
    diffusion: Diffusion,
    i: int,
    gradient: Gradient | None,
    denoised_fn: DenoisedFn | None,
) -> Prediction:
    """Return the prediction at kept step i, its score steered by the gradient.

    Unlike DDIM, this bounds x_0 again after steering. Where ᾱ is nearly 0 a gradient moves x_0 by
    thousands, and a multistep sampler would carry the error into later steps.
    """
    t = shared(int(diffusion.timesteps[i]), x)
    prediction = diffusion.predict(denoiser(x, t), x, i, denoised_fn=denoised_fn)
    slope = gradient(x, t) if gradient is not None else None
    if slope is None:
        return prediction
    steered = diffusion.condition_score(prediction, x, i, slope)
    bounded = diffusion.bounded(steered.x_start, denoised_fn)
    return dataclasses.replace(steered, x_start=bounded)
