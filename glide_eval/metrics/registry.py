"""Every metric by name: what it needs, its value for each image, and its value for an arm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glide_eval.extractors import Features
from glide_eval.reference import Reference

from .caption_accuracy import PARTS, accuracy
from .clip_score import clip_score, clip_scores
from .fid import fid
from .image_quality import image_quality
from .inception_score import inception_score
from .precision_recall import precision, recall
from .value import MetricValue, undefined


@dataclass(frozen=True, eq=False)
class Measured:
    """One arm as one extractor saw it.

    Attributes:
        features: of its images.
        prompts: (n,) prompt id of each image, the clusters of every interval.
        reference: the real images; None if no chosen metric needs them.
    """

    features: Features
    prompts: Sequence[str]
    reference: Reference | None


@dataclass(frozen=True)
class Metric:
    """How one metric is computed.

    Attributes:
        name: as in `metrics.csv` and `scores.csv`.
        needs: the part of `Features` it is computed from.
        needs_reference: whether it compares with real images.
        scores: its value for each image (n,), if it has one.
        value: its value for the arm, given the scores, if it has one.
    """

    name: str
    needs: str
    needs_reference: bool = False
    scores: Callable[[Measured], np.ndarray] | None = None
    value: Callable[[Measured, Any], MetricValue] | None = None


def evaluate(metric: Metric, arm: Measured) -> tuple[MetricValue | None, np.ndarray | None]:
    """A metric's value for an arm and for each of its images, where it has them.

    Raises:
        FeatureError: features that are not finite, or don't fit the reference.
    """
    scores = metric.scores(arm) if metric.scores else None
    return metric.value(arm, scores) if metric.value else None, scores


def _known(arm: Measured) -> Reference:
    if arm.reference is None:
        raise ValueError("This metric compares with real images: give a reference.")
    return arm.reference


def _logits(arm: Measured) -> np.ndarray:
    if arm.features.logits is None:
        raise ValueError("The Inception Score needs class logits, and the extractor gave none.")
    return arm.features.logits


def _precision(arm: Measured, _: None) -> MetricValue:
    reference = _known(arm)
    if reason := _too_small(reference):
        return undefined("precision", len(arm.features), reason)
    return precision(arm.features.pool, reference.manifold, arm.prompts)


def _quality(arm: Measured) -> np.ndarray:
    reference = _known(arm)
    if _too_small(reference) or arm.features.texture is None:
        return np.full(len(arm.features), np.nan)
    return image_quality(
        arm.features.pool, arm.features.texture, reference.manifold, reference.texture_scale
    )


def _too_small(reference: Reference, k: int = 3) -> str:
    count = len(reference.pool)
    return "" if count > k else f"the reference has {count} images, needs more than k = {k}"


def _clip(name: str, part: str) -> Metric:
    def scores(arm: Measured) -> np.ndarray:
        clip = getattr(arm.features, part)
        return clip_scores(clip.images, clip.texts, clip.logit_scale)

    def value(arm: Measured, scores: np.ndarray) -> MetricValue:
        score = clip_score(scores, arm.prompts, name)
        cut = getattr(arm.features, part).cut_note(arm.prompts)
        return replace(score, note="; ".join(note for note in (score.note, cut) if note))

    return Metric(name, part, False, scores, value)


def _accuracy(part: str) -> Metric:
    return Metric(
        f"{part}_accuracy",
        "accuracy",
        scores=lambda arm: np.asarray(arm.features.accuracy[part], dtype=np.float64),
        value=lambda arm, scores: accuracy(scores, part, arm.prompts),
    )


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "fid", "pool", True, None,
            lambda arm, _: fid(arm.features.pool, _known(arm).moments, arm.prompts),
        ),
        Metric(
            "inception_score", "logits", False, None,
            lambda arm, _: inception_score(_logits(arm), arm.prompts),
        ),
        Metric("precision", "pool", True, None, _precision),
        Metric(
            "recall", "pool", True, None,
            lambda arm, _: recall(arm.features.pool, _known(arm).pool, arm.prompts),
        ),
        _clip("clip_score", "clip"),
        _clip("guiding_clip_score", "guiding_clip"),
        *(_accuracy(part) for part in PARTS),
        Metric("image_quality", "texture", True, _quality),
    )
}  # fmt: skip
