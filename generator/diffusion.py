"""The diffusion process: tables and the formulas between x_0, x_t, ε and the posterior.

Symbols are the papers': Ho et al. 2020 (DDPM), Nichol & Dhariwal 2021 (learned variance), Song et
al. 2021 (DDIM), Dhariwal & Nichol 2021 (guidance). Tables are float64; tensors keep their dtype.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .schedules import betas as schedule_betas
from .schedules import kept_steps
from .steps import Step, read


@dataclass(frozen=True)
class Prediction:
    """What one network output says of p(x_{t-1} | x_t): tensors shaped like x."""

    mean: Tensor
    log_variance: Tensor
    x_start: Float[Tensor, "batch *rest"]

    @property
    def variance(self) -> Tensor:
        """Σ; only guidance by a gradient needs it."""
        return self.log_variance.exp()


class Diffusion:
    """A (respaced) Gaussian diffusion with ε-prediction and learned variance.

    The forward process is q(x_t | x_{t−1}) = N(√(1 − β_t) x_{t−1}, β_t I) (Ho et al. 2020, eq. 2).
    Of kept steps, β = 1 − ᾱ/ᾱ_previous (Nichol & Dhariwal 2021, section 4).

    Methods take `t` as an index into the kept steps: an int for all rows, as in sampling, or
    (batch,) int64. `timesteps[t]` is the step of the 1000-step process that networks are told. An
    int costs a device nothing; the tables that (batch,) reads are copied to a device once.

    Args:
        schedule: a name in `schedules.betas`.
        respacing: which steps are kept, see `schedules.kept_steps`.
        threshold: share of an image's values, above 0 and below 1, for dynamic thresholding; None
            clips x_0 to -1..1.

    Raises:
        OptionError: an unknown schedule or respacing.

    Examples:
        >>> process = Diffusion("squaredcos_cap_v2", "50")
        >>> len(process), process.timesteps[[0, -1]].tolist()
        (50, [0, 999])
    """

    def __init__(self, schedule: str, respacing: str = "", threshold: float | None = None):
        self.threshold = threshold
        self.timesteps = np.array(kept_steps(respacing, schedule))
        kept = np.cumprod(1 - schedule_betas(schedule))[self.timesteps]
        self.betas = 1 - kept / np.append(1.0, kept[:-1])
        # Recomputed from the betas, as the released code does: at the end of the cosine schedule
        # ᾱ is 1e-9, and its last digits depend on the order of operations.
        alpha_bar = np.cumprod(1 - self.betas)
        previous = np.append(1.0, alpha_bar[:-1])
        self.alpha_bar, self.alpha_bar_previous = alpha_bar, previous
        self.alpha_bar_next = np.append(alpha_bar[1:], 0.0)
        # DDPM eq. 7. The first posterior variance is 0; its log borrows the second's.
        self.posterior_variance = self.betas * (1 - previous) / (1 - alpha_bar)
        variance = self.posterior_variance
        self.posterior_log_variance_clipped = np.log(
            np.append(variance[1] if len(variance) > 1 else self.betas[0], variance[1:])
        )
        self.posterior_mean_coef1 = self.betas * np.sqrt(previous) / (1 - alpha_bar)
        self.posterior_mean_coef2 = (1 - previous) * np.sqrt(1 - self.betas) / (1 - alpha_bar)
        self.log_betas = np.log(self.betas)
        self.signal, self.spread = np.sqrt(alpha_bar), np.sqrt(1 - alpha_bar)
        self.inverse_signal = np.sqrt(1 / alpha_bar)
        self.inverse_ratio = np.sqrt(1 / alpha_bar - 1)
        self._placed: dict[tuple[str, torch.device, torch.dtype], Tensor] = {}

    def __len__(self) -> int:
        """Number of kept steps."""
        return len(self.timesteps)

    def first(self, count: int) -> Diffusion:
        """Return the same process with only its `count` least noisy kept steps, 1 or more."""
        cut = copy.copy(self)
        for name, table in vars(self).items():
            if isinstance(table, np.ndarray):
                setattr(cut, name, table[:count])
        cut._placed = {}
        return cut

    def at(self, table: str, t: Step, like: Tensor) -> Tensor:
        """Return a table's entries at t in `like`'s dtype (see `steps.read`).

        Args:
            table: the name of an attribute, such as `alpha_bar`.
            t: an index for all rows, or (batch,).
            like: (batch, …).
        """
        values: np.ndarray = getattr(self, table)
        if isinstance(t, int):
            return read(values, t, like)
        key = (table, like.device, like.dtype)
        if key not in self._placed:
            self._placed[key] = torch.from_numpy(values).to(like.dtype).to(like.device)
        return read(self._placed[key], t, like)

    def q_sample(
        self,
        x_start: Float[Tensor, "batch *rest"],
        t: Step,
        noise: Float[Tensor, "batch *rest"],
    ) -> Float[Tensor, "batch *rest"]:
        """Return x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) · noise, a draw of q(x_t | x_0) (DDPM eq. 4)."""
        signal, spread = self.at("signal", t, noise), self.at("spread", t, noise)
        return signal * x_start + spread * noise

    def q_posterior_mean(
        self,
        x_start: Float[Tensor, "batch *rest"],
        x_t: Float[Tensor, "batch *rest"],
        t: Step,
    ) -> Float[Tensor, "batch *rest"]:
        """Return the mean of q(x_{t-1} | x_t, x_0) (DDPM eq. 7).

        It is √ᾱ_{t−1} β_t / (1 − ᾱ_t) · x_0 + √α_t (1 − ᾱ_{t−1}) / (1 − ᾱ_t) · x_t.
        """
        return (
            self.at("posterior_mean_coef1", t, x_t) * x_start
            + self.at("posterior_mean_coef2", t, x_t) * x_t
        )

    def x_start_from_eps(
        self,
        x_t: Float[Tensor, "batch *rest"],
        t: Step,
        eps: Float[Tensor, "batch *rest"],
    ) -> Float[Tensor, "batch *rest"]:
        """Return x_0 = (x_t − √(1 − ᾱ_t) ε) / √ᾱ_t, the inverse of `q_sample`."""
        inverse, ratio = self.at("inverse_signal", t, x_t), self.at("inverse_ratio", t, x_t)
        return inverse * x_t - ratio * eps

    def eps_from_x_start(
        self,
        x_t: Float[Tensor, "batch *rest"],
        t: Step,
        x_start: Float[Tensor, "batch *rest"],
    ) -> Float[Tensor, "batch *rest"]:
        """Return ε = (x_t − √ᾱ_t x_0) / √(1 − ᾱ_t)."""
        inverse, ratio = self.at("inverse_signal", t, x_t), self.at("inverse_ratio", t, x_t)
        return (inverse * x_t - x_start) / ratio

    def predict(
        self,
        output: Float[Tensor, "batch twice *size"],
        x_t: Float[Tensor, "batch *rest"],
        t: Step,
        clip: bool = True,
        denoised_fn: Callable[[Tensor], Tensor] | None = None,
    ) -> Prediction:
        """Return p(x_{t-1} | x_t) as a network's output gives it.

        Args:
            output: (batch, 2·channels, …): ε, then v. log Σ interpolates between β̃_t (v = -1) and
                β_t (v = 1), Nichol & Dhariwal 2021 eq. 15.
            x_t: (batch, channels, …).
            t: kept-step indices (batch,).
            clip: keep x_0 in range, see `bounded`.
            denoised_fn: see `bounded`.
        """
        eps, v = output.chunk(2, dim=1)
        low = self.at("posterior_log_variance_clipped", t, x_t)
        high = self.at("log_betas", t, x_t)
        log_variance = low + (v + 1) / 2 * (high - low)
        x_start = self.x_start_from_eps(x_t, t, eps)
        if clip:
            x_start = self.bounded(x_start, denoised_fn)
        elif denoised_fn is not None:
            x_start = denoised_fn(x_start)
        mean = self.q_posterior_mean(x_start, x_t, t)
        return Prediction(mean, log_variance, x_start)

    def bounded(
        self,
        x_start: Float[Tensor, "batch *rest"],
        denoised_fn: Callable[[Tensor], Tensor] | None = None,
    ) -> Float[Tensor, "batch *rest"]:
        """Return x_0 kept in -1..1: by dynamic thresholding where asked for, then by clipping.

        Dynamic thresholding (Saharia et al. 2022, arXiv 2205.11487, §2.3) clips an image to -s..s
        and divides it by s, where s is the given percentile of its absolute values, at least 1.
        Values that clipping to -1..1 would saturate are compressed instead.

        Args:
            x_start: (batch, channels, …).
            denoised_fn: called on x_0 between thresholding and clipping; inpainting restores the
                known pixels here.
        """
        if self.threshold is not None:
            magnitudes = x_start.flatten(1).abs()
            # Not torch.quantile, which takes no half precision and at most 16 million values.
            rank = math.ceil(self.threshold * magnitudes.shape[1])
            s = magnitudes.kthvalue(max(rank, 1), dim=1).values.clamp(min=1)
            s = s.view(-1, *[1] * (x_start.dim() - 1))
            x_start = x_start.clamp(-s, s) / s
        if denoised_fn is not None:
            x_start = denoised_fn(x_start)
        return x_start.clamp(-1, 1)

    def condition_mean(
        self, prediction: Prediction, gradient: Float[Tensor, "batch *rest"]
    ) -> Prediction:
        """Return the prediction with mean μ + Σ ∇ log p(y | x_t).

        Dhariwal & Nichol 2021 (arXiv 2105.05233), algorithm 1.

        Args:
            prediction: of the unguided model.
            gradient: ∇ log p(y | x_t), shaped like x and already scaled.
        """
        mean = prediction.mean + prediction.variance * gradient
        return Prediction(mean, prediction.log_variance, prediction.x_start)

    def condition_score(
        self,
        prediction: Prediction,
        x_t: Float[Tensor, "batch *rest"],
        t: Step,
        gradient: Float[Tensor, "batch *rest"],
    ) -> Prediction:
        """Return the prediction of ε̂ = ε − √(1 − ᾱ_t) ∇ log p(y | x_t).

        Dhariwal & Nichol 2021 (arXiv 2105.05233), algorithm 2, for DDIM and its relatives. Like the
        released code, this does not clip x_0 again.
        """
        eps = self.eps_from_x_start(x_t, t, prediction.x_start)
        eps = eps - self.at("spread", t, x_t) * gradient
        x_start = self.x_start_from_eps(x_t, t, eps)
        mean = self.q_posterior_mean(x_start, x_t, t)
        return Prediction(mean, prediction.log_variance, x_start)

    def ddpm_step(
        self, prediction: Prediction, t: Step, noise: Float[Tensor, "batch *rest"] | None
    ) -> Float[Tensor, "batch *rest"]:
        """Return x_{t-1} = μ + Σ^½ · noise (DDPM, algorithm 2).

        The last step (t = 0) has no noise, so there `noise` may be None.
        """
        if noise is None:
            return prediction.mean
        drawn = (0.5 * prediction.log_variance).exp() * noise
        return prediction.mean + _but_last(t, drawn)

    def ddim_step(
        self,
        prediction: Prediction,
        x_t: Float[Tensor, "batch *rest"],
        t: Step,
        noise: Float[Tensor, "batch *rest"] | None,
        eta: float = 0.0,
    ) -> Float[Tensor, "batch *rest"]:
        """Return x_{t-1} by DDIM (Song et al. 2021, eq. 12 and 16).

        x_{t−1} = √ᾱ_{t−1} x_0 + √(1 − ᾱ_{t−1} − σ²) ε + σ · noise, with
        σ = η √((1 − ᾱ_{t−1}) / (1 − ᾱ_t)) √(1 − ᾱ_t / ᾱ_{t−1}).

        Args:
            prediction: at t.
            x_t: (batch, channels, …).
            t: kept-step indices (batch,).
            noise: standard normal, like x_t; may be None where η = 0.
            eta: η ≥ 0: 0 draws no noise, 1 has DDPM's variance.
        """
        eps = self.eps_from_x_start(x_t, t, prediction.x_start)
        # Computed in x's precision, roots included, like the released code: near t = 0 the
        # difference is visible.
        before, now = self.at("alpha_bar_previous", t, x_t), self.at("alpha_bar", t, x_t)
        sigma = eta * ((1 - before) / (1 - now)).sqrt() * (1 - now / before).sqrt()
        # Where ᾱ is nearly 0 and η is 1, rounding can make this slightly negative.
        left = (1 - before - sigma**2).clamp(min=0)
        mean = before.sqrt() * prediction.x_start + left.sqrt() * eps
        if noise is None or eta == 0:
            return mean
        return mean + _but_last(t, sigma * noise)

    def ddim_reverse_step(
        self, prediction: Prediction, x_t: Float[Tensor, "batch *rest"], t: Step
    ) -> Float[Tensor, "batch *rest"]:
        """Return x_{t+1} = √ᾱ_{t+1} x_0 + √(1 − ᾱ_{t+1}) ε: DDIM run backwards, η = 0."""
        eps = self.eps_from_x_start(x_t, t, prediction.x_start)
        following = self.at("alpha_bar_next", t, x_t)
        return following.sqrt() * prediction.x_start + (1 - following).sqrt() * eps


def _but_last(t: Step, noise: Tensor) -> Tensor:
    """The noise of a step, which the last one has none of."""
    if isinstance(t, int):
        return noise if t else torch.zeros_like(noise)
    return noise * (t != 0).to(noise.dtype).view(-1, *[1] * (noise.dim() - 1))
