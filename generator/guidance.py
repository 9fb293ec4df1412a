"""Guidance as denoisers: unguided and classifier-free. CLIP's gradient is `clip.Clip.gradient`."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from .config import UNetConfig
from .sampling import Denoiser
from .text_unet import TextCondition


class Network(Protocol):
    """What guidance needs of a UNet: a `TextUNet`, or one told more (`generator.stages`)."""

    config: UNetConfig

    def __call__(
        self, x: Tensor, t: Tensor, text: TextCondition, low_res: Tensor | None = None
    ) -> Tensor:
        """See `TextUNet.forward`."""
        ...


def unguided(unet: Network, text: TextCondition, low_res: Tensor | None = None) -> Denoiser:
    """The network itself, told the caption."""

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        return unet(x, t, text, low_res=low_res)

    return denoise


def classifier_free(
    unet: Network, text: TextCondition, empty: TextCondition, scale: float | Tensor
) -> Denoiser:
    """ε̂ = ε(x|∅) + s (ε(x|c) − ε(x|∅)): Ho & Salimans 2021, GLIDE eq. 2.

    Only ε is guided; the variance stays the conditional one's. Both halves run as one batch; scale
    1 needs the conditional half alone.

    Args:
        unet: fine-tuned with empty captions.
        text: the captions (batch).
        empty: as many empty captions.
        scale: s ≥ 1, one or (batch,).
    """
    if isinstance(scale, float | int) and scale == 1:
        return unguided(unet, text)
    s = torch.as_tensor(scale, dtype=torch.float32).view(-1, 1, 1, 1)
    both = TextCondition(
        torch.cat([text.summary, empty.summary]),
        [torch.cat(pair) for pair in zip(text.text_kv, empty.text_kv, strict=True)],
    )

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        output = unet(torch.cat([x, x]), torch.cat([t, t]), both)
        conditional, unconditional = output.chunk(2)
        eps, v = conditional.chunk(2, dim=1)
        eps_empty = unconditional[:, :3]
        return torch.cat([eps_empty + s.to(eps) * (eps - eps_empty), v], dim=1)

    return denoise
