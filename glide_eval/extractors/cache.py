"""Features on disk, one npz per arm, reused only for the very same images and extractor."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from glide_eval.files import read_npz, replacing

from .protocol import Features

_KEY = "key"


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
