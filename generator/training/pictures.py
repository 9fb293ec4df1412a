"""Captioned pictures to train on: what a source offers, and how its pictures are cut to size."""

from __future__ import annotations

import hashlib
import io
import struct
import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from PIL import Image, ImageOps

from generator.errors import DataError

# Pillow's name of each format that is read -> the suffixes its files have; `glide_eval.files` reads
# the same. Pillow chooses a reader by a file's content, and that of EPS starts a program on it.
FORMATS = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm"),
    "GIF": (".gif",),
}
SUFFIXES: frozenset[str] = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)
_UNREADABLE = (
    OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error,
    Image.DecompressionBombError,
)  # fmt: skip
_TRIES = 20  # neighbours tried in the place of a picture that can't be read


class Pictures(Protocol):
    """Captioned pictures by number.

    Attributes:
        notes: what was found and not used, one sentence each.
    """

    notes: list[str]

    def __len__(self) -> int:
        """Return how many there are; at least one."""
        ...

    def item(self, index: int, rng: np.random.Generator) -> tuple[Image.Image, str]:
        """Return a picture, opened but perhaps not yet decoded, and one of its captions."""
        ...

    def name(self, index: int) -> str:
        """Return what messages call a picture."""
        ...

    def digest(self) -> str:
        """Return the SHA-256 of what the source lists: names, sizes and captions, not pixels."""
        ...


@dataclass(frozen=True)
class Framing:
    """How pictures of any shape become squares.

    Attributes:
        size: width and height wanted.
        crop: `center`, the largest square; `random`, one of 80% to all of its side, anywhere.
        flip: mirror half of the pictures. Wrong where captions speak of left and right.
    """

    size: int
    crop: str = "center"
    flip: bool = False

    def cut(self, image: Image.Image, rng: np.random.Generator) -> np.ndarray:
        """Return the square as uint8 (size, size, 3), by Pillow's antialiased bicubic filter."""
        # JPEGs decode at a half, quarter or eighth where that is still twice the size wanted.
        image.draft("RGB", (2 * self.size, 2 * self.size))
        image = _to_rgb(ImageOps.exif_transpose(image))
        width, height = image.size
        side = min(width, height)
        if self.crop == "random":
            side = max(1, round(side * rng.uniform(0.8, 1.0)))
            left, top = (int(rng.integers(rest - side + 1)) for rest in (width, height))
        else:
            left, top = (width - side) // 2, (height - side) // 2
        square = image.crop((left, top, left + side, top + side))
        square = square.resize((self.size, self.size), Image.Resampling.BICUBIC)
        if self.flip and rng.random() < 0.5:
            square = ImageOps.mirror(square)
        return np.asarray(square)


def opened(content: bytes) -> Image.Image:
    """Return an image file's picture, perhaps not yet decoded.

    Raises:
        OSError: the file is of none of the formats that are read.
    """
    return Image.open(io.BytesIO(content), formats=tuple(FORMATS))


class Shuffled:
    """Batches of a source: every picture once per epoch, in an order that the seed fixes.

    Batch `number` is the same whenever and wherever it is drawn. A picture that can't be read is
    left out and counted, and the next readable one takes its place.

    Attributes:
        skipped: name of each picture that could not be read -> why.
    """

    def __init__(self, pictures: Pictures, framing: Framing, batch: int, seed: int):
        self.skipped: dict[str, str] = {}
        self._pictures, self._framing, self._batch = pictures, framing, batch
        self._order = lru_cache(maxsize=2)(
            lambda epoch: np.random.default_rng([seed, epoch, 7]).permutation(len(pictures))
        )
        self._lock = threading.Lock()

    def draw(self, rng: np.random.Generator, number: int) -> tuple[np.ndarray, list[str]]:
        """Return pictures uint8 (batch, size, size, 3) and their captions.

        Raises:
            DataError: many pictures in a row can't be read.
        """
        size = self._framing.size
        images = np.empty((self._batch, size, size, 3), np.uint8)
        captions = []
        for i in range(self._batch):
            images[i], caption = self._readable(self._index(number * self._batch + i), rng)
            captions.append(caption)
        return images, captions

    def _index(self, place: int) -> int:
        epoch, within = divmod(place, len(self._pictures))
        with self._lock:
            return int(self._order(epoch)[within])

    def _readable(self, index: int, rng: np.random.Generator) -> tuple[np.ndarray, str]:
        reason = ""
        for k in range(min(_TRIES, len(self._pictures))):
            index_now = (index + k) % len(self._pictures)
            try:
                image, caption = self._pictures.item(index_now, rng)
                return self._framing.cut(image, rng), caption
            except _UNREADABLE as error:
                reason = str(error) or type(error).__name__
                self.skipped[self._pictures.name(index_now)] = reason
        raise DataError(
            f"None of {len(self.skipped)} pictures in a row from {self._pictures.name(index)} on "
            f"can be read ({reason}): expected PNG, JPEG or WebP files. Check that the data were "
            "copied whole."
        )


def digest_of(parts: Sequence[str]) -> str:
    """Return the SHA-256 of lines."""
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(part.encode("utf-8", "surrogateescape") + b"\n")
    return hashed.hexdigest()


def listed(names: Sequence[str], what: Callable[[int], str]) -> list[str]:
    """Return a note with the first of some names; no note without names."""
    if not names:
        return []
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return [f"{what(len(names))}: {', '.join(names[:3])}{more}."]


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert to 8-bit RGB: deeper greys are scaled, transparency is put on white."""
    if image.mode.startswith("I;16") or image.mode == "I":
        values = np.asarray(image).astype(np.float32) / 257
        image = Image.fromarray(values.round().clip(0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        with_alpha = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, with_alpha)
    return image.convert("RGB")
