"""Reading an image file into pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from .errors import ImageError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})


def read_rgb(path: Path) -> np.ndarray:
    """An image file as uint8 RGB (height, width, 3).

    Raises:
        ImageError: it is missing, truncated or not an image.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such image. Put it back or name another.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(
            f"{path}: expected a whole image, found one that can't be decoded ({error}). "
            "Replace the file."
        ) from error
