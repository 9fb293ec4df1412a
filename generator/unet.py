"""The image UNet of ADM (Dhariwal & Nichol 2021) with GLIDE's attention to text.

Entry names follow the released checkpoints (`input_blocks.1.0.in_layers.0.weight`); where a number
in them looks arbitrary, it counts layers without parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import UNetConfig
from .layers import GroupNorm32, attend, film, silu, zeroed


class ResBlock(nn.Module):
    """Two 3x3 convolutions with adaptive group norm; optionally halves or doubles the picture.

    The timestep (and caption summary) embedding scales and shifts the second norm: FiLM.
    """

    def __init__(self, channels: int, out_channels: int, config: UNetConfig, resample: str = ""):
        super().__init__()
        self.resample = resample
        self.in_layers = nn.Sequential(
            GroupNorm32(config.norm_groups, channels),
            nn.SiLU(),
            nn.Conv2d(channels, out_channels, 3, padding=1),
        )
        self.emb_layers = nn.Sequential(
            nn.SiLU(), nn.Linear(4 * config.num_channels, 2 * out_channels)
        )
        self.out_layers = nn.Sequential(
            GroupNorm32(config.norm_groups, out_channels),
            nn.SiLU(),
            nn.Dropout(config.dropout),
            zeroed(nn.Conv2d(out_channels, out_channels, 3, padding=1)),
        )
        self.skip_connection = (
            nn.Identity() if channels == out_channels else nn.Conv2d(channels, out_channels, 1)
        )

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """(batch, channels, height, width) and (batch, embedding) to (batch, out_channels, …)."""
        norm, _silu, convolution = self.in_layers
        h = silu(norm(x))
        if self.resample:
            h, x = _resample(h, self.resample), _resample(x, self.resample)
        h = convolution(h)
        scale, shift = self.emb_layers(emb).to(h.dtype)[..., None, None].chunk(2, dim=1)
        norm, _silu, dropout, convolution = self.out_layers
        h = convolution(dropout(silu(film(norm(h), scale, shift))))
        # In place, since h is this block's own: a full-size map less in memory.
        return h.add_(self.skip_connection(x))


def _pointwise(x: Tensor, convolution: nn.Conv1d) -> Tensor:
    """Return a 1x1 convolution over (batch, tokens, channels)."""
    return F.linear(x, convolution.weight[..., 0], convolution.bias)


def _resample(x: Tensor, how: str) -> Tensor:
    if how == "down":
        return F.avg_pool2d(x, 2)
    return F.interpolate(x, scale_factor=2, mode="nearest")


class AttentionBlock(nn.Module):
    """Pixels attend to each other and to the caption's tokens, whose keys come first.

    `qkv`, `encoder_kv` and `proj_out` are 1x1 convolutions in the checkpoints; they are applied as
    linear maps over (batch, tokens, channels).
    """

    def __init__(self, channels: int, config: UNetConfig):
        super().__init__()
        self.heads = channels // config.num_head_channels
        self.norm = GroupNorm32(config.norm_groups, channels)
        self.qkv = nn.Conv1d(channels, channels * 3, 1)
        self.encoder_kv = nn.Conv1d(config.xf_width, channels * 2, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)
        zeroed(self.proj_out)

    def text_kv(self, text: Tensor) -> Tensor:
        """Return the caption's keys and values: (batch, tokens, width) to (batch, tokens, heads, 2,
        c).
        """
        kv = _pointwise(text.to(self.encoder_kv.weight.dtype), self.encoder_kv)
        return kv.view(*kv.shape[:2], self.heads, 2, -1)

    def forward(self, x: Tensor, text_kv: Tensor) -> Tensor:
        """(batch, channels, height, width) in and out."""
        batch, _channels, height, width = x.shape
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        qkv = _pointwise(tokens, self.qkv)
        q, k, v = qkv.view(batch, height * width, self.heads, 3, -1).unbind(3)
        text_k, text_v = text_kv.unbind(3)
        mixed = attend(q, torch.cat([text_k, k], 1), torch.cat([text_v, v], 1))
        out = _pointwise(mixed.flatten(2), self.proj_out)
        return x + out.transpose(1, 2).reshape(x.shape)


class Stage(nn.Sequential):
    """Layers in order, each given what it takes: timestep embedding, text keys and values, or
    none.
    """

    def forward(self, x: Tensor, emb: Tensor, text_kv: Iterator[Tensor]) -> Tensor:  # type: ignore[override]
        """(batch, channels, height, width) through every layer."""
        for layer in self:
            if isinstance(layer, ResBlock):
                x = layer(x, emb)
            elif isinstance(layer, AttentionBlock):
                x = layer(x, next(text_kv))
            else:
                x = layer(x)
        return x


class UNet(nn.Module):
    """The torso: encoder, middle, decoder with skips, and the output head.

    Predicts (ε, variance fraction): 6 channels.
    """

    def __init__(self, config: UNetConfig):
        super().__init__()
        self.config = config
        width, embedding = config.num_channels, 4 * config.num_channels
        self.time_embed = nn.Sequential(
            nn.Linear(width, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )

        def residual(channels: int, out: int, resample: str = "") -> ResBlock:
            return ResBlock(channels, out, config, resample)

        def attention(channels: int, size: int) -> list[nn.Module]:
            if size not in config.attention_resolutions:
                return []
            return [AttentionBlock(channels, config)]

        multipliers, size = config.multipliers, config.image_size
        channels = width * multipliers[0]
        self.input_blocks = nn.ModuleList(
            [Stage(nn.Conv2d(config.in_channels, channels, 3, padding=1))]
        )
        skips = [channels]
        for level, multiplier in enumerate(multipliers):
            out = width * multiplier
            for _ in range(config.num_res_blocks):
                self.input_blocks.append(Stage(residual(channels, out), *attention(out, size)))
                channels = out
                skips.append(channels)
            if level < len(multipliers) - 1:
                self.input_blocks.append(Stage(residual(channels, channels, "down")))
                skips.append(channels)
                size //= 2
        middle_attention = AttentionBlock(channels, config)
        self.middle_block = Stage(
            residual(channels, channels), middle_attention, residual(channels, channels)
        )
        self.output_blocks = nn.ModuleList()
        for level, multiplier in reversed(list(enumerate(multipliers))):
            out = width * multiplier
            for i in range(config.num_res_blocks + 1):
                layers = [residual(channels + skips.pop(), out), *attention(out, size)]
                channels = out
                if level and i == config.num_res_blocks:
                    layers.append(residual(channels, channels, "up"))
                    size *= 2
                self.output_blocks.append(Stage(*layers))
        self.out = nn.Sequential(
            GroupNorm32(config.norm_groups, channels),
            nn.SiLU(),
            zeroed(nn.Conv2d(channels, 6, 3, padding=1)),
        )

    def attention_blocks(self) -> list[AttentionBlock]:
        """Return every attention block, in the order the picture passes them."""
        return [m for m in self.modules() if isinstance(m, AttentionBlock)]

    @property
    def dtype(self) -> torch.dtype:
        """What the torso computes in."""
        return next(self.input_blocks.parameters()).dtype

    def cast_torso(self, dtype: torch.dtype) -> Self:
        """Convert the torso's convolutions, in place; the released code's fp16 does the same.

        Norms, the timestep embedding, the caption's transformer and the output head stay fp32:
        they are a percent of the work and carry most of the precision.
        """
        for part in (self.input_blocks, self.middle_block, self.output_blocks):
            for module in part.modules():
                if isinstance(module, nn.Conv1d | nn.Conv2d):
                    module.to(dtype)
        return self

    def torso(self, x: Tensor, emb: Tensor, text_kv: list[Tensor]) -> Tensor:
        """(batch, in_channels, size, size) to (batch, 6, size, size)."""
        kv = iter(text_kv)
        h, skips = x.to(self.dtype), []
        for stage in self.input_blocks:
            h = stage(h, emb, kv)
            skips.append(h)
        h = self.middle_block(h, emb, kv)
        for stage in self.output_blocks:
            # Popped, so that a skip's memory is free once it is joined.
            h = stage(torch.cat([h, skips.pop()], dim=1), emb, kv)
        norm, _silu, convolution = self.out
        return convolution(silu(norm(h.to(x.dtype))))
