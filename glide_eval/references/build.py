"""Building references: from a folder, COCO's captions, published statistics, rendered scenes.

Features stream: with `keep_features=False` no more than a few thousand rows are in memory. Of
`share` (i, n) only the i-th of n parts is built, and parts from several machines merge.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from glide_eval.errors import FeatureError, UsageError
from glide_eval.extractors import Extractor, Features
from glide_eval.features import (
    ADVICE,
    SQUARE,
    FolderFeatures,
    Picture,
    Unreadable,
    extract,
    folder_features,
    reader,
)
from glide_eval.files import cache_dir, list_images, progress, read_npz
from glide_eval.files import count as counted
from glide_eval.metrics import Moments

from .coco import CocoCaptions
from .reference import Caption, Part, Reference, image_id

TABLETOP_COUNT = 2000
TABLETOP_SEED = 20211220  # of the rendered reference split; no training split uses it
RENDERED = 32  # scenes rendered together, from a multiple of this on
ROWS = 1024  # moments are taken of at least this many rows at a time
UNKNOWN_COUNT = 10**9  # stands for the n of published statistics that don't say it


@dataclass(frozen=True, eq=False)
class RealImages:
    """Real images that no extractor has seen yet.

    Attributes:
        source: what they are, in words.
        names: one per image, the same on every machine.
        items: places `start` to `stop` of the images -> what `read` takes, in order.
        read: an item -> the picture; runs in several threads.
        crop: what `read` does to them; empty if nothing.
        captions: chosen with them.
    """

    source: str
    names: Sequence[str]
    items: Callable[[int, int], Iterable[Any]]
    read: Callable[[Any], Picture]
    crop: str = ""
    captions: tuple[Caption, ...] = ()

    @classmethod
    def of_folder(cls, folder: Path, crop: str = SQUARE) -> RealImages:
        """Return all images below a folder.

        Raises:
            ImageError: there is no such folder, or no image in it.
        """
        files = list_images(folder).images
        names = [path.relative_to(folder).as_posix() for path in files]
        source = f"{counted(len(files), 'image')} of {folder.resolve().name}"
        return cls(source, names, lambda i, j: files[i:j], reader(crop), crop)

    @classmethod
    def of_coco(cls, coco: CocoCaptions, folder: Path, crop: str = SQUARE) -> RealImages:
        """Return the images that a COCO captions file lists, and the captions chosen from it.

        Raises:
            ImageError: images that are not in the folder.
        """
        files = coco.find_images(folder)
        return cls(
            coco.in_words(), coco.files, lambda i, j: files[i:j], reader(crop), crop, coco.captions
        )

    @classmethod
    def of_tabletop(
        cls,
        count: int = TABLETOP_COUNT,
        seed: int = TABLETOP_SEED,
        captions: Sequence[str] = (),
    ) -> RealImages:
        """Render tabletop scenes, about 50 ms each: any scenes, or those of captions in turn.

        Raises:
            UsageError: a caption is not of the tabletop's grammar.
        """
        source, suffix = f"{count:,} rendered tabletop scenes", ""
        if captions:
            _refuse_unknown(captions)
            source += f" of {counted(len(captions), 'caption')}"
            suffix = "-" + hashlib.sha256("\0".join(captions).encode()).hexdigest()[:16]
        return cls(
            source,
            [f"tabletop-{seed}-{number}{suffix}" for number in range(count)],
            lambda start, stop: _rendered(start, stop, seed, captions),
            _InMemory.read,
        )

    def plan(self) -> str:
        """Return the digest of names, order and crop, which all parts of one build share."""
        return hashlib.sha256("\0".join([self.crop, *self.names]).encode()).hexdigest()[:16]


def build_references(
    real: RealImages,
    extractors: Sequence[Extractor],
    *,
    share: tuple[int, int] = (1, 1),
    keep_features: bool = True,
    left_out: list[Unreadable] | None = None,
) -> dict[str, Reference]:
    """Build a reference for each extractor, from one pass over the images.

    Args:
        real: the images.
        extractors: the ones that will measure the generated images.
        share: (i, n) builds the i-th of n parts, 1 ≤ i ≤ n.
        keep_features: keep every image's features, which all but FID needs; else moments alone.
        left_out: filled with images that can't be read, which are then left out; None refuses them.

    Returns:
        By the extractor's name.

    Raises:
        UsageError: a part that there is none of, or one without images.
        ImageError: images that can't be read.
        FeatureError: no image, or features that are not finite.
    """
    if not real.names:
        raise FeatureError(f"The reference {real.source!r} holds no image: expected at least one.")
    start, stop = _range(len(real.names), share)
    gathered = {extractor.name: _Gathered(keep_features) for extractor in extractors}
    ids: list[np.ndarray] = []
    unread: list[Unreadable] | None = None if left_out is None else []
    with progress(stop - start, "Reference") as update:
        items = real.items(start, stop)
        for batch in extract(items, real.read, extractors, left_out=unread, advice=ADVICE):
            ids += [image_id(seen.sha256) for seen in batch.seen]
            for name, features in batch.features.items():
                gathered[name].add(features)
            update(len(batch.seen))
    if not ids:
        raise FeatureError(
            f"No image of {real.source} can be read; the first: {(unread or [])[0].reason}"
        )
    if left_out is not None and unread:
        left_out += unread
    lost = {_name(image) for image in unread or ()}
    return {
        extractor.name: Reference(
            gathered[extractor.name].pool,
            extractor.name,
            extractor.fingerprint,
            real.source,
            gathered[extractor.name].texture,
            known_moments=gathered[extractor.name].moments,
            facts=extractor.facts,
            crop=real.crop,
            images=np.stack(ids),
            parts=(Part(real.plan(), *share),) if share[1] > 1 else (),
            captions=tuple(c for c in real.captions if c.file not in lost),
            left_out=tuple(_name(image) for image in unread or ()),
        )
        for extractor in extractors
    }


def build_reference(extractor: Extractor, images: Sequence[np.ndarray], source: str) -> Reference:
    """Build a reference of images in memory, uint8 (h, w, 3) each.

    Raises:
        FeatureError: no image, or features that are not finite.
    """
    real = RealImages(
        source,
        [str(number) for number in range(len(images))],
        lambda start, stop: (_InMemory(f"image {i}", images[i]) for i in range(start, stop)),
        _InMemory.read,
    )
    return build_references(real, [extractor])[extractor.name]


def folder_references(
    extractors: Sequence[Extractor],
    folder: Path,
    *,
    crop: str = SQUARE,
    skip_unreadable: bool = False,
    features_cache: Path | None = None,
) -> tuple[dict[str, Reference], FolderFeatures]:
    """Build each extractor's reference of a folder of real images; the features are cached.

    Args:
        extractors: the ones that will measure the generated images.
        folder: images at any depth.
        crop: `SQUARE` (GLIDE, appendix A.2), or empty for none.
        skip_unreadable: leave out images that can't be read; else they are refused.
        features_cache: see `folder_features`.

    Returns:
        References by the extractor's name, and what was seen in the folder.

    Raises:
        ImageError: no images, or some that can't be read.
    """
    images = list_images(folder).images
    found = folder_features(
        folder,
        images,
        extractors,
        crop=crop,
        skip_unreadable=skip_unreadable,
        cache=features_cache,
    )
    references = {
        extractor.name: Reference(
            found.features[extractor.name].pool.astype(np.float32),
            extractor.name,
            extractor.fingerprint,
            f"{counted(len(found.seen), 'image')} of {folder.resolve().name}",
            _float32(found.features[extractor.name].texture),
            facts=extractor.facts,
            crop=crop,
            images=np.stack([image_id(image.sha256) for image in found.seen]),
            left_out=tuple(image.item.name for image in found.left_out),
        )
        for extractor in extractors
    }
    return references, found


def statistics_reference(path: Path, extractor: Extractor, count: int | None = None) -> Reference:
    """Published statistics: clean-fid's (mu, sigma), or ADM's, which add spatial ones (not used).

    The caller must know that this extractor's network and resizing made them; only the number of
    features can be checked.

    Args:
        path: an .npz with `mu` (d,) and `sigma` (d, d), the unbiased covariance.
        extractor: whose features they are statistics of.
        count: of how many images; None if it is not known.

    Raises:
        FeatureError: not such a file, or statistics of another number of features.
    """
    try:
        arrays = read_npz(path, names=("mu", "sigma"))
        mean, covariance = (np.asarray(arrays[key], np.float64) for key in ("mu", "sigma"))
    except Exception as error:  # zip and npy readers raise nearly anything
        raise FeatureError(
            f"{path} holds no published statistics ({error}): expected an .npz with arrays `mu` "
            "and `sigma`, as clean-fid and ADM (guided-diffusion) publish them."
        ) from error
    d = len(mean) if mean.ndim == 1 else 0
    _refuse_statistics(path, mean, covariance)
    expected = extractor.extract([np.zeros((64, 64, 3), np.uint8)]).pool.shape[1]
    if d != expected:
        raise FeatureError(
            f"{path} holds statistics of {d} features, {extractor.name} gives {expected}: they are "
            "of another network. Name the extractor they were made with."
        )
    source = f"published statistics {path.name}, "
    source += "number of images unknown" if count is None else f"of {count:,} images"
    return Reference(
        None,
        extractor.name,
        extractor.fingerprint,
        source,
        known_moments=Moments.from_covariance(count or UNKNOWN_COUNT, mean, covariance),
        facts=extractor.facts,
        counted=count is not None,
    )


def tabletop_reference(
    extractor: Extractor,
    count: int = TABLETOP_COUNT,
    seed: int = TABLETOP_SEED,
    cache: Path | None = None,
) -> Reference:
    """Return the reference of a rendered split of the tabletop world.

    The features are those shipped with the evaluator, else those in the user's cache, else they
    are rendered (about 30 ms per image) and cached.
    """
    if (count, seed) == (TABLETOP_COUNT, TABLETOP_SEED) and shipped_reference().is_file():
        # Another extractor's, or of weights trained since, it can't serve here.
        with contextlib.suppress(FeatureError):
            return Reference.load(shipped_reference(), extractor)
    folder = cache or cache_dir() / "reference"
    path = folder / f"tabletop-{count}-{seed}-{extractor.fingerprint}.npz"
    if path.is_file():
        with contextlib.suppress(FeatureError):  # damaged: built again
            return Reference.load(path, extractor)
    built = build_references(RealImages.of_tabletop(count, seed), [extractor])[extractor.name]
    built.save(path)
    return built


def shipped_reference() -> Path:
    """Return the shipped features of the default split by the evaluator of these weights."""
    return Path(str(resources.files("generator") / "weights" / "tabletop_reference.npz"))


@dataclass(frozen=True, eq=False)
class _InMemory:
    """An image in memory, without a file."""

    name: str
    pixels: np.ndarray

    def __str__(self) -> str:
        return self.name

    def read(self) -> Picture:
        return Picture(self.pixels, hashlib.sha256(self.pixels.tobytes()).hexdigest())


class _Gathered:
    """Collects rows of features: their moments, and the rows themselves if they are kept.

    Moments are those of the float32 features that are kept, so that both say the same.
    """

    def __init__(self, keep: bool) -> None:
        self._keep = keep
        self._rows: list[np.ndarray] = []
        self._waiting: list[np.ndarray] = []
        self._texture: list[np.ndarray] = []
        self._moments: Moments | None = None

    def add(self, features: Features) -> None:
        pool = features.pool.astype(np.float32)
        if self._keep:
            self._rows.append(pool)
            if features.texture is not None:
                self._texture.append(features.texture.astype(np.float32))
        self._waiting.append(pool)
        # A merge costs a decomposition of d rows beside the new ones.
        if sum(map(len, self._waiting)) >= max(ROWS, 2 * pool.shape[1]):
            self._flush()

    @property
    def moments(self) -> Moments:
        self._flush()
        assert self._moments is not None
        return self._moments

    @property
    def pool(self) -> np.ndarray | None:
        return np.concatenate(self._rows) if self._rows else None

    @property
    def texture(self) -> np.ndarray | None:
        return np.concatenate(self._texture) if self._texture else None

    def _flush(self) -> None:
        if self._waiting:
            fresh = Moments.of(np.concatenate(self._waiting), "features of the reference")
            self._moments = fresh if self._moments is None else self._moments.merge(fresh)
            self._waiting = []


def _range(total: int, share: tuple[int, int]) -> tuple[int, int]:
    index, of = share
    if not 1 <= index <= of:
        raise UsageError(f"There is no part {index} of {of}: parts are numbered 1 to {of}.")
    start, stop = (index - 1) * total // of, index * total // of
    if start == stop:
        raise UsageError(
            f"Part {index} of {of} of {counted(total, 'image')} holds none: make fewer parts."
        )
    return start, stop


def _rendered(start: int, stop: int, seed: int, captions: Sequence[str]) -> Iterator[_InMemory]:
    """Render scenes start … stop − 1 in the same batches, whichever part of the build has them."""
    from generator.tabletop.dataset import images_of, reference_images  # needs torch

    for first in range(start - start % RENDERED, stop, RENDERED):
        if captions:
            images = images_of(captions, RENDERED, seed, first)
        else:
            images = reference_images(RENDERED, seed, first)[0]
        for number in range(max(start, first), min(stop, first + RENDERED)):
            yield _InMemory(f"scene {number}", images[number - first])


def _refuse_unknown(captions: Sequence[str]) -> None:
    """Refuse captions that no scene can be rendered of, before any is rendered."""
    from generator.tabletop.captions import can_illustrate
    from generator.tabletop.scenes import MAX_OBJECTS

    different = dict.fromkeys(captions)
    unknown = [caption for caption in different if not can_illustrate(caption)]
    if unknown:
        raise UsageError(
            f"{counted(len(unknown), 'caption')} of {len(different)} can't be rendered, the first "
            f"{unknown[0]!r}: expected one to {MAX_OBJECTS} objects in the tabletop's words, such "
            "as 'a small red cube and a shiny blue cone'."
        )


def _refuse_statistics(path: Path, mean: np.ndarray, covariance: np.ndarray) -> None:
    d = mean.size
    if mean.ndim != 1 or covariance.shape != (d, d):
        raise FeatureError(
            f"{path}: `mu` has shape {mean.shape} and `sigma` {covariance.shape}: expected (d,) "
            "and (d, d) of one network's d features."
        )
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise FeatureError(f"{path}: `mu` or `sigma` are not finite: the file is damaged.")
    scale = np.abs(covariance).max(initial=0)
    if np.abs(covariance - covariance.T).max(initial=0) > 1e-6 * scale:
        raise FeatureError(f"{path}: `sigma` is not symmetric, so it is no covariance.")


def _name(image: Unreadable) -> str:
    return image.item.name if isinstance(image.item, Path) else str(image.item)


def _float32(array: np.ndarray | None) -> np.ndarray | None:
    return None if array is None else array.astype(np.float32)


__all__ = [
    "RealImages",
    "build_reference",
    "build_references",
    "folder_references",
    "shipped_reference",
    "statistics_reference",
    "tabletop_reference",
]
