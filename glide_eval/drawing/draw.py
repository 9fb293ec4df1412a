"""Pictures drawn on request: batches with progress, and files that never overwrite others.

Beside each `<name>.png` lies `<name>.json`: caption, seed and everything else that decided it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from glide_eval.errors import GlideEvalError, UsageError
from glide_eval.files import encode_png, some, write_bytes, write_text
from glide_eval.sweep import ImageSource, environment, now

Images = NDArray[np.uint8]
OnStep = Callable[[int, Any], None]
Make = Callable[[list[str], list[int], OnStep], Sequence[Images]]
T = TypeVar("T", bound=np.generic)
GAP = 4  # pixels between the pictures of a sheet
NAME_LENGTH = 40


@dataclass(frozen=True, slots=True)
class Request:
    """One picture to draw.

    Attributes:
        caption: not empty.
        seed: of its noise.
        name: of its files, without ending.
    """

    caption: str
    seed: int
    name: str


def plan(captions: Sequence[str], seed: int, count: int) -> list[Request]:
    """`count` pictures of each caption, from seeds `seed`, `seed` + 1, …; names differ."""
    requests: list[Request] = []
    taken: dict[str, int] = {}
    for caption in captions:
        name = slug(caption)
        taken[name] = taken.get(name, 0) + 1
        own = name if taken[name] == 1 else f"{name}-{taken[name]}"
        requests += [Request(caption, s, f"{own}-seed{s}") for s in range(seed, seed + count)]
    return requests


def slug(caption: str) -> str:
    """Return a file name's worth of a caption: its letters and digits, whatever the script."""
    words = re.sub(r"[\W_]+", "-", caption.casefold()).strip("-")
    return words[:NAME_LENGTH].rstrip("-") or "picture"


def check_free(folder: Path, names: Sequence[str], overwrite: bool) -> None:
    """Refuse to write over pictures that are there, before any time is spent.

    Raises:
        UsageError: some are, and `overwrite` was not asked for; or `folder` is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: expected a folder for pictures. Name another --out.")
    there = [name for name in names if (folder / f"{name}.png").exists()]
    if there and not overwrite:
        names = [f"{name}.png" for name in there]
        raise UsageError(
            f"{folder} has {some(names)} already. Choose another --out or --seed, or pass "
            "--overwrite to replace what is there."
        )


def draw(
    requests: Sequence[Request], make: Make, batch: int, steps: int
) -> Iterator[tuple[Request, list[Images]]]:
    """Draw pictures in batches of one size, so that a picture's bytes don't depend on the others.

    Args:
        requests: what to draw.
        make: (captions, seeds, on_step) to one or more arrays (batch, size, size, 3): the stages of
            a picture worth keeping, the finished one last.
        batch: pictures drawn together; the last batch is filled up and the surplus dropped.
        steps: how often `make` calls on_step, for the progress shown on a terminal.

    Yields:
        Each request with its pictures, one a stage.

    Raises:
        GlideEvalError: out of memory.
    """
    import torch

    starts = range(0, len(requests), batch)
    with tqdm(total=len(starts) * steps, desc="drawing", unit="step", disable=None) as progress:

        def on_step(number: int, x: Any) -> None:
            progress.update()

        for start in starts:
            chunk = list(requests[start : start + batch])
            full = [*chunk, *[chunk[-1]] * (batch - len(chunk))]
            try:
                stages = make(
                    [request.caption for request in full],
                    [request.seed for request in full],
                    on_step,
                )
            except torch.OutOfMemoryError as error:
                raise GlideEvalError(
                    "The device ran out of memory drawing a single picture, after halving the "
                    f"batch of {batch} as far as it goes. Free memory that other processes hold "
                    "there, or use --dtype float16."
                ) from error
            for row, request in enumerate(chunk):
                yield request, [stage[row] for stage in stages]


def save(
    folder: Path, name: str, pixels: Images, source: ImageSource, story: dict[str, Any]
) -> Path:
    """Write a picture and its story; the path of the picture.

    Args:
        folder: made if missing.
        name: of both files, without ending.
        pixels: uint8 (height, width, 3).
        source: what drew it, for versions, device and weights.
        story: what decided it.

    Raises:
        StorageError: the disk is full or read-only.
    """
    content = encode_png(pixels)
    path = folder / f"{name}.png"
    values = {
        "picture": path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "made": now(),
        **story,
        "dtype": source.dtype,
        **environment(source),
        "weights": source.fingerprint(),
    }
    write_bytes(path, content)
    write_text(path.with_suffix(".json"), json.dumps(values, indent=2, ensure_ascii=False) + "\n")
    return path


def sampling_story(sampling: Any) -> dict[str, Any]:
    """Return a `generator.options.Sampling` as JSON-ready values."""
    return dataclasses.asdict(sampling)


def batch_of(pixels: NDArray[T], count: int) -> NDArray[T]:
    """Return one picture or mask, `count` times: (count, …)."""
    return np.repeat(pixels[None], count, axis=0)


def sheet(rows: Sequence[Sequence[Images]]) -> Images:
    """Pictures of one size on a white ground: rows may be of different length.

    Returns:
        uint8 (height, width, 3).
    """
    height, width = rows[0][0].shape[:2]
    columns = max(len(row) for row in rows)
    shape = (len(rows) * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3)
    ground = np.full(shape, 255, np.uint8)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            top, left = i * (height + GAP), j * (width + GAP)
            ground[top : top + height, left : left + width] = picture
    return ground
