"""Names of files that are being written: they say who writes, so that only a dead one's go."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import secrets
import socket
import time
from pathlib import Path

from .locks import process_alive

PART = ".part"
OLD = 24 * 3600.0  # seconds; nobody writes one file for so long
_WRITTEN_BY = re.compile(r"\.(?P<host>[0-9a-f]{8})-(?P<pid>\d+)\.[0-9a-f]{8}\.part$")


def partial_path(path: Path) -> Path:
    """Return a new temporary path beside `path`: hidden, and named after this process."""
    return path.with_name(f".{path.name}.{_host()}-{os.getpid()}.{secrets.token_hex(4)}{PART}")


def left_behind(path: Path) -> bool:
    """Return whether the writer of a temporary file is gone.

    It is, if it was a process of this host that is no more, or if the file is a day old. Names
    that version 0.1 gave say nothing of their writer, and count as left behind.
    """
    writer = _WRITTEN_BY.search(path.name)
    if writer is None:
        return True
    if writer["host"] == _host() and not process_alive(int(writer["pid"])):
        return True
    try:
        return time.time() - path.stat().st_mtime > OLD
    except OSError:  # it was renamed just now
        return False


@functools.cache
def _host() -> str:
    """Return eight hex digits of this host, and of the container whose processes we can see."""
    try:
        processes = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        processes = ""
    return hashlib.sha256(f"{socket.gethostname()}\0{processes}".encode()).hexdigest()[:8]
