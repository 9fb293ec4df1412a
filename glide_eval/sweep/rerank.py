"""Reranking: of several candidate images for a caption, the one that a CLIP scores highest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glide_eval.errors import FeatureError
from glide_eval.extractors import CaptionScorer, Images

DIGITS = 5  # of a score


@dataclass(frozen=True, eq=False)
class Ranked:
    """The best of the candidates.

    Attributes:
        images: uint8 (n, size, size, 3): the winner of each sample.
        chosen: (n,) its number; of equals the first.
        scores: float64 (n, candidates); (n, 0) where there was no choice.
    """

    images: Images
    chosen: NDArray[np.int64]
    scores: NDArray[np.float64]

    @classmethod
    def unrivalled(cls, images: Images) -> Ranked:
        """Return images that had no rivals."""
        return cls(images, np.zeros(len(images), np.int64), np.empty((len(images), 0)))


def best_of(candidates: Iterable[Images], captions: Sequence[str], scorer: CaptionScorer) -> Ranked:
    """Keep each sample's candidate with the highest score.

    Scores are rounded first, so that those a record shows are those that decided.

    Args:
        candidates: batches uint8 (n, size, size, 3), candidate 0 of every sample first; only two
            are in memory at once.
        captions: one a sample.
        scorer: who chooses.

    Raises:
        FeatureError: a score is not finite.
    """
    images: Images | None = None
    rows: list[NDArray[np.float64]] = []
    chosen = np.zeros(len(captions), np.int64)
    for number, batch in enumerate(candidates):
        scores = np.round(np.asarray(scorer.scores(batch, captions), np.float64), DIGITS)
        if scores.shape != (len(captions),) or not np.isfinite(scores).all():
            raise FeatureError(
                f"{type(scorer).__name__} scored candidate {number} of {len(captions)} samples as "
                f"{scores}: expected one finite number each. Its weights or precision are at fault."
            )
        if images is None:
            images = batch.copy()
        else:
            better = scores > np.max(rows, axis=0)
            images[better] = batch[better]
            chosen[better] = number
        rows.append(scores)
    if images is None:
        raise ValueError("Reranking needs at least one candidate.")
    return Ranked(images, chosen, np.stack(rows, axis=1))
