"""Reading images as the metrics see them: RGB, 8 bits, nothing guessed.

An image is either read without loss of meaning (RGB, grey, palettes, fully opaque alpha) or refused
with the reason. Colour profiles are ignored, and EXIF orientation unless asked for, as clean-fid,
torch-fidelity and torchmetrics ignore them, so that values can be compared with theirs.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from glide_eval.errors import ImageError

from .reading import read_whole

# Pillow's name of each format that is read -> the suffixes its files have. Pillow chooses a reader
# by a file's content, and that of EPS starts a program on it: no other format is ever opened.
FORMATS = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm"),
    "GIF": (".gif",),
}
IMAGE_SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)
MAX_BYTES = 1 << 29  # of a file: more than Pillow's limit of pixels takes, uncompressed


def read_rgb(path: Path) -> np.ndarray:
    """An image file as uint8 RGB (height, width, 3).

    Raises:
        ImageError: it is missing, truncated, not an image, or of a kind `decode_rgb` refuses.
    """
    return decode_rgb(read_file(path), path)


def read_file(path: Path) -> bytes:
    """The bytes of an image file.

    Raises:
        ImageError: it is missing, empty, no regular file, too large or can't be read.
    """
    try:
        content = read_whole(path, MAX_BYTES)
    except FileNotFoundError as error:
        raise ImageError(
            f"{path} is missing: expected an image there. Put it back, or run the sweep again "
            "with the same command to make it anew."
        ) from error
    except OSError as error:
        raise ImageError(f"{path} can't be read ({error.strerror}): expected an image.") from error
    if not content:
        raise ImageError(
            f"{path} is empty: expected an image. Delete it, then copy it or make it again."
        )
    return content


def decode_rgb(content: bytes, name: Path | str, *, upright: bool = False) -> np.ndarray:
    """The bytes of an image file as uint8 RGB (height, width, 3); see `decode`."""
    return decode(content, name, upright=upright)[0]


def decode(content: bytes, name: Path | str, *, upright: bool = False) -> tuple[np.ndarray, str]:
    """Return an image file's pixels, uint8 RGB (height, width, 3), and its format in Pillow's word.

    Only the formats of `FORMATS` are opened. Grey and palette images become RGB with equal meaning;
    an alpha channel is dropped only where it is opaque everywhere; of a camera's multi-picture JPEG
    the first picture is read. Refused: transparency, more than 8 bits a channel, several frames,
    CMYK and other colour spaces, because any reading of those is a choice that moves the metrics.
    May be called from several threads.

    Args:
        content: the whole file.
        name: what messages call it.
        upright: turn it as its EXIF orientation says, which is how people see it.

    Raises:
        ImageError: it is truncated, not an image, or of a kind refused above.
    """
    try:
        with Image.open(io.BytesIO(content), formats=tuple(FORMATS)) as image:
            _refuse_huge(image, name)
            _refuse_deep_or_animated(image, content, name)
            with _STRICT:
                image.load()
            turned = ImageOps.exif_transpose(image) if upright else image
            return np.asarray(_to_rgb(turned, name)), image.format or ""
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name} is not an image: expected {', '.join(FORMATS)}, found {len(content):,} bytes "
            f"beginning {content[:8]!r}. Remove it or convert it."
        ) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise _too_large(name, str(error)) from error
    except Exception as error:  # a decoder may raise anything on damaged bytes
        raise ImageError(
            f"{name} is truncated or corrupt ({error}): expected a whole image. Delete it, then "
            "copy or make it again; a sweep run again with the same command makes its own anew."
        ) from error


def read_many(paths: list[Path], size: int | None = None) -> Iterator[np.ndarray]:
    """Each image as uint8 RGB, centre-cropped and resized to `size` if one is given.

    Raises:
        ImageError: see `read_rgb`.
    """
    for path in paths:
        image = read_rgb(path)
        yield image if size is None else center_crop(image, size)


def center_crop(image: np.ndarray, size: int) -> np.ndarray:
    """The largest central square of uint8 (h, w, 3), resized to (size, size, 3).

    Resizing is Pillow's bicubic, which antialiases when shrinking; an image that already has the
    size comes back unchanged.
    """
    height, width = image.shape[:2]
    if (height, width) == (size, size):
        return image
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = Image.fromarray(image[top : top + side, left : left + side])
    return np.asarray(square.resize((size, size), Image.Resampling.BICUBIC))


class _Strict:
    """While any thread is inside, Pillow refuses truncated files.

    Another library may have told it, for the whole process, to fill them with grey.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._outside = threading.Lock(), 0, False

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._outside = ImageFile.LOAD_TRUNCATED_IMAGES
                ImageFile.LOAD_TRUNCATED_IMAGES = False
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                ImageFile.LOAD_TRUNCATED_IMAGES = self._outside


_STRICT = _Strict()


def _refuse_huge(image: ImageFile.ImageFile, name: Path | str) -> None:
    # Pillow only warns up to twice its limit, and warnings can't be caught in one thread alone.
    pixels, limit = image.width * image.height, Image.MAX_IMAGE_PIXELS
    if limit is not None and pixels > limit:
        raise _too_large(name, f"{pixels:,} pixels, at most {limit:,} are read")


def _too_large(name: Path | str, why: str) -> ImageError:
    return ImageError(f"{name} is too large to be one of these images: {why.rstrip('.')}.")


def _refuse_deep_or_animated(image: ImageFile.ImageFile, content: bytes, name: Path | str) -> None:
    # Pillow reads 16-bit colour as 8 bits without a word, so the file's own header is asked.
    raw_modes = [str(tile[3]) for tile in image.tile]
    deep_png = image.format == "PNG" and content[24:25] == b"\x10"
    if deep_png or image.mode.startswith(("I", "F")) or any("16" in mode for mode in raw_modes):
        raise ImageError(
            f"{name} has more than 8 bits a channel (mode {image.mode}): expected 8. Convert it "
            "with the tone mapping you mean; reducing it here would be a guess."
        )
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # whose other frames are previews or depth maps
        raise ImageError(
            f"{name} has {frames} frames: expected a single still image. Save the one you mean."
        )


def _to_rgb(image: Image.Image, name: Path | str) -> Image.Image:
    if image.mode in ("RGB", "L", "1") and "transparency" not in image.info:
        return image.convert("RGB")
    if image.mode in ("RGBA", "LA", "P", "PA", "RGB", "L", "1"):
        with_alpha = image.convert("RGBA")
        lowest, _ = with_alpha.getchannel("A").getextrema()
        if lowest == 255:
            return with_alpha.convert("RGB")
        raise ImageError(
            f"{name} is partly transparent (mode {image.mode}): expected an opaque image. Flatten "
            "it onto the background it is meant to be seen on."
        )
    raise ImageError(
        f"{name} is a {image.mode} image: expected RGB or grey. Convert it to RGB with the colour "
        "profile you mean."
    )
