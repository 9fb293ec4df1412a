"""Images made fit for raters: opaque names, no metadata, one size, lossless."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from glide_eval.errors import ImageError
from glide_eval.records import Sample
from glide_eval.run_store import write_bytes

from .errors import StudyError
from .passwords import new_token


def common_size(paths: Iterable[Path]) -> tuple[tuple[int, int], bool]:
    """The size every image will be shown in, and whether any must be made smaller for it.

    It is the smallest width and the smallest height, in pixels.

    Raises:
        ImageError: a file is missing or not an image.
    """
    sizes = {_read_size(path) for path in paths}
    return (min(width for width, _ in sizes), min(height for _, height in sizes)), len(sizes) > 1


def blind_copies(
    root: Path,
    samples: Iterable[Sample],
    folder: Path,
    size: tuple[int, int],
    progress: Callable[[], object] = lambda: None,
) -> dict[tuple[str, str, int], str]:
    """Write each sample to `folder` under a random 128-bit name; names by sample key.

    Pixels are unchanged unless the sample is larger than `size`, then it is cropped to its middle
    and downsampled: size must not tell arms apart.

    Raises:
        ImageError: a file is missing, truncated or not an image.
        StorageError: the disk is full or read-only.
    """
    names: dict[tuple[str, str, int], str] = {}
    for sample in samples:
        name = new_token()
        write_bytes(folder / f"{name}.png", _blind_png(root / sample.path, size))
        names[sample.key] = name
        progress()
    return names


def _blind_png(path: Path, size: tuple[int, int]) -> bytes:
    """The picture and nothing else, as PNG."""
    try:
        with Image.open(path) as image:
            pixels = image.convert("RGBA") if "A" in image.getbands() else image.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise _image_error(path, error) from error
    if pixels.mode == "RGBA":
        pixels = Image.alpha_composite(Image.new("RGBA", pixels.size, "white"), pixels)
    bare = Image.new("RGB", pixels.size)  # carries no text, profile or date
    bare.paste(pixels)
    if bare.size != size:
        bare = ImageOps.fit(bare, size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    bare.save(buffer, "PNG")
    return buffer.getvalue()


def _read_size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, SyntaxError, UnidentifiedImageError) as error:
        raise _image_error(path, error) from error


def _image_error(path: Path, error: Exception) -> ImageError:
    reason = "it is missing" if isinstance(error, FileNotFoundError) else str(error)
    return ImageError(
        f"{path} can't be read as an image: {reason}. Expected a whole PNG. Run the sweep again "
        "with the same command to remake it, then create the study."
    )


def require_samples(samples: list[Sample], where: Path) -> None:
    """Raise a StudyError when a run has no samples."""
    if not samples:
        raise StudyError(
            f"{where} lists no samples, so there is nothing to compare. "
            "Finish the sweep first: run it again with the same command."
        )
