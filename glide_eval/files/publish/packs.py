"""Many images in one published file: WebDataset tars, or Parquet.

A store answers for each file, so a million small ones take hours. Each pack holds as many samples
as the one before, in the manifest's order, so each can be made, checked and fetched by itself.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from glide_eval.files.records import Sample
from glide_eval.files.run_store import sample_bytes

EACH = 2_000  # images of a pack: 200 MB of PNG at 256 px
_ROWS = 100  # images of a Parquet row group, which a reader holds in memory


@dataclass(frozen=True)
class Packing:
    """A way to pack images.

    Attributes:
        suffix: of a pack's file.
        write: writes the images of some samples of a run folder into a file.
        read: gives the path and the bytes of each image in a pack.
    """

    suffix: str
    write: Callable[[BinaryIO, Path, Sequence[Sample]], None]
    read: Callable[[Path], Iterator[tuple[str, bytes]]]

    def place(self, number: int) -> str:
        """Return the path of a pack below the URL."""
        return f"images/{number:05d}{self.suffix}"


def parts(samples: Sequence[Sample], each: int) -> Iterator[Sequence[Sample]]:
    """Yield the samples of each pack, in the manifest's order."""
    return (samples[first : first + each] for first in range(0, len(samples), each))


class Sink(io.RawIOBase):
    """A file that keeps nothing but its size and its SHA-256."""

    def __init__(self) -> None:
        self.size, self._digest = 0, hashlib.sha256()

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, content: Any) -> int:
        """Take some bytes."""
        self._digest.update(content)
        self.size += len(content)
        return len(content)

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self.size

    @property
    def sha256(self) -> str:
        """The digest so far, hexadecimal."""
        return self._digest.hexdigest()


def _write_tar(file: BinaryIO, root: Path, samples: Sequence[Sample]) -> None:
    """Write each image with its manifest line beside it, as WebDataset pairs them: by stem."""
    with tarfile.open(fileobj=file, mode="w|") as tar:
        for sample in samples:
            image = sample_bytes(root / sample.path, sample)
            stem = sample.path.rpartition(".")[0]
            for name, content in (
                (sample.path, image),
                (f"{stem}.json", sample.to_json().encode()),
            ):
                member = tarfile.TarInfo(name)  # without a time or an owner: the same bytes again
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def _read_tar(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path, "r:") as tar:  # no compression: nothing can inflate
        for member in tar:
            content = tar.extractfile(member)  # None of what is no file
            if content is not None and not member.name.endswith(".json"):
                yield member.name, content.read()


def _write_parquet(file: BinaryIO, root: Path, samples: Sequence[Sample]) -> None:
    """Write a row for each image, in the columns that Hugging Face's `datasets` knows."""
    pa, pq = _pyarrow()
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    names = ("arm", "prompt_id", "caption", "replica", "seed")
    kinds = (pa.string(), pa.string(), pa.string(), pa.int64(), pa.uint64())
    schema = pa.schema([("image", image), *zip(names, kinds, strict=True)])
    with pq.ParquetWriter(file, schema, compression="none") as writer:  # PNG is compressed
        for first in range(0, len(samples), _ROWS):
            some = samples[first : first + _ROWS]
            rows = [
                {
                    "image": {"bytes": sample_bytes(root / s.path, s), "path": s.path},
                    **{name: getattr(s, name) for name in names},
                }
                for s in some
            ]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def _read_parquet(path: Path) -> Iterator[tuple[str, bytes]]:
    _, pq = _pyarrow()
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS, columns=["image"]):
            for row in batch.to_pylist():
                yield row["image"]["path"], row["image"]["bytes"]


def _pyarrow() -> tuple[Any, Any]:
    return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")


PACKINGS = {
    "tar": Packing(".tar", _write_tar, _read_tar),
    "parquet": Packing(".parquet", _write_parquet, _read_parquet),
}
