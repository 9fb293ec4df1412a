"""Rendered scenes as training and reference data: endless streams by seed, cached in shards."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from generator.atomic import replacing

from .captions import describe, illustrate
from .render import render
from .scenes import Scene, sample_scene

SHARD = 500  # images a file


def scene(
    seed: int, index: int, split: str = "all", count: int | None = None, twins: bool = False
) -> Scene:
    """Return scene `index` of an endless stream (`seed`, `split`, `twins`), always the same one."""
    return sample_scene(np.random.default_rng([seed, index]), count, split, twins)


def reference_images(count: int, seed: int, first: int = 0) -> tuple[np.ndarray, list[str]]:
    """Render scenes first … first + count - 1 of a stream, one caption per scene.

    Returns:
        Images uint8 (count, 128, 128, 3) and their captions.
    """
    numbers = range(first, first + count)
    scenes = [scene(seed, i) for i in numbers]
    captions = [
        describe(s, np.random.default_rng([seed, i, 1]))
        for i, s in zip(numbers, scenes, strict=True)
    ]
    return render(scenes).numpy(), captions


def images_of(captions: Sequence[str], count: int, seed: int, first: int = 0) -> np.ndarray:
    """Render scenes first … first + count - 1 of a stream in which the captions take turns.

    Returns:
        Images uint8 (count, 128, 128, 3).

    Raises:
        ValueError: a caption is not of the grammar.
    """
    numbers = range(first, first + count)
    scenes = [
        illustrate(captions[i % len(captions)], np.random.default_rng([seed, i])) for i in numbers
    ]
    return render(scenes).numpy()


class RenderedScenes:
    """A folder of rendered shards: images (n, size, size, 3) beside the scenes that made them."""

    def __init__(
        self, folder: Path | str, seed: int, split: str = "all", twins: bool = False,
        limit: int | None = None,
    ):  # fmt: skip
        """Find the shards.

        Args:
            folder: where `render_shards` wrote.
            seed: of the stream.
            split: of the stream, see `scenes.sample_scene`.
            twins: of the stream, see `scenes.sample_scene`.
            limit: use the first shards only, at most so many.

        Raises:
            FileNotFoundError: no such shard.
        """
        self.folder, self.seed, self.split = Path(folder), seed, split
        stream = _stream(seed, split, twins)
        self.shards = sorted(self.folder.glob(f"{stream}-*.npy"))[:limit]
        if not self.shards:
            raise FileNotFoundError(
                f"{self.folder}: no rendered shards {stream}-*.npy. Render them first: "
                f"python -m generator.tabletop.dataset {self.folder} --seed {seed}"
                f"{' --twins' if twins else ''}"
            )
        self.scenes: list[Scene] = []
        for shard in self.shards:
            first = int(shard.stem.rsplit("-", 1)[1]) * SHARD
            self.scenes += [scene(seed, first + i, split, None, twins) for i in range(SHARD)]

    def load(self, keep: Sequence[bool] | None = None, size: int = 128) -> np.ndarray:
        """Return all images, or those that `keep` selects, as uint8 (n, size, size, 3).

        Larger images are averaged down.

        Raises:
            ValueError: the shards were rendered smaller than `size`, or not at a multiple of it.
        """
        parts = []
        for k, shard in enumerate(self.shards):
            images = np.load(shard)
            if images.shape[1] % size:
                raise ValueError(
                    f"{shard} holds pictures of {images.shape[1]} px, expected a multiple of "
                    f"{size}. Render another folder with --size {size}."
                )
            if keep is not None:
                images = images[np.asarray(keep[k * SHARD : (k + 1) * SHARD])]
            parts.append(downsample(images, images.shape[1] // size))
        return np.concatenate(parts)


def downsample(images: np.ndarray, factor: int) -> np.ndarray:
    """Average uint8 images (n, h, w, 3) over factor × factor blocks, rounded to uint8."""
    if factor == 1:
        return images
    n, h, w, c = images.shape
    blocks = images.reshape(n, h // factor, factor, w // factor, factor, c)
    return (blocks.mean(axis=(2, 4), dtype=np.float32) + 0.5).astype(np.uint8)


def _stream(seed: int, split: str, twins: bool) -> str:
    """Return how the file names of a stream's shards begin."""
    return f"{split}{'-twins' if twins else ''}-{seed}"


def render_shards(
    folder: Path, seed: int, first: int, last: int, split: str = "all", device: str = "cpu",
    size: int = 128, twins: bool = False,
) -> None:  # fmt: skip
    """Render those shards first..last-1 that are missing; the call may be stopped and repeated."""
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(first, last):
        path = folder / f"{_stream(seed, split, twins)}-{k:05d}.npy"
        if path.exists():
            continue
        scenes = [scene(seed, k * SHARD + i, split, None, twins) for i in range(SHARD)]
        chunk = 128 if device != "cpu" else 4 * (128 // size) ** 2
        images = render(scenes, size, device, chunk).numpy()
        with replacing(path) as part, part.open("wb") as file:
            np.save(file, images)
        print(f"{path.name}: {SHARD} images", flush=True)


def main() -> None:
    """`python -m generator.tabletop.dataset FOLDER --shards 0:40`: render training data."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--split", default="all", choices=["all", "train", "zero_shot"])
    parser.add_argument("--shards", default="0:40", help=f"first:last, {SHARD} images each")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", type=int, default=128, help="pixels; 64 is enough for 32 px")
    parser.add_argument("--twins", action="store_true", help="scenes may hold two alike objects")
    options = parser.parse_args()
    torch.set_num_threads(1)
    first, last = (int(part) for part in options.shards.split(":"))
    render_shards(options.folder, options.seed, first, last, options.split, options.device,
                  options.size, options.twins)  # fmt: skip


if __name__ == "__main__":
    main()
