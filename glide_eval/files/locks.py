"""Locks between processes and machines, which also hold on network file systems and on Windows.

A lock is a file that only one process can create. Who holds it writes its process and host into it
and renews it every few seconds. Kernel locks are not used: some network file systems grant one to
every client.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Generator
from pathlib import Path

from filelock import SoftFileLease, Timeout

from glide_eval.errors import StorageError

LEASE = 60.0  # seconds without a sign of life after which a holder on another host counts as gone
HEARTBEAT = 5.0  # seconds between two signs of life
NAMELESS = 10.0  # seconds after which a lock without a name was left by a process killed just then
BY = ".by"  # ends the name of the note that version 0.1 left beside a lock

Busy = Callable[[str], Exception]


class Held:
    """A lock that this process holds."""

    def __init__(self, lease: SoftFileLease, busy: Busy) -> None:
        self._lease = lease
        self._busy = busy

    def still(self) -> bool:
        """Return whether the lock is ours: another process may take it after a long silence.

        A folder that was gone for a while, and whose lock nobody took meanwhile, is ours again.
        """
        lost = self._lease.compromise
        if lost is None:
            return True
        owner = self._lease.owner
        return owner is not None and owner.token == lost.token

    def require(self) -> None:
        """Raise what `busy` makes unless the lock is still ours."""
        if not self.still():
            raise self._busy(_holder(self._lease))


@contextlib.contextmanager
def held(lock: Path, busy: Busy, *, wait: float = 0.0) -> Generator[Held]:
    """Hold a lock until the block, or the process, ends.

    A lock that a killed process of this host left behind holds nobody up. One of another host does
    for `LEASE` seconds after its last sign of life; the clocks of hosts are not compared.

    Args:
        lock: the lock's file; its folder exists. The file is removed at the end.
        busy: makes the exception to raise if another process holds it, from who that is.
        wait: seconds to wait for a holder that is alive.

    Raises:
        StorageError: the folder can't be written to.
    """
    lease = SoftFileLease(lock, lease_duration=LEASE, heartbeat_interval=HEARTBEAT)
    _remove_left_by_older_version(lock)
    _remove_nameless(lock)
    try:
        lease.acquire(
            timeout=wait + LEASE + HEARTBEAT, cancel_check=None if wait else _Alive(lease)
        )
    except Timeout as error:
        raise busy(_holder(lease)) from error
    except OSError as error:
        raise StorageError(
            f"Could not write {lock}: {error.strerror or error}. Nothing was changed. Free space, "
            "mend the disk, get the right to write there, or choose another place."
        ) from error
    try:
        yield Held(lease, busy)
    finally:
        with contextlib.suppress(OSError):  # the folder is gone for now; the lease runs out
            lease.release()


def is_held(lock: Path) -> str:
    """Return who holds a lock, and nothing if nobody does; a dead holder's lock is removed."""
    if not lock.exists():
        return ""
    try:
        with held(lock, _SomeoneError):
            return ""
    except _SomeoneError as someone:
        return str(someone)


class _SomeoneError(Exception):
    """Names the holder of a lock."""


class _Alive:
    """Tells whether a lock's holder is surely alive, so that waiting for it is in vain."""

    def __init__(self, lease: SoftFileLease) -> None:
        self._lease = lease
        self._first: int | None = None

    def __call__(self) -> bool:
        owner = self._lease.owner
        if owner is None:  # just released, or just taken
            return False
        # A dead process's lock is broken by now, unless it ran in another container of this host.
        if _host(owner.hostname) == socket.gethostname() and process_alive(owner.pid):
            return True
        try:
            renewed = Path(self._lease.lock_file).stat().st_mtime_ns
        except OSError:
            return False
        self._first = self._first or renewed
        return renewed != self._first


def _holder(lease: SoftFileLease) -> str:
    """Return who holds a lock: `process 812 on node-3`."""
    owner = lease.owner
    if owner is None:
        return "a process that left no name"
    return f"process {owner.pid} on {_host(owner.hostname)}"


def _host(name: str) -> str:
    return name.partition("?pidns-")[0]  # filelock adds a container's namespace of processes


def _remove_left_by_older_version(lock: Path) -> None:
    """Remove an empty lock that a process of this host left behind when it was killed.

    Version 0.1 locked an empty file by the kernel, and wrote its process and host beside it.
    """
    note = lock.with_name(lock.name + BY)
    try:
        if lock.stat().st_size:
            return
        left = json.loads(note.read_text(encoding="utf-8"))
        if left["host"] == socket.gethostname() and not process_alive(int(left["pid"])):
            lock.unlink()
            note.unlink()
    except (OSError, ValueError, KeyError, TypeError):
        return


def _remove_nameless(lock: Path) -> None:
    """Remove a lock that stays empty: its process was killed before it could write its name.

    filelock itself takes an empty lock for one of its early versions, and so for held.
    """
    with contextlib.suppress(OSError):
        found = first = lock.stat()
        if lock.with_name(lock.name + BY).exists():  # of version 0.1, whose locks are all empty
            return
        end = time.monotonic() + NAMELESS
        while (found.st_size, found.st_ino) == (0, first.st_ino):
            if time.monotonic() > end:
                aside = lock.with_name(f"{lock.name}.{os.getpid()}")
                lock.rename(aside)  # first, for another process may have taken it meanwhile
                if aside.stat().st_size:
                    aside.rename(lock)
                else:
                    aside.unlink()
                return
            time.sleep(0.05)
            found = lock.stat()


def process_alive(pid: int) -> bool:
    """Return whether a process of this host is there; true where nobody can tell."""
    if os.name == "nt":  # there a signal 0 would end it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
