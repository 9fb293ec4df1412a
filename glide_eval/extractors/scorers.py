"""CLIPs that choose among images: one small interface, the CLIPs by name, and a fake."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from glide_eval.files import center_crop

from .catalogue import EXTRACTORS
from .protocol import Extractor

Images = NDArray[np.uint8]

TABLETOP_SIZE = 128  # pixels a side that the bundled CLIP was trained on


class CaptionScorer(Protocol):
    """Scores how well each image fits its caption."""

    def fingerprint(self) -> dict[str, str]:
        """SHA-256 of each weights file, by name."""
        ...

    def scores(self, images: Images, captions: Sequence[str]) -> NDArray[np.float64]:
        """Return CLIP scores s · f(image)·g(caption); higher is better.

        Args:
            images: uint8 (n, size, size, 3).
            captions: one an image.

        Returns:
            float64 (n,).
        """
        ...


@dataclass(frozen=True, slots=True)
class NamedClip:
    """An entry of `SCORERS`.

    Attributes:
        load: opens it, with its weights.
        extractor: the one whose `clip_score` it also gives; empty if there is none.
    """

    load: Callable[[], CaptionScorer]
    extractor: str


def load_scorer(name: str) -> CaptionScorer:
    """Load the CLIP of that name in `SCORERS`, with its weights.

    Raises:
        WeightsError: its weights are not on disk or not its own.
        generator.errors.CheckpointError: the same of a bundled one.
    """
    return SCORERS[name].load()


class FakeScorer:
    """Prefers bright images, whatever the caption, for tests and dry runs."""

    def fingerprint(self) -> dict[str, str]:
        """Return a constant that stands for weights."""
        return {"fake-clip": hashlib.sha256(b"fake clip, version 1").hexdigest()}

    def scores(self, images: Images, captions: Sequence[str]) -> NDArray[np.float64]:
        """Mean brightness, 0..255."""
        return images.mean(axis=(1, 2, 3), dtype=np.float64)


class TabletopScorer:
    """The bundled clean CLIP, which knows the tabletop world only and takes no part in guidance."""

    def __init__(self, clip: Any) -> None:
        self._clip = clip

    @classmethod
    def load(cls) -> Self:
        """Load the weights that ship in the packages."""
        from generator.tabletop.evaluator import CleanCLIP

        return cls(CleanCLIP.load())

    def fingerprint(self) -> dict[str, str]:
        """See `CaptionScorer`."""
        return {self._clip.filename: self._clip.fingerprint}

    def scores(self, images: Images, captions: Sequence[str]) -> NDArray[np.float64]:
        """See `CaptionScorer`; images of other sizes are resized."""
        batch = np.stack([center_crop(image, TABLETOP_SIZE) for image in images])
        return _products(
            self._clip.image_embeddings(batch),
            self._clip.text_embeddings(list(captions)),
            float(self._clip.logit_scale),
        )


class OpenClipScorer:
    """The CLIP of one of our extractors, which gives an image the same score as the extractor.

    Args:
        clip: `extractors.clip.OpenClip`, or its like.
    """

    def __init__(self, clip: Extractor) -> None:
        self._clip = clip

    @classmethod
    def load(cls, name: str) -> Self:
        """Load the CLIP of the extractor of that name, from weights on disk.

        Raises:
            WeightsError: they are missing, or of another network.
        """
        from .clip import OpenClip

        return cls(OpenClip.load(name))

    def fingerprint(self) -> dict[str, str]:
        """See `CaptionScorer`."""
        return {self._clip.name: self._clip.facts["weights"]}

    def scores(self, images: Images, captions: Sequence[str]) -> NDArray[np.float64]:
        """See `CaptionScorer`; images are prepared as that CLIP was trained."""
        clip = self._clip.extract(list(images), captions).clip
        assert clip is not None
        return _products(clip.images, clip.texts, clip.logit_scale)


def _products(images: Any, texts: Any, scale: float) -> NDArray[np.float64]:
    """Multiply row by row: the last digits of a matrix product depend on the batch."""
    return scale * np.sum(images.astype(np.float64) * texts.astype(np.float64), axis=1)


SCORERS: dict[str, NamedClip] = {
    EXTRACTORS["tabletop"].scorer: NamedClip(TabletopScorer.load, "tabletop"),
    **{
        record.scorer: NamedClip(partial(OpenClipScorer.load, record.name), record.name)
        for record in EXTRACTORS.values()
        if record.scorer and record.kind == "clip"
    },
    "fake": NamedClip(FakeScorer, "fake"),
}
GUIDING_CLIPS = ("tabletop-noised", "glide-noised")
