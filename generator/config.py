"""Model hyper-parameters as plain records; a checkpoint carries its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

# The largest number that a network read from a file may have: far above all that were trained, and
# small enough to build.
_MOST = {
    "image_size": 4096, "num_channels": 8192, "num_res_blocks": 32, "num_head_channels": 8192,
    "text_ctx": 8192, "xf_width": 32768, "xf_layers": 256, "xf_heads": 1024, "n_vocab": 2**22,
    "norm_groups": 1024, "patch_size": 4096, "n_timesteps": 10**6, "max_text_len": 8192,
    "n_embd": 32768, "n_head_text": 1024, "n_head_state_text": 8192, "n_xf_blocks_text": 256,
    "n_head_image": 1024, "n_head_state_image": 8192, "n_xf_blocks_image": 256,
    "channel_mult": 64, "attention_resolutions": 4096,
}  # fmt: skip
_MOST_LEVELS = 12
_MAY_BE_0 = frozenset({"n_timesteps"})


def _checked(kind: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a file's values for a config, refused unless they could be those of a network.

    Raises:
        ValueError: an unknown key, a value of another type or beyond `_MOST`.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"found {values!r}, expected an object")
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    if unknown := sorted(map(str, values.keys() - defaults.keys())):
        raise ValueError(f"found `{unknown[0]}`, which is no setting of a {kind.__name__}")
    return {name: _one(name, value, defaults[name]) for name, value in values.items()}


def _one(name: str, value: Any, default: Any) -> Any:
    if name == "channel_mult" and value is None:
        return None
    if isinstance(default, tuple) or name == "channel_mult":
        fine = isinstance(value, list | tuple) and 0 < len(value) <= _MOST_LEVELS
        fine = fine and all(_is_count(each, 1, _MOST[name]) for each in value)
        value = tuple(value) if fine else value
    elif isinstance(default, bool):
        fine = isinstance(value, bool)
    elif isinstance(default, int):
        fine = _is_count(value, 0 if name in _MAY_BE_0 else 1, _MOST[name])
    elif isinstance(default, float):
        fine = isinstance(value, int | float) and 0 <= value <= 1e6
    else:
        fine = value in ("squaredcos_cap_v2", "linear")
    if not fine:
        found = f"{value!r}"[:60]
        raise ValueError(f"`{name}` is {found}, which no network of this toolkit has")
    return value


def _is_count(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


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
        """Return the config that `to_dict` wrote.

        Raises:
            ValueError: see `_checked`, or heads do not divide channels.
        """
        config = cls(**_checked(cls, values))
        if config.channel_mult is None and config.image_size not in _DEFAULT_MULTIPLIERS:
            raise ValueError(f"`image_size` is {config.image_size}, which needs `channel_mult`")
        # The last level attends in the middle block, whatever its resolution.
        attending = [
            config.num_channels * multiplier
            for level, multiplier in enumerate(config.multipliers)
            if config.image_size >> level in config.attention_resolutions
        ] + [config.num_channels * config.multipliers[-1]]
        odd = any(channels % config.num_head_channels for channels in attending)
        if odd or config.xf_width % config.xf_heads:
            raise ValueError("its attention heads do not divide its channels")
        return config


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
        """Return the config that `to_dict` wrote.

        Raises:
            ValueError: see `_checked`.
        """
        return cls(**_checked(cls, values))


GLIDE_BASE = UNetConfig()
GLIDE_UPSAMPLE = UNetConfig(
    image_size=256, num_res_blocks=2, super_res=True, noise_schedule="linear"
)
GLIDE_CLIP = ClipConfig()
