"""Reading a whole file of unknown origin: a regular one, of a size that memory holds."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

_PART = 1 << 18  # bytes read at a time
_NO_WAIT, _BINARY = getattr(os, "O_NONBLOCK", 0), getattr(os, "O_BINARY", 0)
MAX_TEXT = 1 << 30  # bytes; the manifest of a million images has a third of it


def read_whole(path: Path, most: int = MAX_TEXT) -> bytes:
    """Return the bytes of a file, without ever waiting for a pipe or reading from a device.

    Raises:
        OSError: the file is missing, can't be read, is no regular file or has more than `most`
            bytes; its `strerror` says which.
    """
    try:
        found = path.stat()
    except ValueError as error:
        raise OSError(errno.EINVAL, "no file can have such a name", str(path)) from error
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, f"it is {_kind(found.st_mode)}, not a file", str(path))
    if found.st_size > most:
        text = f"it has {found.st_size:,} bytes, and at most {most:,} are read"
        raise OSError(errno.EFBIG, text, str(path))
    return path.read_bytes()


def parse_json(text: str | bytes) -> Any:
    """Return what JSON says.

    Raises:
        ValueError: the text is no JSON, is nested too deeply, or has half of a surrogate pair,
            which no file can hold.
    """
    try:
        values = json.loads(text)
        # Text without escapes that can be encoded has no such half.
        if isinstance(text, bytes) or "\\u" in text:
            json.dumps(values, ensure_ascii=False).encode("utf-8")
        else:
            text.encode("utf-8")
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return values


def file_sha256(path: Path | str) -> str:
    """Return the hex digest of a regular file, without keeping it in memory; empty for others."""
    try:
        # A pipe without a writer is opened at once, and refused below.
        file = os.open(path, os.O_RDONLY | _NO_WAIT | _BINARY)
    except (OSError, ValueError):
        return ""
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return ""
        digest = hashlib.sha256()
        while part := os.read(file, _PART):
            digest.update(part)
        return digest.hexdigest()
    except OSError:
        return ""
    finally:
        os.close(file)


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")
