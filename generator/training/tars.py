"""WebDataset tars as pictures by number: each tar's headers are read once, then any sample at will.

A sample is the members that share a name up to its first dot: `0001.jpg` with `0001.txt`. Any order
of samples costs no more than the file system's own random access. So samples can be shuffled
globally, and a training resumes at exactly the sample where it stopped.
"""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from generator.errors import DataError

from .pictures import SUFFIXES, digest_of, listed, opened

_CAPTIONS = ("txt", "caption", "json")  # tried in this order


@dataclass(frozen=True, slots=True)
class _Member:
    """Where a tar holds a file's bytes."""

    suffix: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class _Sample:
    tar: int
    key: str
    image: _Member
    caption: _Member


class Tars:
    """The samples of uncompressed tars that have a picture and a caption.

    Captions are the lines of `.txt` or `.caption`, or the `caption` of `.json` (text or a list).
    """

    def __init__(self, paths: list[Path]):
        """Read every tar's headers.

        Raises:
            DataError: a tar is missing, compressed or cut short, or no sample is complete.
        """
        self._paths = sorted(paths)
        self._samples: list[_Sample] = []
        partial: list[str] = []
        for number, path in enumerate(self._paths):
            for key, members in _index(path).items():
                image = next((m for s, m in members.items() if f".{s}" in SUFFIXES), None)
                caption = next((members[s] for s in _CAPTIONS if s in members), None)
                if image and caption:
                    self._samples.append(_Sample(number, key, image, caption))
                else:
                    partial.append(f"{path.name}:{key}")
        if not self._samples:
            raise DataError(
                f"{len(self._paths)} tars hold no picture with a caption: found {len(partial)} "
                "other samples. Expected members such as 0001.jpg and 0001.txt in uncompressed "
                "tars; check the path or pattern."
            )
        self.notes = listed(
            partial, lambda n: f"{n:,} samples lack a picture or a caption and are not used"
        )

    def __len__(self) -> int:
        return len(self._samples)

    def item(self, index: int, rng: np.random.Generator) -> tuple[Image.Image, str]:
        """See `Pictures`."""
        sample = self._samples[index]
        captions = _captions(self._read(sample, sample.caption), sample.caption.suffix)
        if not captions:
            raise ValueError("its caption is empty or not in the form expected")
        caption = captions[int(rng.integers(len(captions)))]
        return opened(self._read(sample, sample.image)), caption

    def name(self, index: int) -> str:
        """Return the tar and the sample's key."""
        return f"{self._paths[self._samples[index].tar]}:{self._samples[index].key}"

    def digest(self) -> str:
        """See `Pictures`."""
        return digest_of([
            f"{self._paths[s.tar].name} {s.key} {s.image.size} {s.caption.size}"
            for s in self._samples
        ])  # fmt: skip

    def _read(self, sample: _Sample, member: _Member) -> bytes:
        with self._paths[sample.tar].open("rb") as file:
            file.seek(member.offset)
            return file.read(member.size)


def _index(path: Path) -> dict[str, dict[str, _Member]]:
    """Return sample key → suffix → member."""
    found: dict[str, dict[str, _Member]] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for info in tar:
                folder, _, base = info.name.rpartition("/")
                stem, dot, suffix = base.partition(".")
                if info.isfile() and dot and stem:
                    member = _Member(suffix.lower(), info.offset_data, info.size)
                    found.setdefault(f"{folder}/{stem}" if folder else stem, {})[member.suffix] = (
                        member
                    )
    except (OSError, tarfile.TarError) as error:
        raise DataError(
            f"{path} can't be read as an uncompressed tar ({error}): expected a WebDataset tar "
            "with members such as 0001.jpg and 0001.txt. Unpack a .tar.gz with gunzip; copy a "
            "tar that was cut short again."
        ) from error
    return found


def _captions(content: bytes, suffix: str) -> list[str]:
    text = content.decode("utf-8", "replace")
    if suffix != "json":
        return [line.strip() for line in text.splitlines() if line.strip()]
    values = json.loads(text)
    found = values.get("caption", []) if isinstance(values, dict) else []
    return [str(c) for c in (found if isinstance(found, list) else [found]) if str(c).strip()]
