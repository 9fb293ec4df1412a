"""Images made fit for raters: opaque names, no metadata, one size, lossless."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageFilter, ImageOps, UnidentifiedImageError

from glide_eval.errors import ImageError
from glide_eval.files import Sample, sample_bytes, write_bytes
from study_app.errors import StudyError
from study_app.store import new_token

FORMATS = ("PNG",)  # of samples


@dataclass(frozen=True, slots=True)
class Picture:
    """What a rater is shown: a sample, or the sample made worse on purpose.

    Attributes:
        sample: its `path` is absolute.
        twin: `blur S` (Gaussian, S pixels at 256), `jpeg Q` (quality) or `downsample F` (and back
            up); empty for the sample as it is.
    """

    sample: Sample
    twin: str = ""

    @property
    def key(self) -> PictureKey:
        """(arm, prompt_id, replica, twin): unique in a study."""
        return (*self.sample.key, self.twin)


PictureKey = tuple[str, str, int, str]


def common_size(paths: Iterable[Path]) -> tuple[tuple[int, int], bool]:
    """Return the size that every image is shown in, and whether any image must shrink to it.

    It is the smallest width and the smallest height, in pixels.

    Raises:
        ImageError: a file is missing or not an image.
    """
    sizes = {_read_size(path) for path in paths}
    return (min(width for width, _ in sizes), min(height for _, height in sizes)), len(sizes) > 1


def blind_copies(
    pictures: Iterable[Picture],
    folder: Path,
    size: tuple[int, int],
    progress: Callable[[], object] = lambda: None,
) -> dict[PictureKey, str]:
    """Write each picture to `folder` under a random 128-bit name; return names by picture key.

    Pixels are unchanged unless the sample is larger than `size`, then it is cropped to its middle
    and downsampled: size must not tell arms apart.

    Raises:
        ImageError: a file is missing, truncated or not an image.
        RunError: a file is not the one that the sweep made.
        StorageError: the disk is full or read-only.
    """
    names: dict[PictureKey, str] = {}
    for picture in pictures:
        name = new_token()
        image = _blind(picture.sample, size)
        write_bytes(folder / f"{name}.png", _png(degraded(image, picture.twin)))
        names[picture.key] = name
        progress()
    return names


def degraded(image: Image.Image, twin: str) -> Image.Image:
    """Return the image made worse (see `Picture.twin`), RGB, in the same size."""
    if not twin:
        return image
    kind, amount = twin.split()
    if kind == "blur":
        sigma = float(amount) * max(image.size) / 256
        return image.filter(ImageFilter.GaussianBlur(sigma))
    if kind == "jpeg":
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=max(1, min(95, round(float(amount)))))
        with Image.open(buffer, formats=("JPEG",)) as decoded:
            return decoded.convert("RGB")
    factor = max(1.0, float(amount))
    width, height = (max(1, round(side / factor)) for side in image.size)
    small = image.resize((width, height), Image.Resampling.BICUBIC)
    return small.resize(image.size, Image.Resampling.BICUBIC)


def _blind(sample: Sample, size: tuple[int, int]) -> Image.Image:
    """Read the pixels and nothing else, in this size."""
    try:
        with Image.open(
            io.BytesIO(sample_bytes(Path(sample.path), sample)), formats=FORMATS
        ) as image:
            pixels = image.convert("RGBA") if "A" in image.getbands() else image.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise _image_error(Path(sample.path), error) from error
    if pixels.mode == "RGBA":
        pixels = Image.alpha_composite(Image.new("RGBA", pixels.size, "white"), pixels)
    bare = Image.new("RGB", pixels.size)  # carries no text, profile or date
    bare.paste(pixels)
    if bare.size != size:
        bare = ImageOps.fit(bare, size, Image.Resampling.LANCZOS)
    return bare


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _read_size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path, formats=FORMATS) as image:
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
