"""Training objectives."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from generator.diffusion import Diffusion


class DenoisingLoss(NamedTuple):
    """The two terms of a denoising loss, of which logs tell the first.

    Attributes:
        mse: the (weighted) square error of ε, L_simple.
        bound: the variational bound L_vlb, which trains the variance: bits per pixel and channel.
    """

    mse: Tensor
    bound: Tensor

    @property
    def total(self) -> Tensor:
        """What is minimised: their sum."""
        return self.mse + self.bound


def diffusion_loss(
    diffusion: Diffusion,
    output: Tensor,
    x_start: Tensor,
    x_t: Tensor,
    t: Tensor,
    noise: Tensor,
    max_weight: float = 1.0,
    max_bound: float = math.inf,
    drawn: Tensor | None = None,
) -> DenoisingLoss:
    """Return the terms of L_simple + L_vlb (Nichol & Dhariwal 2021, eq. 16, λ = 0.001, 1000 steps).

    The bound trains the variance alone: ε enters it detached.

    With `max_weight` above 1, the square error of ε is weighted by 1/SNR(t) = (1 − ᾱ_t)/ᾱ_t, kept
    within 1..max_weight (truncated SNR, Salimans & Ho 2022 §4, capped). A model trained briefly
    otherwise gets the picture's overall colour wrong at high noise, where a small error of ε is
    a large one of x_0.

    The bound is large where a schedule ends steeply: at t = 999 of the cosine schedule the mean's
    error is 31 times that of ε, and the bound about 100 nats where the square error of ε is 0.15.
    One such picture in a small batch outweighs all others in the gradient, though only the variance
    is learned from it. `max_bound` leaves pixels above it out of the gradient.

    Args:
        diffusion: the whole 1000-step process.
        output: (batch, 6, …) of the network at (x_t, t).
        x_start: -1..1, (batch, 3, …).
        x_t: its noised form.
        t: (batch,) int64.
        noise: what was added.
        max_weight: the cap; 1 is L_simple as in the paper.
        max_bound: most nats of the bound for a pixel and channel; infinite as in the paper.
        drawn: bool (batch,), whether x_t is a draw of q(x_t | x_0), as the bound supposes; others
            have no bound, or the variance would learn to cover their errors. None: all are.

    Returns:
        Two scalars.
    """
    eps, v = output.float().chunk(2, dim=1)
    weight = (1 / diffusion.at("alpha_bar", t, x_t) - 1).clamp(1.0, max_weight)
    simple = (weight * (eps - noise).square()).mean()
    prediction = diffusion.predict(torch.cat([eps.detach(), v], 1), x_t, t, clip=False)
    true_mean = diffusion.q_posterior_mean(x_start, x_t, t)
    true_log_variance = diffusion.at("posterior_log_variance_clipped", t, x_t)
    difference = true_log_variance - prediction.log_variance
    kl = 0.5 * (
        difference.exp() - difference - 1
        + (true_mean - prediction.mean).square() / prediction.log_variance.exp()
    )  # fmt: skip
    first = _discretised_nll(x_start, prediction.mean, prediction.log_variance)
    bound = torch.where((t == 0).view(-1, 1, 1, 1), first, kl.clamp(max=max_bound))
    if drawn is not None:
        bound = bound * drawn.view(-1, 1, 1, 1)
    # In bits, the unit of the paper's λ.
    return DenoisingLoss(simple, bound.mean() / math.log(2))


def _discretised_nll(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return −log probability of 8-bit pixels under a Gaussian (DDPM eq. 13)."""
    inverse_std = (-0.5 * log_variance).exp()
    upper = torch.special.ndtr((x - mean + 1 / 255) * inverse_std)
    lower = torch.special.ndtr((x - mean - 1 / 255) * inverse_std)
    # The outermost grey levels hold all that lies beyond them (DDPM, section 3.3).
    upper = torch.where(x > 0.999, 1.0, upper)
    lower = torch.where(x < -0.999, 0.0, lower)
    return -(upper - lower).clamp(min=1e-12).log()


def contrastive_loss(images: Tensor, texts: Tensor, scale: Tensor | float, same: Tensor) -> Tensor:
    """Return CLIP's symmetric cross-entropy; equal captions are no negatives of each other.

    Args:
        images: unit embeddings (batch, n).
        texts: unit embeddings (batch, n).
        scale: factor on dot products.
        same: bool (batch, batch), True where row i's caption is also true of image j's: these are
            left out of the negatives (the diagonal is the positive).
    """
    logits = scale * images @ texts.T
    others = same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
    # Not −inf, which float16 arithmetic can turn into NaN.
    logits = logits.masked_fill(others, -1e4)
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
