"""Locks between processes, which also hold on Windows and on network file systems."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Callable, Generator
from pathlib import Path

from filelock import FileLock, Timeout

BY = ".by"  # ends the name of the file beside a lock that says who holds it


@contextlib.contextmanager
def held(lock: Path, busy: Callable[[str], Exception]) -> Generator[None]:
    """Hold a lock until the block, or the process, ends; never wait for it.

    A lock that a killed process left behind holds nobody up. On a file system that knows no locks
    the block runs without one.

    Args:
        lock: the lock's file; its folder exists. The file is removed at the end.
        busy: makes the exception to raise if another process holds it, from who that is.
    """
    taken = FileLock(lock, blocking=False)
    try:
        taken.acquire()
    except Timeout as error:
        raise busy(_holder(lock)) from error
    except (OSError, NotImplementedError):
        yield
        return
    # A file of its own: on Windows nobody else can read a file that is locked.
    note = lock.with_name(lock.name + BY)
    try:
        with contextlib.suppress(OSError):
            note.write_text(json.dumps({"pid": os.getpid(), "host": platform.node()}))
        yield
    finally:
        # Removed before the lock is released: who waits for it sees that the file is gone.
        for path in (note, lock):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        taken.release()


def _holder(lock: Path) -> str:
    """Return who holds a lock: `process 812 on node-3`."""
    try:
        note = json.loads(lock.with_name(lock.name + BY).read_text(encoding="utf-8"))
        return f"process {note['pid']} on {note['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "a process that left no name"
