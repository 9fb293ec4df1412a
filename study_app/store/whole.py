"""Whether an SQLite file holds every vote, or was copied without its write-ahead log.

While a study is open for writing, its last votes may be in the log beside the file (`study.db-wal`)
and not in the file yet. A file copied alone at that time looks whole and misses them. So the file
itself says that its log is open, from before the first vote until everything is in the file.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

MISSING = (
    "{path} was open for voting when it was copied, and its log {log} did not come with it: the "
    "last votes may be missing. Copy the study again with `glide-eval study backup`, also while it "
    "is served; or stop it with Ctrl-C first. If this is the only copy, what it holds is sound: go "
    "on, and serve it once to end this warning."
)


def log_of(path: Path) -> Path:
    """Return where SQLite keeps what is not in a file yet."""
    return path.with_name(f"{path.name}-wal")


def mark(path: Path, *, log_open: bool) -> None:
    """Write into a file whether its log is open, past the log.

    Raises:
        sqlite3.Error: it can't be written.
    """
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("UPDATE study SET log_open = ?", (log_open,))
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
