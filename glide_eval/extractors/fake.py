"""An extractor without weights, so that whole scoring passes are tested in milliseconds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from .protocol import ClipFeatures, Extractor, Features

_GRID = 2


class FakeExtractor(Extractor):
    """Features from pixel statistics: means and spreads of each colour in a 2 × 2 grid (d = 24).

    Each caption's unit vector is drawn with its bytes as the seed. The accuracy of a caption's part
    is the image's brightness, and only captions that say "of" claim a relation.

    Args:
        version: part of the fingerprint, to play an extractor that changed.
    """

    name = "fake"
    provides = frozenset({"pool", "fid", "logits", "clip", "guiding_clip", "texture", "accuracy"})

    def __init__(self, version: int = 1) -> None:
        self.facts = {"extractor": self.name, "version": str(version)}
        self._classes = np.random.default_rng(0).normal(size=(6 * _GRID**2, 5))

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """See `Extractor`: float64 (24,), the statistics."""
        return _statistics(image)

    def embed(
        self, prepared: Sequence[np.ndarray], captions: Sequence[str] | None = None
    ) -> Features:
        """See `Extractor`; float64."""
        pool = np.stack(prepared)
        # Not a matrix product, whose last digits depend on the batch.
        logits = np.sum(pool[:, :, None] * self._classes, axis=1)
        if captions is None:
            return Features(pool, logits, texture=np.log1p(pool))
        lengths = np.linalg.norm(pool, axis=1, keepdims=True)
        unit = pool / np.where(lengths > 0, lengths, 1)
        texts = np.stack([_embedding(caption, pool.shape[1]) for caption in captions])
        brightness = pool[:, : 3 * _GRID**2].mean(axis=1)
        related = np.array([" of " in caption for caption in captions])
        accuracy: dict[str, np.ndarray] = dict.fromkeys(
            ("caption", "object", "color", "count"), brightness
        )
        accuracy["relation"] = np.where(related, brightness, np.nan)
        return Features(
            pool,
            logits,
            ClipFeatures(unit, texts, 100.0),
            ClipFeatures(unit, np.roll(texts, 1, axis=1), 50.0),
            np.log1p(pool),
            accuracy,
        )


def _statistics(image: np.ndarray) -> np.ndarray:
    values = image.astype(np.float64) / 255
    blocks = [b for rows in np.array_split(values, _GRID) for b in np.array_split(rows, _GRID, 1)]
    means = [block.mean(axis=(0, 1)) for block in blocks]
    spreads = [block.std(axis=(0, 1)) for block in blocks]
    return np.concatenate(means + spreads)


def _embedding(caption: str, size: int) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(caption.encode()).digest()[:8], "big")
    vector = np.random.default_rng(seed).normal(size=size)
    return vector / np.linalg.norm(vector)
