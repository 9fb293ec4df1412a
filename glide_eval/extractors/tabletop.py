"""The bundled evaluator: feature network, scoring CLIP, guiding CLIP and scene reader in one pass.

It knows the tabletop world only. The networks live in `generator.tabletop.evaluator`, loaded when
asked for, so that this module imports without weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from glide_eval.images import center_crop
from glide_eval.metrics.caption_accuracy import PARTS

from .protocol import ClipFeatures, Features, fingerprint

SIZE = 128  # pixels a side that the evaluator was trained on


class TabletopExtractor:
    """Adapter of the bundled evaluator to the `Extractor` protocol.

    Args:
        evaluator: `.features(images)` -> (pool (n, d), logits (n, k)) and `.read_scenes(images)`.
        clip: the scoring CLIP: `.image_embeddings`, `.text_embeddings`, `.logit_scale`.
        guiding_clip: the guiding one, of the same form.
        caption_accuracy: (caption, objects read) -> part -> 0..1 or NaN.
    """

    name = "tabletop"
    provides = frozenset({"pool", "logits", "clip", "guiding_clip", "accuracy"})

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
        self.fingerprint = fingerprint(
            extractor=self.name,
            version=1,
            evaluator=_weights_sha256(evaluator),
            clip=_weights_sha256(clip),
            guiding_clip=_weights_sha256(guiding_clip),
            resize=f"center crop, Pillow bicubic to {SIZE}",
            quantisation="uint8",
            dtype="float32",
        )

    @classmethod
    def load(cls) -> Self:
        """With the weights that ship in the packages.

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

    def extract(
        self, images: Sequence[np.ndarray], captions: Sequence[str] | None = None
    ) -> Features:
        """See `Extractor.extract`; float32, images of other sizes centre-cropped and resized."""
        batch = np.stack([center_crop(image, SIZE) for image in images])
        pool, logits = self._evaluator.features(batch)
        if captions is None:
            return Features(pool, logits)
        clips = {name: _clip_features(clip, batch, captions) for name, clip in self._clips.items()}
        scenes = self._evaluator.read_scenes(batch)
        read = [self._caption_accuracy(c, s) for c, s in zip(captions, scenes, strict=True)]
        accuracy = {part: np.array([r[part] for r in read], np.float32) for part in PARTS}
        return Features(pool, logits, clips["clip"], clips["guiding_clip"], accuracy)


def _clip_features(clip: Any, images: np.ndarray, captions: Sequence[str]) -> ClipFeatures:
    return ClipFeatures(
        clip.image_embeddings(images),
        clip.text_embeddings(list(captions)),
        float(clip.logit_scale),
    )


def _weights_sha256(model: Any) -> str:
    """Hex digest of a model's weights: as it states it (`sha256`), else of its state dict."""
    stated = getattr(model, "sha256", None)
    if isinstance(stated, str):
        return stated
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.detach().cpu().float().numpy()).tobytes())
    return digest.hexdigest()
