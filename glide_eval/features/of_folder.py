"""Features of the images in a plain folder: from the user's cache, else from one pass over them.

The cache lies by the folder's place and is valid by its files' bytes: the first time each file is
read once, hashed on the way; later they are only hashed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from glide_eval.errors import ImageError
from glide_eval.extractors import (
    Extractor,
    Features,
    KeptFeatures,
    cache_key,
    load_features,
    row_key,
)
from glide_eval.files import (
    cache_dir,
    center_crop,
    file_sha256,
    parse_json,
    progress,
    read_whole,
    write_text,
)

from .one_pass import (
    THREADS,
    Picture,
    Seen,
    Unreadable,
    extract,
    read_picture,
    refuse,
)
from .saving import saved

SQUARE = "centre square"  # the crop of GLIDE, appendix A.2
ADVICE = "Or leave out what can't be read, with --skip-corrupt."


@dataclass(frozen=True, eq=False)
class FolderFeatures:
    """What extractors saw in a folder.

    Attributes:
        seen: the images that were used, in the order they were listed.
        features: by the extractor's name; rows as in `seen`.
        left_out: files that could not be read.
    """

    seen: list[Seen[Path]]
    features: dict[str, Features]
    left_out: list[Unreadable[Path]]


def folder_features(
    folder: Path,
    images: Sequence[Path],
    extractors: Sequence[Extractor],
    *,
    crop: str = "",
    captions: Mapping[Path, str] | None = None,
    skip_unreadable: bool = False,
    cache: Path | None = None,
) -> FolderFeatures:
    """Features of images that lie below a folder.

    Args:
        folder: where they lie; names the cache, and the progress bar.
        images: the files.
        extractors: of different names; one pass feeds all.
        crop: `SQUARE` to cut each image to its largest central square first; empty for none.
        captions: each image's caption; None leaves the parts that need one empty.
        skip_unreadable: leave out what can't be read; else it is refused.
        cache: folder for the features; None is `cache_dir()` / folders.

    Raises:
        ImageError: images that can't be read, all of them named, or none that can.
        FeatureError: features that are not finite.
    """
    place = _place(folder, crop, cache)
    known = _recall(place / "files.json", folder, images)
    if known and not skip_unreadable:
        refuse(known.left_out, ADVICE)
    found: dict[str, Features] = {}
    if known:
        for extractor in extractors:
            key = _key(extractor, known.seen, captions)
            features = load_features(_file(place, extractor), key)  # as version 0.1 kept them
            if features is not None and len(features) == len(known.seen):
                found[extractor.name] = features
    waiting = [extractor for extractor in extractors if extractor.name not in found]
    if known and not waiting:
        return FolderFeatures(known.seen, found, known.left_out)
    kept = {e.name: KeptFeatures(place, e.fingerprint) for e in waiting}
    row = _Rows(captions)
    seen = _seen_before(images, kept, row)
    left_out: list[Unreadable[Path]] = []
    missing = [image for image in images if image not in seen]
    unread = left_out if skip_unreadable else None
    for one in _pass(folder, missing, waiting, reader(crop), unread, kept, row):
        seen[one.item] = one
    if not seen:
        raise ImageError(
            f"{folder}: none of its {len(images)} images can be read, the first because: "
            f"{left_out[0].reason}"
        )
    listed = [seen[image] for image in images if image in seen]
    keys = [row(one) for one in listed]
    found |= {name: features.take(keys) for name, features in kept.items()}
    fresh = FolderFeatures(listed, found, left_out)
    _remember(place / "files.json", folder, fresh)
    return fresh


@dataclass(frozen=True)
class _Rows:
    """Gives the key of an image's row, see `row_key`."""

    captions: Mapping[Path, str] | None

    def __call__(self, one: Seen[Path]) -> str:
        return row_key(one.sha256, None if self.captions is None else self.captions[one.item])


def _seen_before(
    images: Sequence[Path], kept: Mapping[str, KeptFeatures], row: _Rows
) -> dict[Path, Seen[Path]]:
    """Return the images whose features every extractor has kept, by their bytes of today."""
    if not all(kept.values()):
        return {}
    with ThreadPoolExecutor(THREADS) as pool:
        digests = list(pool.map(file_sha256, images))
    found: dict[Path, Seen[Path]] = {}
    for image, digest in zip(images, digests, strict=True):
        key = row(Seen(image, digest, "", ()))
        if all(key in features for features in kept.values()):
            kind, size = next(iter(kept.values())).image(key)
            found[image] = Seen(image, digest, kind, (*size, 3))
    return found


def reader(crop: str) -> Callable[[Path], Picture]:
    """Reads an image file, cropped if so asked; see `folder_features`."""

    def read(path: Path) -> Picture:
        picture = read_picture(path)
        if crop != SQUARE:
            return picture
        pixels = center_crop(picture.pixels, min(picture.pixels.shape[:2]))
        return Picture(pixels, picture.sha256, picture.kind)

    return read


def _pass(
    folder: Path,
    images: Sequence[Path],
    extractors: Sequence[Extractor],
    read: Callable[[Path], Picture],
    left_out: list[Unreadable[Path]] | None,
    kept: Mapping[str, KeptFeatures],
    row: _Rows,
) -> Iterator[Seen[Path]]:
    """Look at images, save their features as they come, and yield what was seen."""
    batches = extract(
        images,
        read,
        extractors,
        caption=row.captions.__getitem__ if row.captions is not None else None,
        left_out=left_out,
        advice=ADVICE,
    )
    with progress(len(images), folder.name) as update:
        for batch in saved(batches, kept, row):
            yield from batch.seen
            update(len(batch.seen))


def _place(folder: Path, crop: str, cache: Path | None) -> Path:
    where = hashlib.sha256(f"{folder.resolve()}\0{crop}".encode()).hexdigest()[:16]
    return (cache or cache_dir() / "folders") / where


def _file(place: Path, extractor: Extractor) -> Path:
    return place / f"{extractor.fingerprint}.npz"


def _key(
    extractor: Extractor, seen: Sequence[Seen[Path]], captions: Mapping[Path, str] | None
) -> str:
    texts = None if captions is None else [captions[image.item] for image in seen]
    return cache_key(extractor.fingerprint, [image.sha256 for image in seen], texts)


def _remember(path: Path, folder: Path, found: FolderFeatures) -> None:
    """Which files were seen, and which could not be."""
    files = {
        "seen": [
            (_below(image.item, folder), image.sha256, image.kind, image.shape)
            for image in found.seen
        ],
        "left_out": [
            (_below(image.item, folder), file_sha256(image.item), image.reason)
            for image in found.left_out
        ],
    }
    write_text(path, json.dumps(files, ensure_ascii=False))


def _recall(path: Path, folder: Path, images: Sequence[Path]) -> FolderFeatures | None:
    """What `_remember` wrote, without features, if every file still has the bytes it had."""
    try:
        files = parse_json(read_whole(path))
        seen = [
            Seen(folder / name, digest, kind, tuple(shape))
            for name, digest, kind, shape in files["seen"]
        ]
        left_out = [(folder / name, digest, reason) for name, digest, reason in files["left_out"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    with ThreadPoolExecutor(THREADS) as pool:
        now = dict(zip(images, pool.map(file_sha256, images), strict=True))
    then = {image.item: image.sha256 for image in seen} | {p: digest for p, digest, _ in left_out}
    if now != then:
        return None
    return FolderFeatures(seen, {}, [Unreadable(p, reason) for p, _, reason in left_out])


def _below(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()
