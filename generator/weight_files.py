"""Where downloaded weights lie, and what was recorded of them. Imports no torch.

Each model has a folder of its own below `weights_folder()`; a `weights.json` in it holds the
SHA-256 of every file as it was when its download ended.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from .atomic import replacing
from .errors import CheckpointError

WEIGHTS = Path(__file__).parent / "weights"  # of the bundled miniature
VARIABLE = "GLIDE_EVAL_WEIGHTS"
RECORDS = "weights.json"


@dataclass(frozen=True, slots=True)
class Record:
    """A file as it was downloaded.

    Attributes:
        sha256: hex digest.
        size: bytes.
        url: where it came from.
    """

    sha256: str
    size: int
    url: str


def weights_folder() -> Path:
    """`$GLIDE_EVAL_WEIGHTS`, else `glide-eval/weights` in the user's cache folder."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "glide-eval" / "weights"


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_records(folder: Path) -> dict[str, Record]:
    """Return what is recorded of a folder's files, by name; empty if nothing was downloaded into
    it.

    Raises:
        CheckpointError: `weights.json` is there and no such record.
    """
    path = folder / RECORDS
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        for record in values.values():
            if not (isinstance(record["sha256"], str) and isinstance(record["size"], int)):
                raise ValueError("a record of other types")
        return {name: Record(**record) for name, record in values.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{path} can't be read: expected what `glide-eval models fetch` recorded of the "
            f"weights beside it ({type(error).__name__}: {error}). Delete it; the next fetch "
            "records them anew."
        ) from error


def write_record(folder: Path, name: str, record: Record | None) -> None:
    """Record a file, or record it anew; None forgets it. Other processes may do so meanwhile."""
    lock = folder / f".{RECORDS}.lock"
    with FileLock(lock):
        records = read_records(folder)
        records.pop(name, None)
        if record is not None:
            records[name] = record
        text = json.dumps({key: asdict(records[key]) for key in sorted(records)}, indent=1) + "\n"
        with replacing(folder / RECORDS) as part:
            part.write_text(text, encoding="utf-8")
        lock.unlink(missing_ok=True)  # while it is held: who waits for it sees that it is gone


def checked_sha256(path: Path) -> str:
    """Return the file's digest, which must be the recorded one if there is one.

    Raises:
        CheckpointError: the file changed since it was downloaded.
    """
    digest = sha256(path)
    record = read_records(path.parent).get(path.name)
    if record and record.sha256 != digest:
        raise CheckpointError(
            f"Weights {path} are not what was downloaded: expected {record.size:,} bytes of sha256 "
            f"{record.sha256[:12]}…, found {path.stat().st_size:,} of {digest[:12]}…. Delete the "
            "file and fetch it again with `glide-eval models fetch`."
        )
    return digest
