"""A weights file as its authors publish it, found on disk and recognised by its digest.

Nothing here downloads: `glide-eval models fetch` does; a metric only looks on disk.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from glide_eval.errors import WeightsError
from glide_eval.files import find_weights


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """One weights file as its authors publish it.

    Attributes:
        model: the entry of `glide-eval models` it belongs to.
        name: short, for `models fetch --only`.
        file: its name, as published and on disk.
        url: where it is published.
        sha256: hex digest.
        what: what it is, in a few words.
        aliases: other names it, or a conversion of it, may have on disk.
        size: bytes; None if not known for certain.
        parameters: of the network in it; 0 if not counted.
    """

    model: str
    name: str
    file: str
    url: str
    sha256: str
    what: str
    aliases: tuple[str, ...] = ()
    size: int | None = None
    parameters: int = 0

    def find(self) -> Path:
        """Return where the file lies on this machine, the caches of torch and CLIP included.

        Raises:
            WeightsError: nowhere, with where it was looked for and the command that fetches it.
        """
        return find_weights(
            self.file,
            f"{self.what} ({self.url})",
            also=list(_library_caches()),
            aliases=self.aliases,
            fetch=f"{self.model} --only {self.name}",
        )

    def digest(self, path: Path, *, published: bool = True) -> str:
        """Return the hex sha256 of the file at `path`.

        Args:
            path: of what should be this file.
            published: refuse any other bytes.

        Raises:
            WeightsError: it is missing, or not the published one.
        """
        digest = file_digest(path, self.what)
        if published and digest != self.sha256:
            expected = f"in {self.size:,} bytes" if self.size else "as published"
            raise WeightsError(
                f"{path} is corrupt or of another model: expected {self.what}, whose sha256 begins "
                f"{self.sha256[:8]} {expected}, found {digest[:8]} in {path.stat().st_size:,} "
                f"bytes. Delete the file and fetch it again: glide-eval models fetch {self.model}."
            )
        return digest


def file_digest(path: Path, what: str) -> str:
    """Return the hex sha256 of a weights file.

    Raises:
        WeightsError: it is missing or can't be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise WeightsError(f"{path} is missing: expected {what} there.") from error
    except OSError as error:
        raise WeightsError(f"{path} can't be read ({error.strerror}): expected {what}.") from error


def foreign(path: Path, expected: str, error: Exception) -> WeightsError:
    """Return the error to raise for a file whose reader raised `error`."""
    lines = str(error).strip().splitlines()
    found = " ".join(line.strip() for line in lines[:2])[:200] if lines else repr(error)
    return WeightsError(
        f"{path} is corrupt or of another model: expected {expected}, found {found!r}. "
        "Delete the file and put the right one there."
    )


def _library_caches() -> Iterator[Path]:
    """Return the folders where torch.hub and CLIP's own packages keep the same files."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    yield Path(os.environ.get("TORCH_HOME") or home / "torch").expanduser() / "hub" / "checkpoints"
    yield Path.home() / ".cache" / "clip"
