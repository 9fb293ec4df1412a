"""What a feature extractor promises, and the record it returns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

import numpy as np


@dataclass(frozen=True, eq=False)
class ClipFeatures:
    """What one CLIP makes of images and their captions.

    Attributes:
        images: float (n, e), unit length.
        texts: float (n, e), unit length: each image's own caption.
        logit_scale: the CLIP's s, not its logarithm.
    """

    images: np.ndarray
    texts: np.ndarray
    logit_scale: float


@dataclass(frozen=True, eq=False)
class Features:
    """Everything an extractor sees in n images; parts it does not have are None or empty.

    Attributes:
        pool: float (n, d), for distances between sets of images.
        logits: float (n, k) class scores before the softmax.
        clip: the scoring CLIP, never the one used for guidance.
        guiding_clip: the CLIP that guidance uses, to show the gap between the two.
        texture: float (n, q) low-level statistics, see `texture_statistics`.
        accuracy: part of the caption -> float (n,) in 0..1, NaN where the caption claims nothing.
    """

    pool: np.ndarray
    logits: np.ndarray | None = None
    clip: ClipFeatures | None = None
    guiding_clip: ClipFeatures | None = None
    texture: np.ndarray | None = None
    accuracy: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.pool)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Flat, named arrays, as an npz file holds them."""
        arrays = {"pool": self.pool}
        for name in ("logits", "texture"):
            if getattr(self, name) is not None:
                arrays[name] = getattr(self, name)
        for name in ("clip", "guiding_clip"):
            clip = getattr(self, name)
            if clip is not None:
                arrays[f"{name}.images"] = clip.images
                arrays[f"{name}.texts"] = clip.texts
                arrays[f"{name}.logit_scale"] = np.array(clip.logit_scale)
        return arrays | {f"accuracy.{part}": values for part, values in self.accuracy.items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """The features that `to_arrays` named; other names are left alone."""

        def clip(name: str) -> ClipFeatures | None:
            if f"{name}.images" not in arrays:
                return None
            scale = float(arrays[f"{name}.logit_scale"])
            return ClipFeatures(arrays[f"{name}.images"], arrays[f"{name}.texts"], scale)

        prefix = "accuracy."
        accuracy = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
        return cls(
            pool=arrays["pool"],
            logits=arrays.get("logits"),
            clip=clip("clip"),
            guiding_clip=clip("guiding_clip"),
            texture=arrays.get("texture"),
            accuracy=accuracy,
        )

    @classmethod
    def concatenate(cls, batches: Sequence[Self]) -> Self:
        """Batches of one extractor, in order, as one."""
        parts = [batch.to_arrays() for batch in batches]
        return cls.from_arrays(
            {
                name: np.concatenate([p[name] for p in parts]) if value.ndim else value
                for name, value in parts[0].items()
            }
        )


class Extractor(Protocol):
    """Turns images into features, always the same ones for the same images.

    Values of extractors with different fingerprints must never share a column.
    """

    @property
    def name(self) -> str:
        """As in `metrics.csv` and on the command line."""
        ...

    @property
    def fingerprint(self) -> str:
        """Short hex that changes whenever the features could; see `fingerprint`."""
        ...

    @property
    def provides(self) -> frozenset[str]:
        """Which parts of `Features` it fills when captions are given."""
        ...

    def extract(
        self, images: Sequence[np.ndarray], captions: Sequence[str] | None = None
    ) -> Features:
        """Features of a batch.

        Args:
            images: uint8 (h, w, 3) each; sizes may differ.
            captions: one an image; without them the parts that need a caption stay empty.
        """
        ...


def fingerprint(**facts: str | int | None) -> str:
    """Sixteen hex digits of all that decides the features.

    Weights' sha256, resize and crop rule, quantisation and dtype belong among `facts`.
    """
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
