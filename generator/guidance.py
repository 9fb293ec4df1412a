"""Guidance as denoisers (unguided, classifier-free), and what gradients of other models share.

CLIP's gradient is `clip.Clip.gradient`, the tabletop classifier's
`tabletop.classifier.SceneClassifier.gradient`; any function of (x_t, t) will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .config import UNetConfig
from .mixing import Mix, plain
from .sampling import Denoiser, Gradient
from .schedules import STEPS, betas
from .steps import beside, common, read
from .text_unet import TextCondition

Interval = tuple[float, float]
ALWAYS: Interval = (0.0, 1.0)


@runtime_checkable
class Network(Protocol):
    """What guidance needs of a UNet: a `TextUNet`, or one told more (`generator.stages`)."""

    config: UNetConfig

    def __call__(
        self, x: Tensor, t: Tensor, text: TextCondition, low_res: Tensor | None = None
    ) -> Tensor:
        """See `TextUNet.forward`."""
        ...


def unguided(unet: Network, text: TextCondition, low_res: Tensor | None = None) -> Denoiser:
    """Return the denoiser ε(x|c): the network with the caption.

    Args:
        unet: maps (x_t, t, text) to ε and v.
        text: the captions (batch).
        low_res: (batch, 3, size, size) to upsample from; None for the base model.

    Examples:
        >>> network = lambda x, t, text, low_res: 2 * x
        >>> network.config = None  # a stand-in that needs none
        >>> unguided(network, TextCondition(torch.zeros(1, 1), []))(torch.ones(1), torch.zeros(1))
        tensor([2.])
    """

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        return unet(x, beside(t, x), text, low_res=low_res)

    return denoise


def classifier_free(
    unet: Network,
    text: TextCondition,
    empty: TextCondition,
    scale: float | Tensor,
    interval: Interval = ALWAYS,
    rescale: float = 0.0,
    mix: Mix = plain,
) -> Denoiser:
    """Return the denoiser ε̂ = ε(x|∅) + s (ε(x|c) − ε(x|∅)), or another mix of the two.

    This is classifier-free guidance (Ho & Salimans 2021, arXiv 2207.12598; Nichol et al. 2021,
    eq. 2). Only ε is guided; the variance is the conditional prediction's. The conditional and the
    empty half run as one batch. At steps where no row is guided, only the conditional half runs.

    Args:
        unet: fine-tuned with empty captions.
        text: the captions (batch).
        empty: the same number of empty captions.
        scale: s ≥ 0, a number or (batch,). At 1 the result is ε(x|c), unguided; at 0 ε(x|∅).
        interval: guide only where low ≤ t / 999 ≤ high (Kynkäänniemi et al. 2024, arXiv
            2404.07724).
        rescale: φ in 0..1, see `rescaled`.
        mix: how the two predictions are put together (`mixing`).

    Examples:
        >>> from types import SimpleNamespace as Stub
        >>> def network(x, t, text, low_res=None):  # ε = what the text says, v = 0
        ...     return torch.cat([text.summary.view(-1, 1, 1, 1).expand_as(x), 0 * x], 1)
        >>> network.config = Stub(noise_schedule="linear")
        >>> says = lambda value: TextCondition(torch.full((1, 1), value), [])
        >>> denoise = classifier_free(network, says(2.0), says(1.0), scale=3.0)
        >>> denoise(torch.zeros(1, 3, 1, 1), torch.tensor([500]))[0, 0].item()  # 1 + 3 (2 − 1)
        4.0
    """
    conditional_alone = unguided(unet, text)
    if isinstance(scale, float | int) and scale == 1:
        return conditional_alone
    s = _per_row(scale, text)
    both = TextCondition(
        torch.cat([text.summary, empty.summary]),
        [torch.cat(pair) for pair in zip(text.text_kv, empty.text_kv, strict=True)],
    )
    alpha_bar = np.cumprod(1 - betas(unet.config.noise_schedule))

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        inside = _inside(t, interval)
        if inside is False:
            return conditional_alone(x, t)
        # One batch of both halves: two passes of half the size would use a GPU worse.
        output = unet(torch.cat([x, x]), beside(torch.cat([t, t]), x), both)
        conditional, unconditional = output.chunk(2)
        eps, v = conditional.chunk(2, dim=1)
        eps_empty = unconditional[:, :3]
        guided = mix(eps, eps_empty, s.to(eps))
        if rescale:
            guided = rescaled(guided, eps, x, read(alpha_bar, common(t), x), rescale)
        return torch.cat([_where(inside, guided, eps), v], dim=1)

    return denoise


def autoguided(
    unet: Network,
    text: TextCondition,
    weak: Network,
    weak_text: TextCondition,
    scale: float | Tensor,
    interval: Interval = ALWAYS,
    rescale: float = 0.0,
) -> Denoiser:
    """Return the denoiser ε̂ = ε_weak(x|c) + s (ε(x|c) − ε_weak(x|c)): away from a weaker model.

    This is autoguidance (Karras et al. 2024, arXiv 2406.02507; their w is s). The weaker model is a
    smaller or less trained one of the same kind, with the same caption. Only ε is guided. At steps
    where no row is guided, the weaker model doesn't run.

    Args:
        unet: the model.
        text: the captions (batch), as its transformer reads them.
        weak: the weaker model, of the same noise schedule.
        weak_text: the same captions, as the weaker model's transformer reads them.
        scale: as `classifier_free`'s.
        interval: as `classifier_free`'s.
        rescale: as `classifier_free`'s.

    Examples:
        >>> from types import SimpleNamespace as Stub
        >>> def network(x, t, text, low_res=None):  # ε = what the text says, v = 0
        ...     return torch.cat([text.summary.view(-1, 1, 1, 1).expand_as(x), 0 * x], 1)
        >>> network.config = Stub(noise_schedule="linear")
        >>> says = lambda value: TextCondition(torch.full((1, 1), value), [])
        >>> denoise = autoguided(network, says(2.0), network, says(1.0), scale=3.0)
        >>> denoise(torch.zeros(1, 3, 1, 1), torch.tensor([500]))[0, 0].item()  # 1 + 3 (2 − 1)
        4.0
    """
    alone, weaker, s = unguided(unet, text), unguided(weak, weak_text), _per_row(scale, text)
    alpha_bar = np.cumprod(1 - betas(unet.config.noise_schedule))

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        eps, v = alone(x, t).chunk(2, dim=1)
        inside = _inside(t, interval)
        if inside is False:
            return torch.cat([eps, v], dim=1)
        guided = plain(eps, weaker(x, t)[:, :3], s.to(eps))
        if rescale:
            guided = rescaled(guided, eps, x, read(alpha_bar, common(t), x), rescale)
        return torch.cat([_where(inside, guided, eps), v], dim=1)

    return denoise


def _per_row(scale: float | Tensor, text: TextCondition) -> Float[Tensor, "rows 1 1 1"]:
    return torch.as_tensor(scale, dtype=torch.float32).to(text.summary.device).view(-1, 1, 1, 1)


def _where(inside: bool | Tensor, guided: Tensor, eps: Tensor) -> Tensor:
    """Return the guided ε in rows inside the interval (all, or (batch,)), else the plain one."""
    if isinstance(inside, bool):
        return guided
    return torch.where(inside.to(eps.device).view(-1, 1, 1, 1), guided, eps)


def rescaled(
    guided: Float[Tensor, "batch channels height width"],
    conditional: Float[Tensor, "batch channels height width"],
    x: Float[Tensor, "batch channels height width"],
    alpha_bar: Float[Tensor, "batch 1 1 1"] | Float[Tensor, ""],
    phi: float,
) -> Float[Tensor, "batch channels height width"]:
    """Return ε̂ whose x_0 prediction is rescaled (Lin et al. 2023, arXiv 2305.08891, eq. 15, 16).

    x̂_0 becomes φ (std(x_0) / std(x̂_0)) x̂_0 + (1 − φ) x̂_0, with x_0 the conditional prediction
    and x̂_0 the guided one.

    A large scale widens the spread of x_0, which overexposes pictures. The guided x_0 is multiplied
    so that its standard deviation over an image equals that of the conditional x_0, and the result
    mixes φ parts of it with 1 − φ parts of the guided x_0. The rescaled quantity is x_0 and not ε,
    because at high noise the deviation of ε is near 1 for any x_0.

    Args:
        guided: ε̂, (batch, 3, size, size).
        conditional: ε(x|c), same shape.
        x: x_t.
        alpha_bar: ᾱ_t, (batch, 1, 1, 1), or a scalar for all rows.
        phi: φ in 0..1; 0 changes nothing.

    Returns:
        ε of the rescaled x_0, like `guided`.

    Examples:
        >>> x, eps = torch.zeros(1, 3, 2, 2), torch.arange(12.0).view(1, 3, 2, 2)
        >>> rescaled(3 * eps, eps, x, torch.full((1, 1, 1, 1), 0.5), phi=1.0).max()  # back from 33
        tensor(11.0000)
    """
    sigma = (1 - alpha_bar).sqrt()
    x_start = x - sigma * guided  # α x_0; the factor α cancels
    wanted = (x - sigma * conditional).flatten(1).std(1)
    found = x_start.flatten(1).std(1).clamp(min=torch.finfo(x.dtype).tiny)
    factor = phi * (wanted / found).view(-1, 1, 1, 1) + (1 - phi)
    return (x - factor * x_start) / sigma


def within(t: Int[Tensor, " batch"], interval: Interval) -> Bool[Tensor, " batch"]:
    """Return whether steps t (batch,) of 0..999 lie in an interval of t / 999: bool (batch,).

    Examples:
        >>> within(torch.tensor([0, 500, 999]), (0.2, 0.8))
        tensor([False,  True, False])
    """
    fraction = t.float() / (STEPS - 1)
    return (fraction >= interval[0]) & (fraction <= interval[1])


def _inside(t: Int[Tensor, " batch"], interval: Interval) -> bool | Tensor:
    """Return whether all rows are within the interval, or none is; else `within`'s answer.

    Nothing waits for a device where t is on the CPU, as samplers keep it.
    """
    if interval == ALWAYS:
        return True
    found = within(t, interval)
    if bool(found.all()):
        return True
    return found if bool(found.any()) else False


def combined(gradients: Sequence[Gradient], interval: Interval = ALWAYS) -> Gradient | None:
    """Return the sum of gradients, computed only inside the interval; None without gradients.

    At steps outside the interval the sum is None, which samplers take as "nothing to steer".

    Args:
        gradients: (x_t, t) to a gradient like x_t, or None.
        interval: of t / 999, as in `classifier_free`.

    Examples:
        >>> steer = combined([lambda x, t: x, lambda x, t: 2 * x])
        >>> steer(torch.ones(1), torch.tensor([500]))
        tensor([3.])
    """
    if not gradients:
        return None

    def gradient(x: Tensor, t: Tensor) -> Tensor | None:
        inside = _inside(t, interval)
        if inside is False:
            return None
        found = [slope for slope in (each(x, t) for each in gradients) if slope is not None]
        if not found:
            return None
        total = sum(found[1:], found[0])
        if inside is True:
            return total
        return torch.where(inside.to(x.device).view(-1, 1, 1, 1), total, 0.0)

    return gradient
