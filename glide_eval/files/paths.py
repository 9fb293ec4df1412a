"""Paths that tables and manifests name: they stay inside the folder they are relative to."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

MAX_NAME, MAX_PATH = 255, 2000  # bytes of a file's name, characters of a path


def inside(folder: Path, name: str, where: str, refusal: type[Exception]) -> Path:
    """Return the path of a file that a table names.

    Args:
        folder: what the name is relative to.
        name: as the table has it.
        where: the table and row, for the message.
        refusal: the error to raise.

    Raises:
        Exception: of type `refusal`; the name is empty, absolute, leads out of the folder by `..`,
            or holds a character that no file name can have, or is longer than one.
    """
    parts = (PurePosixPath(name), PureWindowsPath(name))
    bad = not name.strip() or any(
        path.is_absolute() or path.drive or ".." in path.parts for path in parts
    )
    if bad or not _nameable(name):
        raise refusal(
            f"{where} names the file {name[:80]!r}: expected a path inside {folder}, without `..` "
            "and not absolute. Put the file into that folder, or a link to it, and name it by its "
            "place there."
        )
    return folder / name


def _nameable(name: str) -> bool:
    """Whether the file system can hold such a name at all."""
    try:
        parts = name.encode("utf-8").split(b"/")
        return "\0" not in name and len(name) < MAX_PATH and max(map(len, parts)) <= MAX_NAME
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
