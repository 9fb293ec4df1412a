"""Features on disk, reused only for the very same images and extractor.

They are kept in parts that are saved as they come. Each row is found by the bytes of its image and
its caption, so an image more or less leaves the others' features in use.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from glide_eval.files import read_npz, replacing

from .protocol import Features

_KEY = "key"
_ROWS, _SIZES, _KINDS = "row.keys", "row.sizes", "row.kinds"


def cache_key(
    fingerprint: str, images_sha256: Sequence[str], captions: Sequence[str] | None
) -> str:
    """Return the hex digest of extractor, images in order and captions, which decide features."""
    digest = hashlib.sha256(fingerprint.encode())
    for sha256 in images_sha256:
        digest.update(f"\n{sha256}".encode())
    for caption in captions or ():
        digest.update(f"\n{len(caption)}:{caption}".encode())
    return digest.hexdigest()


def load_features(path: Path, key: str) -> Features | None:
    """Return the features saved under `key`; None if they are missing, stale or damaged."""
    try:
        if str(read_npz(path, names=(_KEY,))[_KEY]) != key:
            return None
        arrays = read_npz(path)
        del arrays[_KEY]
        return Features.from_arrays(arrays)
    except Exception:  # a damaged file may break anything
        return None  # features can always be made again


def save_features(path: Path, key: str, features: Features) -> None:
    """Write features atomically.

    Raises:
        StorageError: the disk is full, read-only or gone.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **{_KEY: np.array(key)}, **features.to_arrays())


def row_key(image_sha256: str, caption: str | None) -> str:
    """Return the hex digest of one image and its caption, by which its features are found."""
    return cache_key("", [image_sha256], None if caption is None else [caption])[:32]


class KeptFeatures:
    """The features of one extractor in one folder, by the key of each row.

    Several processes may add to a folder: each part is a file of its own, named after its rows.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        """Read what is there; parts of another extractor, and damaged ones, are left out."""
        self._folder = folder
        self._fingerprint = fingerprint
        self._parts: list[Features] = []
        self._rows: dict[str, tuple[int, int]] = {}  # part, row
        self._images: dict[str, tuple[str, tuple[int, int]]] = {}
        for path in sorted(folder.glob(f"{fingerprint}-*.npz")):
            self._read(path)

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __bool__(self) -> bool:
        return bool(self._rows)

    def image(self, key: str) -> tuple[str, tuple[int, int]]:
        """Return the file format of a row's image, and its height and width in pixels."""
        return self._images[key]

    def add(
        self,
        keys: Sequence[str],
        kinds: Sequence[str],
        sizes: Sequence[tuple[int, ...]],
        added: Features,
    ) -> None:
        """Save the features of some images, and know them from now on.

        Args:
            keys: of their rows, see `row_key`.
            kinds: file format of each image.
            sizes: height and width of each image in pixels.
            added: rows as in `keys`.

        Raises:
            StorageError: the disk is full, read-only or gone.
        """
        shapes = np.array([size[:2] for size in sizes], np.int32)
        name = hashlib.sha256("".join(keys).encode()).hexdigest()[:16]
        about = {_ROWS: np.array(keys), _SIZES: shapes, _KINDS: np.array(kinds)}
        arrays = {**about, **added.to_arrays()}
        with (
            replacing(self._folder / f"{self._fingerprint}-{name}.npz") as temporary,
            temporary.open("wb") as file,
        ):
            np.savez(file, allow_pickle=False, **{_KEY: np.array(self._fingerprint)}, **arrays)
        self._know(list(keys), list(kinds), shapes, added)

    def take(self, keys: Sequence[str]) -> Features:
        """Return the features of rows that are all known, in this order."""
        places = [self._rows[key] for key in keys]
        # Only parts that are asked for: one without captions has fewer arrays.
        used = sorted({part for part, _ in places})
        lengths = [len(self._parts[part]) for part in used]
        first = dict(zip(used, np.cumsum([0, *lengths]).tolist(), strict=False))
        joined = Features.concatenate([self._parts[part] for part in used])
        return joined.take([first[part] + row for part, row in places])

    def _read(self, path: Path) -> None:
        try:
            arrays = read_npz(path)
            if str(arrays.pop(_KEY)) == self._fingerprint:
                keys = [str(key) for key in arrays.pop(_ROWS)]
                kinds = [str(kind) for kind in arrays.pop(_KINDS)]
                sizes, features = arrays.pop(_SIZES), Features.from_arrays(arrays)
                if len(keys) == len(kinds) == len(sizes) == len(features):
                    self._know(keys, kinds, sizes, features)
        except Exception:  # a damaged file may break anything
            return  # features can always be made again

    def _know(
        self, keys: list[str], kinds: list[str], sizes: np.ndarray, features: Features
    ) -> None:
        part = len(self._parts)
        self._parts.append(features)
        self._rows |= {key: (part, row) for row, key in enumerate(keys)}
        self._images |= {
            key: (kind, (int(size[0]), int(size[1])))
            for key, kind, size in zip(keys, kinds, sizes, strict=True)
        }
