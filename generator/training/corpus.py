"""The miniature's training pairs in memory: rendered pictures with captions, clean or web-like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from generator.tabletop.captions import describe
from generator.tabletop.dataset import RenderedScenes
from generator.tabletop.scenes import Scene, held_out
from generator.tabletop.web import Web

PICTURES_SEED = 1  # of the scenes that all networks learn from
_FINEST = 0.10  # strongest noise on what an upsampler enlarges


class Corpus:
    """Pictures of one size, each with its scene; captions are written anew for each batch."""

    def __init__(
        self, folder: Path, size: int, training: bool, limit: int | None = None,
        web: Web | None = None, shards: int | None = None,
    ):  # fmt: skip
        """Load rendered shards.

        Args:
            folder: of shards that `python -m generator.tabletop.dataset --twins` rendered.
            size: of the pictures, in pixels; larger ones are averaged down.
            training: leave out scenes with held-out combinations.
            limit: most pictures to keep.
            web: how bad the pairs are; None for the clean world.
            shards: most shards to read.

        Raises:
            FileNotFoundError: no shards there.
            ValueError: they were rendered at a size that does not fit.
        """
        rendered = RenderedScenes(folder, PICTURES_SEED, twins=True, limit=shards)
        keep = [not (training and held_out(scene)) for scene in rendered.scenes]
        self.web = web
        self.images = rendered.load(keep, size)[:limit]
        self.scenes: list[Scene] = [
            s for s, kept in zip(rendered.scenes, keep, strict=True) if kept
        ][:limit]
        self._two = np.array([len(scene.objects) == 2 for scene in self.scenes])

    def batch(
        self, rng: np.random.Generator, size: int, pairs: float = 1.0, noise: bool = True
    ) -> tuple[Tensor, list[str]]:
        """Draw pictures with captions.

        Args:
            rng: decides everything.
            size: how many.
            pairs: how many times as often as others scenes of two objects are drawn.
            noise: see `Web.photographs`.

        Returns:
            Pictures (size, 3, h, w) in -1..1 and a caption each.
        """
        if pairs == 1:
            chosen = rng.integers(len(self.images), size=size)
        else:
            weights = np.where(self._two, pairs, 1.0)
            chosen = rng.choice(len(self.images), size, p=weights / weights.sum())
        x = torch.from_numpy(self.images[chosen]).permute(0, 3, 1, 2).float() / 127.5 - 1
        scenes = [self.scenes[i] for i in chosen]
        if self.web is None:
            return x, [describe(s, rng) for s in scenes]
        captions, wrong = self.web.captions(scenes, self.scenes, rng)
        return self.web.photographs(x, wrong, rng, noise), captions


def crops(x: Tensor, rng: np.random.Generator, size: int = 64) -> tuple[Tensor, Tensor]:
    """Return a random crop of each picture at full and at a quarter of the resolution.

    The low-resolution picture is averaged, given a little noise and quantised to 8 bits, as at
    sampling time, so that the upsampler tolerates the base model's faults (GLIDE §2.1 blurs too).

    Args:
        x: (n, 3, side, side) in -1..1, side at least `size`.
        rng: decides places and noise.
        size: of a crop, in pixels; a multiple of 4.

    Returns:
        (n, 3, size, size) and (n, 3, size / 4, size / 4), in -1..1.
    """
    places = [[4 * int(rng.integers((x.shape[-1] - size) // 4 + 1)) for _ in range(2)] for _ in x]
    x = torch.stack([p[:, i : i + size, j : j + size] for p, (i, j) in zip(x, places, strict=True)])
    low = torch.nn.functional.avg_pool2d(x, 4)
    # Mostly weak: noise on all of the batch would teach it to distrust every edge.
    strength = torch.from_numpy((_FINEST * rng.random((len(x), 1, 1, 1)) ** 2).astype(np.float32))
    low = low + strength * torch.from_numpy(rng.standard_normal(low.shape, dtype=np.float32))
    return x, ((low.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1
