"""Files that are whole or not there: each is written under another name, then renamed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, which is renamed onto it when the block succeeds.

    Whatever kills the process, readers find the old file or the whole new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The process's number keeps two writers of one folder apart.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())  # the rename must not reach the disk before the bytes do
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
