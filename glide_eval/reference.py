"""The real images' features that distribution metrics compare with."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np
from tqdm import tqdm

from .errors import FeatureError
from .extractors import Extractor, Features
from .images import ImageFolder, center_crop, decode_rgb, list_images, read_file
from .metrics.cmmd import cmmd_reference_term
from .metrics.fid import Moments
from .metrics.image_quality import Texture
from .metrics.kid import kid_reference_term
from .metrics.neighbours import Manifold
from .metrics.value import as_matrix
from .run_store import replacing
from .user_files import cache_dir

TABLETOP_COUNT = 2000
TABLETOP_SEED = 20211220  # of the rendered reference split; no training split uses it
BATCH = 32


@dataclass(frozen=True, eq=False)
class Reference:
    """Features of the real images by one extractor.

    Attributes:
        pool: float32 (m, d).
        extractor: the extractor's name.
        fingerprint: the extractor's, at the time.
        source: what the images are, in words a table can print.
        texture: float32 (m, q) low-level statistics, where the extractor gives them.
    """

    pool: np.ndarray
    extractor: str
    fingerprint: str
    source: str
    texture: np.ndarray | None = None

    @cached_property
    def moments(self) -> Moments:
        """For FID."""
        return Moments.of(self.pool, "features of the reference")

    @cached_property
    def manifold(self) -> Manifold:
        """For precision, density, coverage and image quality."""
        return Manifold.of(self.pool, what="features of the reference")

    @cached_property
    def kid_term(self) -> float:
        """For KID."""
        return kid_reference_term(self.pool)

    @cached_property
    def cmmd_term(self) -> float:
        """For CMMD, where the pool holds CLIP's embeddings."""
        return cmmd_reference_term(self.pool)

    @cached_property
    def texture_scale(self) -> Texture:
        """For image quality."""
        if self.texture is None:
            raise FeatureError(
                f"The reference {self.source!r} has no texture statistics: build it again with "
                f"the {self.extractor} extractor to measure image quality."
            )
        return Texture.of(self.texture)

    @cached_property
    def digest(self) -> str:
        """Twelve hex digits that tell one reference from another."""
        content = self.fingerprint.encode() + np.ascontiguousarray(self.pool).tobytes()
        return hashlib.sha256(content).hexdigest()[:12]

    def save(self, path: Path) -> None:
        """Write as npz, atomically."""
        arrays = {
            "pool": self.pool,
            "extractor": np.array(self.extractor),
            "fingerprint": np.array(self.fingerprint),
            "source": np.array(self.source),
        }
        if self.texture is not None:
            arrays["texture"] = self.texture
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path, extractor: Extractor) -> Self:
        """The reference that `save` wrote.

        Raises:
            FeatureError: it is not such a file, or another extractor's.
        """
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                found = cls(
                    file["pool"],
                    extractor=str(file["extractor"]),
                    fingerprint=str(file["fingerprint"]),
                    source=str(file["source"]),
                    texture=file.get("texture"),
                )
        except Exception as error:  # zip and npy readers raise nearly anything
            raise FeatureError(
                f"{path} is not a reference ({error}): expected features written by "
                "`glide_eval.reference`. Delete it; it is built again when needed."
            ) from error
        as_matrix(found.pool, f"{path}: features")
        if found.fingerprint != extractor.fingerprint:
            raise FeatureError(
                f"{path} holds features of {found.extractor} {found.fingerprint}, the images are "
                f"measured by {extractor.name} {extractor.fingerprint}: values would not be "
                "comparable. Build the reference again with this extractor."
            )
        return found


