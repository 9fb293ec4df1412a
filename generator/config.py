"""Model hyper-parameters as plain records; a checkpoint carries its own."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

# Channel multipliers by picture size, as the released models were built.
_DEFAULT_MULTIPLIERS = {
    256: (1, 1, 2, 2, 4, 4),
    128: (1, 1, 2, 3, 4),
    64: (1, 2, 3, 4),
}


@dataclass(frozen=True)
class UNetConfig:
    """A text-conditional UNet. The defaults are GLIDE's base model (3.5B's filtered 300M release).

    Attributes:
        image_size: width and height of x, pixels.
        num_channels: channels of the first level; a multiple of `norm_groups`.
        num_res_blocks: residual blocks per level.
        channel_mult: channels of each level over `num_channels`; None picks by `image_size`.
        attention_resolutions: feature-map sizes, in pixels, that attend.
        num_head_channels: channels of an attention head.
        dropout: in residual blocks, while training.
        text_ctx: tokens of a caption.
        xf_width, xf_layers, xf_heads: the text transformer.
        n_vocab: token ids.
        super_res: conditioned on a low-resolution image.
        inpaint: conditioned on a masked image and its mask.
        norm_groups: groups of every GroupNorm. The released models have 32 over 192 channels or
            more; a narrow model needs fewer, since a group of one channel erases that channel's
            mean, and with it the picture's overall colour.
        noise_schedule: `squaredcos_cap_v2` or `linear`, 1000 steps.
    """

    image_size: int = 64
    num_channels: int = 192
    num_res_blocks: int = 3
    channel_mult: tuple[int, ...] | None = None
    attention_resolutions: tuple[int, ...] = (32, 16, 8)
    num_head_channels: int = 64
    dropout: float = 0.1
    text_ctx: int = 128
    xf_width: int = 512
    xf_layers: int = 16
    xf_heads: int = 8
    n_vocab: int = 50257
    super_res: bool = False
    inpaint: bool = False
    norm_groups: int = 32
    noise_schedule: str = "squaredcos_cap_v2"

    @property
    def multipliers(self) -> tuple[int, ...]:
        """Channel multipliers, one per level."""
        return self.channel_mult or _DEFAULT_MULTIPLIERS[self.image_size]

    @property
    def in_channels(self) -> int:
        """Image channels the first convolution sees: x, and what it is conditioned on."""
        return 3 + (4 if self.inpaint else 0) + (3 if self.super_res else 0)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the config that `to_dict` wrote."""
        fixed: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return cls(**fixed)


@dataclass(frozen=True)
class ClipConfig:
    """A CLIP with one text and one image encoder. The defaults are GLIDE's noised CLIP.

    Attributes:
        n_timesteps: 0 for a clean CLIP; else the image encoder takes integer t below this.
        logit_scale: CLIP's learned temperature, as a factor (100 at convergence).
    """

    image_size: int = 64
    patch_size: int = 4
    n_timesteps: int = 1000
    n_vocab: int = 65536
    max_text_len: int = 77
    n_embd: int = 512
    n_head_text: int = 8
    n_head_state_text: int = 64
    n_xf_blocks_text: int = 12
    n_head_image: int = 12
    n_head_state_image: int = 64
    n_xf_blocks_image: int = 12
    logit_scale: float = 100.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the config that `to_dict` wrote."""
        return cls(**values)


GLIDE_BASE = UNetConfig()
GLIDE_UPSAMPLE = UNetConfig(
    image_size=256, num_res_blocks=2, super_res=True, noise_schedule="linear"
)
GLIDE_CLIP = ClipConfig()
