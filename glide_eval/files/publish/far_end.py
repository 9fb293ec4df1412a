"""A place at a URL, through fsspec: a folder, a bucket, a host, a data set."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from glide_eval.errors import DownloadError, StorageError, UsageError

_PACKAGES = {
    "s3": "glide-eval[s3]", "s3a": "glide-eval[s3]", "gs": "gcsfs", "gcs": "gcsfs",
    "ssh": "paramiko", "sftp": "paramiko", "hf": "huggingface_hub",
}  # fmt: skip
_STORES = {"s3", "gs", "abfs", "hf"}  # which have no folders
_PIECE = 2**22  # bytes


class FarEnd:
    """The folder at a URL."""

    def __init__(self, url: str) -> None:
        """Open the place at a URL, or a local folder.

        Raises:
            UsageError: a protocol that nobody knows, or whose package is not installed.
            StorageError: the host does not answer, or refuses.
        """
        fsspec: Any = importlib.import_module("fsspec")  # it has no types, and is slow to load

        self.name = without_secrets(url)
        protocol = urlsplit(url).scheme
        try:
            # Listings of buckets are cached by default, and would hide what was just sent.
            self._files, self._root = fsspec.url_to_fs(url, use_listings_cache=False)
        except ImportError as error:
            package = _PACKAGES.get(protocol, protocol)
            raise UsageError(
                f"{self.name}: {protocol}:// needs a package that is not installed. "
                f"Install it with `pip install '{package}'`, then run the command again."
            ) from error
        except ValueError as error:
            raise UsageError(
                f"{self.name}: expected a folder or a URL such as s3://BUCKET/FOLDER, found an "
                f"address that can't be opened as {protocol or 'one'}. Check the URL."
            ) from error
        except Exception as error:  # packages of hosts connect here
            raise self._refusal("open", StorageError, error) from error

    def sizes(self) -> dict[str, int]:
        """Return the size of each file there, by its path below the URL; empty if nothing is."""
        with self._named("list", StorageError):
            try:
                found: dict[str, Any] = self._files.find(self._root, detail=True)
            except FileNotFoundError:
                return {}
            start = len(self._root.rstrip("/")) + 1
            return {path[start:]: int(info["size"]) for path, info in found.items()}

    def read(self, path: str) -> bytes:
        """Return the content of a file.

        Raises:
            DownloadError: it is missing, or may not be read.
        """
        with self._named(f"read {path} of", DownloadError):
            return self._files.cat_file(self._at(path))

    def fetch(self, path: str, into: Path) -> str:
        """Copy a file from there, piece by piece; return its SHA-256.

        Raises:
            DownloadError: it is missing, or may not be read.
            OSError: it can't be written here.
        """
        digest = hashlib.sha256()
        with self._named(f"read {path} of", DownloadError):
            there = self._files.open(self._at(path), "rb")
        with there, into.open("wb") as file:
            while piece := self._piece(there, path):
                digest.update(piece)
                file.write(piece)
        return digest.hexdigest()

    def _piece(self, there: Any, path: str) -> bytes:
        with self._named(f"read {path} of", DownloadError):
            return there.read(_PIECE)

    def write(self, path: str, content: bytes) -> None:
        """Write a small file.

        Raises:
            StorageError: no rights, no room, no connection.
        """
        with self._named(f"write {path} to", StorageError):
            self._make_folder_of(path)
            self._files.pipe_file(self._at(path), content)

    def send(self, path: str, file: Path) -> None:
        """Copy a file to there, piece by piece.

        Raises:
            StorageError: no rights, no room, no connection.
        """
        with self._named(f"write {path} to", StorageError):
            self._make_folder_of(path)
            self._files.put_file(str(file), self._at(path))

    def _make_folder_of(self, path: str) -> None:
        # A store has no folders, and would make a bucket instead.
        if not _STORES.intersection(_names(self._files.protocol)):
            self._files.makedirs(self._at(path).rpartition("/")[0], exist_ok=True)

    def remove(self, path: str) -> None:
        """Remove a file.

        Raises:
            StorageError: no rights, no connection.
        """
        with self._named(f"remove {path} from", StorageError):
            self._files.rm_file(self._at(path))

    def _at(self, path: str) -> str:
        return f"{self._root.rstrip('/')}/{path}"

    @contextlib.contextmanager
    def _named(self, what: str, refusal: type[Exception]) -> Generator[None]:
        """Turn whatever a protocol's package raises into one paragraph, without its secrets."""
        try:
            yield
        except Exception as error:  # each package has exceptions of its own
            raise self._refusal(what, refusal, error) from error

    def _refusal(self, what: str, refusal: type[Exception], error: Exception) -> Exception:
        # The text of the package's error is left out: it may quote the URL with its secrets.
        reason = getattr(error, "strerror", None) or type(error).__name__
        return refusal(
            f"Could not {what} {self.name} ({reason}). What was sent or fetched before is kept. "
            "Check the URL, your credentials and rights there, the room that is left and the "
            "network, then run the command again."
        )


def _names(protocol: str | tuple[str, ...]) -> tuple[str, ...]:
    return (protocol,) if isinstance(protocol, str) else protocol


def without_secrets(url: str) -> str:
    """Return a URL as it may be printed: without user, password, query and fragment.

    Examples:
        >>> without_secrets("sftp://ann:secret@host/runs?token=abc")
        'sftp://host/runs'
    """
    if "://" not in url:
        return url
    protocol, _, rest = url.partition("://")
    host, slash, path = rest.split("?")[0].split("#")[0].partition("/")
    return f"{protocol}://{host.rpartition('@')[2]}{slash}{path}"
