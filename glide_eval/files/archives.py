"""Pictures that lie in one file: ADM's sample batches (.npz, .npy) and zip archives, unpacked.

They are unpacked once into the user's cache, under the digest of the file, so that everything that
reads folders reads them too.
"""

from __future__ import annotations

import hashlib
import math
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from glide_eval.errors import ImageError, StorageError

from .images import IMAGE_SUFFIXES, MAX_BYTES
from .paths import inside
from .png import encode_png
from .run_store import write_bytes
from .user_files import cache_dir

ARRAY = "arr_0"  # what `np.savez` calls its first array, and ADM its pictures
INFLATES = 200  # times at most that an archive may grow
SMALL = 1 << 26  # bytes that any archive may have when it is inflated
_WHOLE = ".whole"  # marks a folder into which everything was unpacked


def holds_pictures(path: Path) -> bool:
    """Whether a file is an archive of pictures that `unpacked` understands, by its table alone."""
    if not path.is_file():
        return False
    if path.suffix == ".npy":
        return True
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if path.suffix == ".npz":
        return f"{ARRAY}.npy" in names and "mu.npy" not in names
    return any(Path(name).suffix.lower() in IMAGE_SUFFIXES for name in names)


def unpacked(path: Path) -> Path:
    """Return a folder with the pictures of an archive; it is made if it is not there.

    Args:
        path: `.npz` with `arr_0`, or `.npy`: uint8 (n, h, w, 3); or a zip of image files.

    Raises:
        ImageError: the file can't be read as one of these.
        StorageError: the disk is full.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    folder = cache_dir() / "unpacked" / digest[:16] / path.stem
    if (folder.parent / _WHOLE).is_file():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    try:
        for name, content in _pictures(path):
            write_bytes(inside(folder, name, str(path), ImageError), content)
        if not folder.is_dir():
            raise ValueError("it holds no picture")
    except (ImageError, StorageError):
        raise
    except Exception as error:  # zip and npy readers raise nearly anything
        raise ImageError(
            f"{path} can't be read as pictures ({error}): expected a zip of images, or uint8 "
            "pictures (n, height, width, 3) as .npy or as `arr_0` of an .npz."
        ) from error
    (folder.parent / _WHOLE).touch()
    return folder


def _pictures(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.suffix == ".npy":
        with path.open("rb") as file:
            yield from _rows(file)
        return
    with zipfile.ZipFile(path) as archive:
        size = sum(info.file_size for info in archive.infolist())
        if size > max(SMALL, INFLATES * path.stat().st_size):
            raise ValueError(f"it would inflate to {size:,} bytes, more than {INFLATES} times")
        if path.suffix == ".npz":
            with archive.open(f"{ARRAY}.npy") as file:
                yield from _rows(file)
            return
        for info in archive.infolist():
            if not info.is_dir() and Path(info.filename).suffix.lower() in IMAGE_SUFFIXES:
                if info.file_size > MAX_BYTES:
                    raise ValueError(f"{info.filename} has {info.file_size:,} bytes")
                yield info.filename, archive.read(info)


def _rows(file: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    """Each picture of an array as PNG; one picture at a time is in memory."""
    header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    shape, by_columns, dtype = header[npy.read_magic(file)](file)
    if dtype != np.uint8 or len(shape) != 4 or shape[3] != 3 or by_columns or 0 in shape:
        raise ValueError(f"it holds {dtype} {shape}")
    length = math.prod(shape[1:])
    if length > MAX_BYTES:
        raise ValueError(f"its pictures have {length:,} bytes")
    for number in range(shape[0]):
        content = file.read(length)
        if len(content) != length:
            raise EOFError(f"it is cut short after {number:,} of {shape[0]:,} pictures")
        yield f"{number:06d}.png", encode_png(np.frombuffer(content, np.uint8).reshape(shape[1:]))
