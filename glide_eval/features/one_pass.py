"""One pass over images feeds every extractor, files being read ahead of the networks.

    items ─▶ threads: read, check, decode, prepare ─▶ caller's thread: embed, a batch at a time

A few threads work ahead (Pillow and NumPy let go of Python's lock while they decode and resize), as
far as a bounded queue allows; order is kept. The networks run in the caller's thread alone, so
Ctrl-C stops the pass between two batches.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from glide_eval.errors import FeatureError, ImageError
from glide_eval.extractors import Extractor, Features
from glide_eval.files import count, decode, read_file
from glide_eval.metrics import nonfinite_rows

BATCH = 32
AHEAD = 3 * BATCH  # images read but not yet embedded; about 100 MB at Inception's input size
THREADS = min(4, os.cpu_count() or 1)
SHOWN = 5

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Picture:
    """An image as it was read.

    Attributes:
        pixels: uint8 (h, w, 3).
        sha256: of the file's bytes, hex.
        kind: file format, as Pillow names it (`JPEG`); empty for what never was a file.
    """

    pixels: np.ndarray
    sha256: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Seen(Generic[Item]):
    """What is kept of an image once its pixels are gone.

    Attributes:
        item: as it was given.
        sha256: of the file's bytes, hex.
        kind: file format; empty for what never was a file.
        shape: of its pixels, (h, w, 3).
    """

    item: Item
    sha256: str
    kind: str
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Batch(Generic[Item]):
    """Features of up to `BATCH` images.

    Attributes:
        seen: the images, in order.
        features: by the extractor's name; rows as in `seen`.
    """

    seen: list[Seen[Item]]
    features: dict[str, Features]


@dataclass(frozen=True, slots=True)
class Unreadable(Generic[Item]):
    """An image left out, and why."""

    item: Item
    reason: str


def extract(
    items: Iterable[Item],
    read: Callable[[Item], Picture],
    extractors: Sequence[Extractor],
    *,
    caption: Callable[[Item], str] | None = None,
    name: Callable[[Item], str] = str,
    left_out: list[Unreadable[Item]] | None = None,
    advice: str = "",
) -> Iterator[Batch[Item]]:
    """Features of images by every extractor, each image read once.

    Args:
        items: whatever stands for the images; taken in the caller's thread, as they are needed.
        read: reads one, in any of several threads.
        extractors: of different names.
        caption: an item's caption; None leaves the parts that need one empty.
        name: what messages call an item.
        left_out: filled with the images that can't be read, and the pass goes on without them.
            None refuses them.
        advice: ends the message that refuses them.

    Raises:
        ImageError: images that can't be read. All of them are named: from the first one on the
            rest is still read, but nothing more is embedded.
        FeatureError: features that are not finite; the first such image is named.
        Exception: whatever else `read` raises, at once.
    """

    def prepare(item: Item) -> tuple[Seen[Item], dict[str, np.ndarray]]:
        picture = read(item)
        seen = Seen(item, picture.sha256, picture.kind, picture.pixels.shape)
        return seen, {e.name: e.prepare(picture.pixels) for e in extractors}

    refused: list[Unreadable[Item]] = []
    batch: list[tuple[Seen[Item], dict[str, np.ndarray]]] = []
    for item, future in _ahead(items, prepare):
        try:
            prepared = future.result()
        except ImageError as error:
            (refused if left_out is None else left_out).append(Unreadable(item, str(error)))
            continue
        if refused:  # only to name what else can't be read
            continue
        batch.append(prepared)
        if len(batch) == BATCH:
            yield _embed(batch, extractors, caption, name)
            batch = []
    refuse(refused, advice)
    if batch:
        yield _embed(batch, extractors, caption, name)


def refuse(unreadable: Sequence[Unreadable], advice: str = "") -> None:
    """Nothing, if all images could be read.

    Raises:
        ImageError: some could not; one paragraph names each, up to `SHOWN` with its reason.
    """
    advice = f" {advice}" if advice else ""
    if len(unreadable) == 1:
        raise ImageError(unreadable[0].reason + advice)
    if unreadable:
        reasons = [f"({i}) {image.reason}" for i, image in enumerate(unreadable[:SHOWN], 1)]
        rest = ", ".join(str(image.item) for image in unreadable[SHOWN:])
        raise ImageError(
            f"{count(len(unreadable), 'image')} can't be read. {' '.join(reasons)}"
            + (f" And {rest}." if rest else "")
            + advice
        )


def read_picture(path: Path) -> Picture:
    """An image file with the SHA-256 of its bytes.

    Raises:
        ImageError: see `images.decode_rgb`.
    """
    content = read_file(path)
    pixels, kind = decode(content, path)
    return Picture(pixels, hashlib.sha256(content).hexdigest(), kind)


def _ahead(items: Iterable[Item], work: Callable[[Item], object]) -> Iterator[tuple[Item, Future]]:
    """Each item with its finished or running work, in order, at most `AHEAD` begun ahead."""
    # Not pool.map, which would read all images at once, whatever the memory.
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="read-ahead")
    stream = iter(items)
    try:
        begun = deque((item, pool.submit(work, item)) for item in islice(stream, AHEAD))
        while begun:
            yield begun.popleft()
            begun.extend((item, pool.submit(work, item)) for item in islice(stream, 1))
    finally:  # an error, Ctrl-C, or a caller who has seen enough
        pool.shutdown(wait=True, cancel_futures=True)


def _embed(
    batch: list[tuple[Seen[Item], dict[str, np.ndarray]]],
    extractors: Sequence[Extractor],
    caption: Callable[[Item], str] | None,
    name: Callable[[Item], str],
) -> Batch[Item]:
    seen = [image for image, _ in batch]
    captions = None if caption is None else [caption(image.item) for image in seen]
    features = {
        e.name: e.embed([prepared[e.name] for _, prepared in batch], captions) for e in extractors
    }
    for extractor in extractors:
        _refuse_nonfinite(features[extractor.name], seen, extractor, name)
    return Batch(seen, features)


def _refuse_nonfinite(
    features: Features,
    seen: list[Seen[Item]],
    extractor: Extractor,
    name: Callable[[Item], str],
) -> None:
    """NaN is found where its image is known; in an accuracy it means that nothing is claimed."""
    for part, array in features.to_arrays().items():
        if part.startswith("accuracy.") or not array.ndim:
            continue
        bad = nonfinite_rows(array)
        if len(bad):
            raise FeatureError(
                f"{extractor.name} gives NaN or infinite {part} for {len(bad)} of {len(array)} "
                f"images in a batch, first for {name(seen[bad[0]].item)}: expected finite numbers. "
                "Look at that image; if it is sound, the extractor's weights or precision are not."
            )
