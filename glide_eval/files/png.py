"""Pixels into the PNG bytes of a sample: the same pixels always give the same bytes."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """PNG bytes with fixed compression and no metadata (no time, no software, no text).

    Args:
        pixels: uint8 (height, width, 3), RGB.
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def centre_square(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The centre crop of an image, resized to `size` × `size` with antialiased bicubic filtering.

    Args:
        pixels: uint8 (height, width, 3), RGB.
        size: side of the result in pixels.

    Returns:
        uint8 (size, size, 3).
    """
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = pixels[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(square)
    return np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.BICUBIC))
