"""Pictures that people hand in to be edited, and masks that say where.

**White is repainted, black is kept**: grey of 128 or more counts as white. Inside, and in
`generator.editing`, it is the other way round: `known` is True where the picture is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glide_eval.errors import ImageError, UsageError

from .images import decode_rgb, read_file
from .png import centre_square

WHITE = 128
COLOURFUL = 16  # how far channels of a pixel may lie apart in a mask: JPEG moves grey a little

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Box = Sequence[float]


@dataclass(frozen=True)
class Picture:
    """A picture made to fit a model.

    Attributes:
        pixels: uint8 (size, size, 3).
        notes: what was done to it, for the user.
    """

    pixels: Pixels
    notes: tuple[str, ...]


def read_picture(path: Path) -> Pixels:
    """An image file as people see it: uint8 RGB (height, width, 3), turned by its EXIF orientation.

    Raises:
        ImageError: it is missing, truncated, too large, or not a still opaque 8-bit RGB or grey
            image (see `images.decode_rgb`).
    """
    return decode_rgb(read_file(path), path, upright=True)


def fit_picture(pixels: Pixels, size: int, name: Path | str) -> Picture:
    """The centre square of a picture, resized to `size`."""
    height, width = pixels.shape[:2]
    notes: list[str] = []
    if height != width:
        notes.append(f"{name} is {width} × {height}: its centre square is used.")
    if min(height, width) != size:
        done = "enlarged" if min(height, width) < size else "reduced"
        notes.append(f"{name} is {done} to {size} × {size}, the size this model draws.")
    return Picture(centre_square(pixels, size), tuple(notes))


def read_mask(path: Path, shape: tuple[int, ...], invert: bool = False) -> Mask:
    """Where to paint: bool (height, width), True in the white of a mask image.

    Args:
        path: the mask.
        shape: (height, width, …) of its picture, which it must share.
        invert: paint in the black instead.

    Raises:
        ImageError: as `read_picture` raises, or it is coloured or of another size.
    """
    pixels = read_picture(path)
    if pixels.shape[:2] != shape[:2]:
        found, wanted = (f"{s[1]} × {s[0]}" for s in (pixels.shape, shape))
        raise ImageError(
            f"{path} is {found}, but the picture it masks is {wanted}: expected a mask of the "
            "same size. Make it from the picture itself, so that they lie on each other."
        )
    if int(np.ptp(pixels, axis=-1).max()) > COLOURFUL:
        raise ImageError(
            f"{path} is coloured: expected a black and white mask, white where to paint. If it is "
            "the picture itself, swap the two."
        )
    white = pixels[..., 0] >= WHITE
    return ~white if invert else white


def fit_mask(paint: Mask, size: int) -> Mask:
    """The centre square of a mask, resized: a pixel is painted if any pixel under it is."""
    height, width = paint.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = paint[top : top + side, left : left + side]
    if side == size:
        return square.copy()
    grey = Image.fromarray(square.astype(np.float32))
    return np.asarray(grey.resize((size, size), Image.Resampling.BOX)) > 1e-6


def box_mask(box: Box, size: int) -> Mask:
    """Where to paint as a rectangle: bool (size, size), True inside.

    Args:
        box: left, top, right, bottom as fractions of the picture, 0..1.
        size: side of the picture in pixels.

    Raises:
        UsageError: not four fractions, or nothing between them.
    """
    check_box(box)
    left, top, right, bottom = (round(edge * size) for edge in box)
    paint = np.zeros((size, size), dtype=np.bool_)
    paint[top : max(bottom, top + 1), left : max(right, left + 1)] = True
    return paint


def check_box(box: Box) -> None:
    """Refuse a box with nothing inside.

    Raises:
        UsageError: names the box found.
    """
    if len(box) == 4:
        left, top, right, bottom = box
        if 0 <= left < right <= 1 and 0 <= top < bottom <= 1:
            return
    found = ",".join(f"{edge:g}" for edge in box)
    raise UsageError(
        f"box {found or 'of nothing'} is no rectangle: expected left,top,right,bottom as fractions "
        "of the picture with left < right and top < bottom, such as 0.5,0,1,1 for its right half."
    )


def known_from(paint: Mask, name: Path | str) -> tuple[Mask, tuple[str, ...]]:
    """What `generator.editing` calls known, and what the user should know of the mask.

    Args:
        paint: bool (size, size), True where to paint.
        name: what messages call the mask.

    Raises:
        ImageError: there is nothing to paint.
    """
    if not paint.any():
        raise ImageError(
            f"{name} has nothing to paint: none of it is white within the picture's centre square. "
            "White is repainted and black kept; if yours is the other way round, pass "
            "--invert-mask (`invert_mask = true` in a file)."
        )
    notes = (
        (f"{name} is all white: the whole picture is repainted and the source does not matter.",)
        if paint.all()
        else ()
    )
    return ~paint, notes
