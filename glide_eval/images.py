"""Reading an image file into pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from .errors import ImageError


def read_image(path: Path) -> NDArray[np.uint8]:
    """An image file as RGB.

    Returns:
        uint8 (height, width, 3), 0..255, upright; transparency is laid on white.

    Raises:
        ImageError: the file is missing, truncated or not an image.
    """
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if "A" in upright.getbands() or "transparency" in upright.info:
                rgba = upright.convert("RGBA")
                white = Image.new("RGBA", rgba.size, "white")
                upright = Image.alpha_composite(white, rgba)
            return np.asarray(upright.convert("RGB"))
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such image. Put it back or name another.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(
            f"{path}: expected a whole image, found one that can't be decoded ({error}). "
            "Replace the file."
        ) from error
