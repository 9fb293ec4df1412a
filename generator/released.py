"""OpenAI's released GLIDE (filtered): six files, where they are published, what they hold.

Imports no torch, so that listing models is quick.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from .config import GLIDE_BASE, GLIDE_CLIP, GLIDE_UPSAMPLE, ClipConfig, UNetConfig
from .weight_files import weights_folder

_STORAGE = "https://openaipublic.blob.core.windows.net"
GLIDE_BASE_INPAINT = replace(GLIDE_BASE, inpaint=True)
GLIDE_UPSAMPLE_INPAINT = replace(GLIDE_UPSAMPLE, inpaint=True)


@dataclass(frozen=True, slots=True)
class ReleasedFile:
    """One published file.

    Attributes:
        name: as the released code calls it.
        file: as published, and on disk.
        url: where.
        what: it is for, in a few words.
        config: of the network it holds; None if it holds none.
        parameters: of that network.
        sha256: known beforehand; None where nobody published one.
    """

    name: str
    file: str
    url: str
    what: str
    config: UNetConfig | ClipConfig | None = None
    parameters: int = 0
    sha256: str | None = None


def _weights(
    name: str, file: str, config: UNetConfig | ClipConfig, parameters: int, what: str
) -> ReleasedFile:
    return ReleasedFile(
        name, file, f"{_STORAGE}/diffusion/dec-2021/{file}", what, config, parameters
    )


CHECKPOINTS = (
    _weights("base", "base.pt", GLIDE_BASE, 385_030_726, "text to 64 px"),
    _weights("upsample", "upsample.pt", GLIDE_UPSAMPLE, 398_361_286, "64 px and text to 256 px"),
    _weights(
        "base-inpaint", "base_inpaint.pt", GLIDE_BASE_INPAINT, 385_037_638, "fills a hole at 64 px"
    ),
    _weights(
        "upsample-inpaint", "upsample_inpaint.pt", GLIDE_UPSAMPLE_INPAINT, 398_368_198,
        "its fill to 256 px",
    ),
    _weights(
        "clip/image-enc", "clip_image_enc.pt", GLIDE_CLIP, 86_443_776, "noised CLIP, which guides"
    ),
    _weights("clip/text-enc", "clip_text_enc.pt", GLIDE_CLIP, 71_679_488, "its text encoder"),
)  # fmt: skip

VOCABULARY = ReleasedFile(
    "vocabulary",
    "encoder.json",
    f"{_STORAGE}/gpt-2/encodings/main/encoder.json",
    "GPT-2's tokens, which the UNets read",
    sha256="196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
)

BY_FILE = {released.file: released for released in CHECKPOINTS}


def released_folder() -> Path:
    """Return where `glide-eval models fetch glide` puts the files."""
    return weights_folder() / "glide"


def unet_config(in_channels: int) -> UNetConfig | None:
    """Return the released UNet whose first convolution sees this many channels; None if there is
    none.
    """
    for released in CHECKPOINTS:
        if isinstance(released.config, UNetConfig) and released.config.in_channels == in_channels:
            return released.config
    return None
