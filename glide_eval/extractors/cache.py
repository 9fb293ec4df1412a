"""Features on disk, one npz per arm, reused only for the very same images and extractor."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from glide_eval.files import replacing

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
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            if str(file[_KEY]) != key:
                return None
            return Features.from_arrays({name: file[name] for name in file.files if name != _KEY})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # features can always be made again


def save_features(path: Path, key: str, features: Features) -> None:
    """Write features atomically.

    Raises:
        StorageError: the disk is full, read-only or gone.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **{_KEY: np.array(key)}, **features.to_arrays())
