"""Small layers shared by the networks. Norms compute in fp32 whatever the torso's dtype."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Shaped
from torch import Tensor, nn

_SHARED_OUT = 1024  # pixels from which torch's GroupNorm on a CPU adds partial sums of its threads


class GroupNorm32(nn.GroupNorm):
    """GroupNorm with fp32 parameters and statistics, whatever the dtype of what it normalises."""

    _converted: tuple[tuple[object, ...], Tensor, Tensor] | None = None

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (batch, channels, …)."""
        shared = input.is_cpu and len(input) > 1 and math.prod(input.shape[2:]) >= _SHARED_OUT
        if shared and not torch.is_grad_enabled():
            return self._row_by_row(input)
        if input.dtype == self.weight.dtype:
            return super().forward(input)
        if torch.is_grad_enabled():
            return super().forward(input.float()).to(input.dtype)
        # Torch's kernels sum half-precision input in fp32 by themselves, three to five times
        # faster than by way of an fp32 copy. CUDA's wants parameters of the input's dtype.
        weight, bias = (self.weight, self.bias) if input.is_cpu else self._in(input.dtype)
        return F.group_norm(input, self.num_groups, weight, bias, self.eps)

    def _in(self, dtype: torch.dtype) -> tuple[Tensor, "Tensor"]:
        """Return weight and bias in a dtype, converted once: not two kernels per norm and step."""
        state = (dtype, self.weight.device, self.weight._version, self.bias._version)
        if self._converted is None or self._converted[0] != state:
            self._converted = (state, self.weight.to(dtype), self.bias.to(dtype))
        return self._converted[1:]

    def _row_by_row(self, input: Tensor) -> Tensor:
        """Normalise pictures one by one, so that their place in the batch changes nothing.

        For large pictures in channels-last order, torch splits the pixels of the whole batch among
        a CPU's threads and adds partial sums, which round differently at another place.
        """
        out = torch.empty_like(input)
        for row, normalised in zip(input.split(1), out.split(1), strict=True):
            normalised.copy_(self(row))
        return out


class LayerNorm32(nn.LayerNorm):
    """LayerNorm over the last axis, computed in fp32."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (…, width)."""
        return super().forward(input.float()).to(input.dtype)


def silu(x: Tensor) -> Tensor:
    """X · sigmoid(x). Without gradients it overwrites x, so nothing else may read x."""
    return F.silu(x, inplace=not torch.is_grad_enabled())


def film(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """X · (1 + scale) + shift (Perez et al. 2018); may overwrite x as `silu` does.

    Args:
        x: (batch, channels, height, width).
        scale: (batch, channels, 1, 1).
        shift: like scale.
    """
    return torch.addcmul(shift, x, 1 + scale, out=None if torch.is_grad_enabled() else x)


def zeroed(module: nn.Module) -> nn.Module:
    """Return the module with all parameters zero, so a residual branch starts as nothing."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


def timestep_embedding(
    t: Shaped[Tensor, " batch"], dim: int, max_period: float = 10_000.0
) -> Float32[Tensor, "batch {dim}"]:
    """Sinusoidal embedding of timesteps, which may be fractional.

    Cosines first, then sines, as in Vaswani et al. 2017 up to that order.
    """
    half = dim // 2
    frequencies = torch.exp(
        -math.log(max_period) * torch.arange(half, dtype=torch.float32, device=t.device) / half
    )
    angles = t.float()[:, None] * frequencies[None]
    embedding = torch.cat([angles.cos(), angles.sin()], dim=-1)
    return F.pad(embedding, (0, dim % 2))


def attend(
    q: Float[Tensor, "batch queries heads channels"],
    k: Float[Tensor, "batch keys heads channels"],
    v: Float[Tensor, "batch keys heads channels"],
    causal: bool = False,
) -> Float[Tensor, "batch queries heads channels"]:
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1)."""
    q, k, v = (part.transpose(1, 2) for part in (q, k, v))
    if q.is_cpu and q.dtype != torch.float32 and not causal:
        # Torch's fused kernel for CPUs multiplies in fp32; two half-precision products are faster.
        weights = torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2)).softmax(-1)
        return torch.matmul(weights, v).transpose(1, 2)
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2)
