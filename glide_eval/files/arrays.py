"""NumPy's archives of unknown origin: no code is run from them, and no bomb is inflated."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

INFLATES = 30  # times at most that an archive may grow; features hardly shrink, pictures by 2 to 10
SMALL = 1 << 26  # bytes that any archive may have when it is inflated


def read_npz(path: Path, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz by name.

    Sizes are looked at before anything is inflated, and each array must be as long as its header
    says.

    Args:
        path: a regular file.
        names: the arrays to read; None reads all.

    Raises:
        OSError: the file is missing or can't be read.
        KeyError: an array is not there.
        ValueError: an archive that inflates too much, or an array of Python objects, which could
            run code.
        Exception: whatever a damaged archive brings about.
    """
    if not path.is_file() and path.exists():
        raise ValueError("it is no regular file")
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        wanted = members if names is None else {name: members[name] for name in names}
        size = sum(info.file_size for info in wanted.values())
        if size > max(SMALL, INFLATES * path.stat().st_size):
            raise ValueError(
                f"it would inflate from {path.stat().st_size:,} to {size:,} bytes, more than "
                f"{INFLATES} times"
            )
        return {name: _array(archive, info) for name, info in wanted.items()}


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(info) as file:
        read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
        shape, _, dtype = read_header[npy.read_magic(file)](file)
        if math.prod(shape) * dtype.itemsize > info.file_size:
            raise ValueError(f"{info.filename} says it has shape {shape}, but is cut short")
    with archive.open(info) as file:
        return npy.read_array(file, allow_pickle=False)
