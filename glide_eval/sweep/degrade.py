"""Finished images made worse on purpose, each by itself, so that neighbours never matter."""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import (  # pyright: ignore[reportMissingTypeStubs]
    gaussian_filter,  # pyright: ignore[reportUnknownVariableType]
)

from glide_eval.extractors import Images

from .file.arm_options import DegradeTable


def degraded(images: Images, how: DegradeTable) -> Images:
    """Return the images, worse.

    Args:
        images: uint8 (n, size, size, 3).
        how: in which way and how much.

    Returns:
        uint8 (n, size, size, 3).

    Raises:
        generator.errors.CheckpointError: the autoencoder's weights are missing or damaged.
    """
    if how.autoencoder:
        return _autoencoder().reconstruct(images)
    one = {"blur": _blur, "jpeg": _jpeg, "downsample": _downsample}[how.kind]
    return np.stack([one(image, how.amount) for image in images])


def degrading_weights(how: DegradeTable) -> dict[str, str]:
    """SHA-256 of each weights file that takes part, by name; empty where none does."""
    return {"autoencoder.safetensors": _autoencoder().fingerprint} if how.autoencoder else {}


@functools.cache
def _autoencoder() -> Any:
    from generator.tabletop.autoencoder import Autoencoder

    return Autoencoder.load()


def _blur(image: Images, sigma: float) -> Images:
    soft = np.asarray(
        gaussian_filter(image.astype(np.float32), (sigma, sigma, 0), mode="nearest")  # pyright: ignore
    )
    return soft.round().clip(0, 255).astype(np.uint8)


def _jpeg(image: Images, quality: float) -> Images:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=int(quality))
    with Image.open(buffer, formats=("JPEG",)) as decoded:
        return np.asarray(decoded.convert("RGB"))


def _downsample(image: Images, factor: float) -> Images:
    height, width = image.shape[:2]
    small = (max(1, round(width / factor)), max(1, round(height / factor)))
    shrunk = Image.fromarray(image).resize(small, Image.Resampling.BICUBIC)
    return np.asarray(shrunk.resize((width, height), Image.Resampling.BICUBIC))
