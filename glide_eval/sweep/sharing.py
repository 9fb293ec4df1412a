"""Who may write into a run folder: one sweep alone, or tasks that each draw a share of its shards.

A lone sweep holds `.lock` as long as it runs. A task holds `.lock.I-of-N` as long, and `.lock` only
while it begins and ends, so that `run.json` and the manifest have one writer at a time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from pathlib import Path

from glide_eval.errors import RunError, StorageError
from glide_eval.files import PART, Held, Share, held, is_held

LOCK = ".lock"
JOIN = ".lock.join"  # while a worker compares itself with the run
WAIT = 600.0  # seconds for another task to begin or to write the manifest


class Writer:
    """The right to write into a run folder, alone or with other tasks."""

    def __init__(self, root: Path, lock: Held, share: Share | None) -> None:
        self._root = root
        self._lock = lock
        self._share = share

    @contextlib.contextmanager
    def alone(self) -> Generator[None]:
        """Keep other tasks from `run.json` and the manifest.

        Raises:
            RunError: another process took the place of this one after a long silence.
        """
        self._lock.require()
        if self._share is None:
            yield
            return
        with held(self._root / LOCK, _busy(self._root), wait=WAIT):
            yield


@contextlib.contextmanager
def writing(root: Path, share: Share | None) -> Generator[Writer]:
    """Make a run folder if it is missing, and hold the right to write there.

    Raises:
        RunError: it holds something that is no run, or another sweep is at work in it.
        StorageError: it can't be made.
    """
    _make(root)
    try:
        with _alone(root) if share is None else _with_others(root, share) as lock:
            yield Writer(root, lock, share)
    finally:
        with contextlib.suppress(OSError):
            root.rmdir()  # only if nothing came of it


@contextlib.contextmanager
def _alone(root: Path) -> Generator[Held]:
    with held(root / LOCK, _busy(root)) as lock:
        _refuse_tasks(root, f"{LOCK}.*-of-*")
        yield lock


@contextlib.contextmanager
def _with_others(root: Path, share: Share) -> Generator[Held]:
    with contextlib.ExitStack() as stack:
        with held(root / LOCK, _busy(root), wait=WAIT if _begun_by_tasks(root) else 0):
            _refuse_tasks(root, f"{LOCK}.*-of-*", but=f"-of-{share.of}")
            lock = stack.enter_context(held(root / _lock_of(share), _busy(root)))
        yield lock


def _lock_of(share: Share) -> str:
    return f"{LOCK}.{share.index}-of-{share.of}"


def _begun_by_tasks(root: Path) -> bool:
    """Return whether other tasks are there, or nobody: who holds the lock then soon lets it go."""
    return any(root.glob(f"{LOCK}.*-of-*")) or not (root / "run.json").exists()


def _refuse_tasks(root: Path, pattern: str, but: str = "\0") -> None:
    """Raise if a task that is alive draws other parts of the run than ours."""
    for lock in root.glob(pattern):
        if not lock.name.endswith(but) and (who := is_held(lock)):
            part = lock.name.removeprefix(f"{LOCK}.").replace("-of-", "/")
            raise RunError(
                f"{root}: the task of --shard {part} is writing there now ({who}). Wait for it, "
                "or choose another --out."
            )


def _busy(root: Path) -> Callable[[str], RunError]:
    def busy(who: str) -> RunError:
        return RunError(
            f"{root}: another sweep is writing there now ({who}). Wait for it or choose another "
            "--out."
        )

    return busy


def _make(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
        # A killed sweep may leave locks and partial files before run.json is there.
        strange = [p for p in root.iterdir() if p.suffix != PART and not p.name.startswith(LOCK)]
    except (FileExistsError, NotADirectoryError) as error:
        raise RunError(f"{root}: expected a folder, found a file. Choose another --out.") from error
    except OSError as error:
        raise StorageError(
            f"{root}: the run folder can't be made or read ({error.strerror}). "
            "Choose another --out."
        ) from error
    if strange and not (root / "run.json").exists():
        raise RunError(
            f"{root} is neither empty nor a run folder (found {strange[0].name}, expected "
            "run.json). Nothing was changed. Choose another --out."
        )