def build_reference(
    extractor: Extractor, images: Iterable[np.ndarray], source: str, total: int | None = None
) -> Reference:
    """Features of real images, a batch in memory at a time.

    Args:
        extractor: the one that will measure the generated images.
        images: uint8 (h, w, 3) each.
        source: what they are, in words.
        total: how many, if known, for the progress bar.

    Raises:
        FeatureError: no image, or features that are not finite.
    """
    stream = iter(images)
    parts = []
    with tqdm(total=total, desc="Reference", unit="image", disable=None) as progress:
        while batch := list(islice(stream, BATCH)):
            parts.append(extractor.extract(batch))
            progress.update(len(batch))
    if not parts:
        raise FeatureError(f"The reference {source!r} holds no image: expected at least one.")
    features = Features.concatenate(parts)
    pool = as_matrix(features.pool, f"features of the reference {source!r}").astype(np.float32)
    texture = None if features.texture is None else features.texture.astype(np.float32)
    return Reference(pool, extractor.name, extractor.fingerprint, source, texture)


def folder_reference(extractor: Extractor, folder: Path, cache: Path | None = None) -> Reference:
    """A folder of real images, each centre-cropped to a square (GLIDE, appendix A.2).

    Args:
        extractor: the one that will measure the generated images.
        folder: images at any depth.
        cache: folder for the features, keyed by extractor and the images' bytes; None is
            `cache_dir()` / reference.

    Raises:
        ImageError: no images, or one that can't be read.
    """
    listing = list_images(folder)
    source = f"{len(listing.images):,} images of {folder.name}"
    digest = hashlib.sha256(extractor.fingerprint.encode())
    for path in listing.images:
        digest.update(hashlib.sha256(read_file(path)).digest())
    path = _cached_path(extractor, digest.hexdigest()[:16], cache)
    return _load_or(
        path,
        extractor,
        lambda: build_reference(extractor, _squares(listing), source, len(listing.images)),
    )


def tabletop_reference(
    extractor: Extractor,
    count: int = TABLETOP_COUNT,
    seed: int = TABLETOP_SEED,
    cache: Path | None = None,
) -> Reference:
    """A rendered split of the tabletop world.

    Taken from the features shipped with the evaluator, else from the user's cache, else rendered
    (about 30 ms an image) and kept there.
    """
    if (count, seed) == (TABLETOP_COUNT, TABLETOP_SEED):
        shipped = _shipped()
        if shipped.is_file():
            # Another extractor's, or of weights trained since, it can't serve here.
            with contextlib.suppress(FeatureError):
                return Reference.load(shipped, extractor)
    path = _cached_path(extractor, f"tabletop-{count}-{seed}-{extractor.fingerprint}", cache)
    return _load_or(path, extractor, lambda: render_tabletop_reference(extractor, count, seed))


def render_tabletop_reference(
    extractor: Extractor, count: int = TABLETOP_COUNT, seed: int = TABLETOP_SEED
) -> Reference:
    """Render the split and extract its features, whatever is cached."""
    from generator.tabletop.dataset import reference_images  # needs torch

    images = (
        image
        for first in range(0, count, BATCH)
        for image in reference_images(min(BATCH, count - first), seed, first)[0]
    )
    return build_reference(extractor, images, f"{count:,} rendered tabletop scenes", count)


def _shipped() -> Path:
    return Path(str(resources.files("generator") / "weights" / "tabletop_reference.npz"))


def _squares(listing: ImageFolder) -> Iterator[np.ndarray]:
    for path in listing.images:
        image = decode_rgb(read_file(path), path)
        yield center_crop(image, min(image.shape[:2]))


def _cached_path(extractor: Extractor, key: str, cache: Path | None) -> Path:
    return (cache or cache_dir() / "reference") / extractor.name / f"{key}.npz"


def _load_or(path: Path, extractor: Extractor, build: Callable[[], Reference]) -> Reference:
    """The reference cached at `path`, or a new one kept there."""
    if path.is_file():
        with contextlib.suppress(FeatureError):  # damaged: built again
            return Reference.load(path, extractor)
    built = build()
    built.save(path)
    return built


if __name__ == "__main__":  # after training: features of the reference, to ship with the weights
    from .extractors import load_extractor

    render_tabletop_reference(load_extractor("tabletop")).save(_shipped())
