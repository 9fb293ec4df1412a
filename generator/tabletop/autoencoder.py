"""A small discrete autoencoder of pictures, in the place of DALL-E's.

A picture that passes through it keeps its content and loses its crispness, so that two models can
be compared without their sharpness.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator.checkpoints import WEIGHTS, fill, read, sha256
from generator.errors import CheckpointError, OptionError

STRIDE = 8  # pixels a code stands for, in each direction; DALL-E's has the same
LEVELS = (8, 8, 8)  # values each coordinate of a code may take: 512 codes
WIDTH = 64


class _Residual(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.ReLU(), nn.Conv2d(channels, channels, 3, 1, 1),
            nn.ReLU(), nn.Conv2d(channels, channels, 3, 1, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class AutoencoderNetwork(nn.Module):
    """Turns pictures into codes, one of 512 per 8 x 8 pixels, and codes into pictures.

    Codes are quantised coordinate by coordinate (finite scalar quantisation, Mentzer et al. 2023,
    section 3): each is bounded, then rounded, and gradients pass the rounding unchanged. There is
    no codebook that training could leave half unused.
    """

    def __init__(self, width: int = WIDTH):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, width // 2, 4, 2, 1), nn.ReLU(),
            nn.Conv2d(width // 2, width, 4, 2, 1), nn.ReLU(),
            nn.Conv2d(width, width, 4, 2, 1),
            _Residual(width), _Residual(width),
            nn.ReLU(), nn.Conv2d(width, len(LEVELS), 1),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Conv2d(len(LEVELS), width, 3, 1, 1),
            _Residual(width), _Residual(width),
            nn.ReLU(), nn.ConvTranspose2d(width, width, 4, 2, 1),
            nn.ReLU(), nn.ConvTranspose2d(width, width // 2, 4, 2, 1),
            nn.ReLU(), nn.ConvTranspose2d(width // 2, 3, 4, 2, 1),
        )  # fmt: skip

    def encode(self, images: Tensor) -> Tensor:
        """Return the codes of pictures.

        Args:
            images: (batch, 3, h, w) in -1..1, sides multiples of `STRIDE`.

        Returns:
            (batch, 3, h / STRIDE, w / STRIDE): coordinates in -1..1, each one of its `LEVELS`.
        """
        steps = torch.tensor(LEVELS, device=images.device).view(1, -1, 1, 1) - 1
        bounded = self.encoder(images).sigmoid() * steps
        rounded = bounded + (bounded.round() - bounded).detach()
        return rounded / steps * 2 - 1

    def forward(self, images: Tensor) -> Tensor:
        """Return pictures (batch, 3, h, w) of codes, in about -1..1: values are not clamped."""
        return self.decoder(self.encode(images))


class Autoencoder:
    """The trained network behind plain arrays.

    Attributes:
        fingerprint: SHA-256 of its weights file; empty if it came from none.
    """

    def __init__(self, network: AutoencoderNetwork, fingerprint: str = ""):
        self.network, self.fingerprint = network.eval(), fingerprint

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Load the bundled autoencoder, or one trained elsewhere.

        Raises:
            CheckpointError: missing, corrupt or another model's file.
        """
        path = path or WEIGHTS / "autoencoder.safetensors"
        state, metadata = read(path)
        if metadata["class"] != "AutoencoderNetwork":
            raise CheckpointError(
                f"Weights {path} hold a {metadata['class']}, expected an AutoencoderNetwork. "
                "Name another file."
            )
        return cls(fill(AutoencoderNetwork(), state, path), sha256(path))

    @torch.no_grad()
    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """Encode pictures and return what their codes decode to.

        Each picture is computed by itself, so that its bytes don't depend on the rest of the batch.
        Sides that are no multiples of `STRIDE` are extended by their edge pixels and cut back.

        Args:
            images: uint8 (n, h, w, 3).

        Returns:
            uint8 (n, h, w, 3).

        Raises:
            OptionError: another shape or dtype.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise OptionError(
                f"The autoencoder needs uint8 images (n, height, width, 3); found {images.dtype} "
                f"{images.shape}. Convert them to RGB with 8 bits a channel."
            )
        height, width = images.shape[1:3]
        result = np.empty_like(images)
        for number, image in enumerate(images):
            x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
            x = F.pad(x, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
            y = self.network(x)[0, :, :height, :width].permute(1, 2, 0)
            result[number] = ((y + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
        return result
