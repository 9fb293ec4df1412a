"""The bundled evaluator: feature network, scoring CLIP, guiding CLIP and scene reader in one pass.

It knows the tabletop world only. The networks are in `generator.tabletop.evaluator` and are loaded
when needed, so that this module imports without weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from glide_eval.files import center_crop
from glide_eval.metrics import PARTS

from .protocol import ClipFeatures, Extractor, Features
from .texture import texture_statistics

SIZE = 128  # pixels a side that the evaluator was trained on


class TabletopExtractor(Extractor):
    """Adapter of the bundled evaluator to the `Extractor` protocol.

    Args:
        evaluator: `.features(images)` -> (pool (n, d), logits (n, k)) and `.read_scenes(images)`.
        clip: the scoring CLIP: `.image_embeddings`, `.text_embeddings`, `.logit_scale`.
        guiding_clip: the guiding one, of the same form.
        caption_accuracy: (caption, objects read) -> part -> 0..1 or NaN.

    All three models carry `.fingerprint`, the sha256 of their weights file.
    """

    name = "tabletop"
    provides = frozenset({"pool", "fid", "logits", "clip", "guiding_clip", "texture", "accuracy"})

    def __init__(
        self,
        evaluator: Any,
        clip: Any,
        guiding_clip: Any,
        caption_accuracy: Callable[[str, Any], dict[str, float]],
    ) -> None:
        self._evaluator = evaluator
        self._clips = {"clip": clip, "guiding_clip": guiding_clip}
        self._caption_accuracy = caption_accuracy
        self.facts = {
            "extractor": self.name,
            "version": "1",
            "evaluator": _stated(evaluator),
            "clip": _stated(clip),
            "guiding_clip": _stated(guiding_clip),
            "resize": f"center crop, Pillow bicubic to {SIZE}",
            "quantisation": "uint8",
            "dtype": "float32",
        }

    @classmethod
    def load(cls) -> Self:
        """Load the weights that ship in the packages.

        Raises:
            generator.errors.CheckpointError: they are missing or damaged.
        """
        from generator.tabletop import captions, evaluator  # needs torch and weights

        return cls(
            evaluator.Evaluator.load(),
            evaluator.CleanCLIP.load(),
            evaluator.GuidingCLIP.load(),
            captions.caption_accuracy,
        )

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """See `Extractor`: uint8 (128, 128, 3), other sizes centre-cropped and resized."""
        return center_crop(image, SIZE)

    def embed(
        self, prepared: Sequence[np.ndarray], captions: Sequence[str] | None = None
    ) -> Features:
        """See `Extractor`; float32."""
        batch = np.stack(prepared)
        pool, logits = self._evaluator.features(batch)
        texture = texture_statistics(batch)
        if captions is None:
            return Features(pool, logits, texture=texture)
        clips = {name: _clip_features(clip, batch, captions) for name, clip in self._clips.items()}
        scenes = self._evaluator.read_scenes(batch)
        read = [self._caption_accuracy(c, s) for c, s in zip(captions, scenes, strict=True)]
        accuracy = {part: np.array([r[part] for r in read], np.float32) for part in PARTS}
        return Features(pool, logits, clips["clip"], clips["guiding_clip"], texture, accuracy)


def _clip_features(clip: Any, images: np.ndarray, captions: Sequence[str]) -> ClipFeatures:
    return ClipFeatures(
        clip.image_embeddings(images),
        clip.text_embeddings(list(captions)),
        float(clip.logit_scale),
    )


def _stated(model: Any) -> str:
    """Return the digest of its weights file that a bundled model carries."""
    if not model.fingerprint:
        raise ValueError(
            f"{type(model).__name__} does not say which weights it holds: load it from a file, so "
            "that its features can be told from others'."
        )
    return model.fingerprint
