"""What a feature extractor promises, and the record it returns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

import numpy as np

from glide_eval.files import some


@dataclass(frozen=True, eq=False)
class ClipFeatures:
    """One CLIP's embeddings of images and their captions.

    Attributes:
        images: float (n, e), unit length.
        texts: float (n, e), unit length: each image's own caption.
        logit_scale: the CLIP's s, not its logarithm.
        cut: bool (n,), captions longer than the CLIP reads, whose ends it never saw; None where
            none can be.
    """

    images: np.ndarray
    texts: np.ndarray
    logit_scale: float
    cut: np.ndarray | None = None

    def cut_note(self, names: Sequence[str]) -> str:
        """Return what to say of a score over captions that were cut; empty if none was.

        Args:
            names: (n,) of the captions, such as prompt ids.
        """
        if self.cut is None or not self.cut.any():
            return ""
        cut = [str(name) for name, cut in zip(names, self.cut, strict=True) if cut]
        whose = [name if len(name) <= 40 else f"{name[:39]}…" for name in dict.fromkeys(cut)]
        return (
            f"this CLIP reads only the beginning of captions as long as those of {some(whose, 3)}"
        )


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
        """Return flat, named arrays, as an npz file holds them."""
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
                if clip.cut is not None:
                    arrays[f"{name}.cut"] = clip.cut
        return arrays | {f"accuracy.{part}": values for part, values in self.accuracy.items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """Return the features that `to_arrays` named; other names are ignored."""

        def clip(name: str) -> ClipFeatures | None:
            if f"{name}.images" not in arrays:
                return None
            scale = float(arrays[f"{name}.logit_scale"])
            images, texts = arrays[f"{name}.images"], arrays[f"{name}.texts"]
            return ClipFeatures(images, texts, scale, arrays.get(f"{name}.cut"))

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

    def take(self, rows: Sequence[int]) -> Self:
        """Return the features of some images, in the order of their rows."""
        arrays = self.to_arrays()
        return type(self).from_arrays({k: v[rows] if v.ndim else v for k, v in arrays.items()})

    @classmethod
    def concatenate(cls, batches: Sequence[Self]) -> Self:
        """Join batches of one extractor, in order."""
        parts = [batch.to_arrays() for batch in batches]
        return cls.from_arrays(
            {
                name: np.concatenate([p[name] for p in parts]) if value.ndim else value
                for name, value in parts[0].items()
            }
        )


class Extractor(Protocol):
    """Turns images into features, always the same ones for the same images.

    It works in two steps, so that a pass over many images can overlap them: `prepare` needs one
    image and runs in any thread, `embed` needs a batch and runs the networks. Classes that derive
    from this one get `extract` and `fingerprint` from the rest.

    Values of extractors with different fingerprints must never share a column.

    Attributes:
        name: as in `metrics.csv` and on the command line.
        provides: what metrics may ask of it when captions are given. `logits`, `clip`,
            `guiding_clip`, `texture` and `accuracy` are parts of `Features`; `pool` says that its
            pool suits any metric of distances between images; `fid`, `fd_dinov2` and `cmmd` that it
            is the network that metric is defined with.
        facts: all that decides the features, in words: the weights' sha256, resize and crop rule,
            quantisation, dtype, and `version`, which counts changes of our own code. Where two
            fingerprints differ, the facts say why.
    """

    name: str
    provides: frozenset[str]
    facts: dict[str, str]

    @property
    def fingerprint(self) -> str:
        """Short hex that changes whenever the features could; see `fingerprint`."""
        return fingerprint(self.facts)

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Return one image as the networks take it: cropped, resized, quantised.

        Safe to call from several threads at once, and touches no network.

        Args:
            image: uint8 (h, w, 3), any size.
        """
        ...

    def embed(
        self, prepared: Sequence[np.ndarray], captions: Sequence[str] | None = None
    ) -> Features:
        """Return the features of a batch.

        Args:
            prepared: what `prepare` made of each image, at least one.
            captions: one an image; without them the parts that need a caption stay empty.
        """
        ...

    def extract(
        self, images: Sequence[np.ndarray], captions: Sequence[str] | None = None
    ) -> Features:
        """Prepare and embed images at once.

        Args:
            images: uint8 (h, w, 3) each, at least one; sizes may differ.
            captions: see `embed`.
        """
        return self.embed([self.prepare(image) for image in images], captions)


def fingerprint(facts: Mapping[str, str]) -> str:
    """Return sixteen hex digits of an extractor's `facts`.

    The version is hashed as a number, so that features saved by older versions stay valid.
    """
    counted = {**facts, "version": int(facts["version"])}
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()[:16]
