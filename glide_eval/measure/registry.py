"""Every metric by name: what it needs, its value for each image, and its value for an arm."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from glide_eval.extractors import Features
from glide_eval.metrics import (
    PARTS,
    MetricValue,
    Neighbourhoods,
    accuracy,
    clip_score,
    clip_scores,
    cmmd,
    coverage,
    density,
    fid,
    fid_infinity,
    image_quality,
    inception_score,
    kid,
    precision,
    r_precision,
    r_precisions,
    recall,
    undefined,
    vendi,
)
from glide_eval.references import Reference


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

    @cached_property
    def fid(self) -> MetricValue:
        """For FID and FID∞."""
        return fid(self.features.pool, _known(self).moments, self.prompts)

    @cached_property
    def neighbourhoods(self) -> Neighbourhoods:
        """For precision, recall, density and coverage."""
        return Neighbourhoods.of(self.features.pool, _known(self).manifold, self.prompts)


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
    scores: Callable[[Measured], np.ndarray | None] | None = None
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


def _fid_infinity(arm: Measured, _: None) -> MetricValue:
    return fid_infinity(arm.features.pool, _known(arm).moments, arm.prompts, arm.fid)


def _pooled(name: str, value: Callable[[Measured], MetricValue], least: int = 2) -> Metric:
    """A metric that needs the features of at least so many real images, not their moments alone."""

    def checked(arm: Measured, _: None) -> MetricValue:
        reason = _too_small(_known(arm), least)
        return undefined(name, len(arm.features), reason) if reason else value(arm)

    return Metric(name, "cmmd" if name == "cmmd" else "pool", True, None, checked)


def _kid(arm: Measured) -> MetricValue:
    reference = _known(arm)
    return kid(arm.features.pool, reference.pool_for("KID"), arm.prompts, reference.kid_term)


def _cmmd(arm: Measured) -> MetricValue:
    reference = _known(arm)
    return cmmd(arm.features.pool, reference.pool_for("CMMD"), arm.prompts, reference.cmmd_term)


def _quality(arm: Measured) -> np.ndarray:
    reference = _known(arm)
    if _too_small(reference) or arm.features.texture is None:
        return np.full(len(arm.features), np.nan)
    return image_quality(
        arm.features.pool, arm.features.texture, reference.manifold, reference.texture_scale
    )


def _too_small(reference: Reference, least: int = 4) -> str:
    """Why the reference can't serve; empty where it can."""
    if reference.pool is None:
        return f"{reference.source} gives moments only, and this needs each real image's features"
    count = len(reference.pool)
    return "" if count >= least else f"the reference has {count} images, needs at least {least}"


def _captioned(
    name: str,
    needs: str,
    scores: Callable[[Measured], np.ndarray | None],
    value: Callable[[Any, Measured], MetricValue],
) -> Metric:
    """A metric of images and captions, undefined where the images came without."""

    def scored(arm: Measured) -> np.ndarray | None:
        return scores(arm) if getattr(arm.features, needs) else None

    def checked(arm: Measured, found: np.ndarray | None) -> MetricValue:
        if not getattr(arm.features, needs):
            return undefined(name, len(arm.features), "needs captions, and the images have none")
        return value(found, arm)

    return Metric(name, needs, False, scored, checked)


def _clip(name: str, part: str) -> Metric:
    def scores(arm: Measured) -> np.ndarray:
        clip = getattr(arm.features, part)
        return clip_scores(clip.images, clip.texts, clip.logit_scale)

    def value(found: np.ndarray, arm: Measured) -> MetricValue:
        score = clip_score(found, arm.prompts, name)
        cut = getattr(arm.features, part).cut_note(arm.prompts)
        return dataclasses.replace(score, note="; ".join(filter(None, (score.note, cut))))

    return _captioned(name, part, scores, value)


def _accuracy(part: str) -> Metric:
    return _captioned(
        f"{part}_accuracy",
        "accuracy",
        lambda arm: np.asarray(arm.features.accuracy[part], dtype=np.float64),
        lambda found, arm: accuracy(found, part, arm.prompts),
    )


def _r_precisions(arm: Measured) -> np.ndarray | None:
    clip = arm.features.clip
    return r_precisions(clip.images, clip.texts, arm.prompts) if clip else None


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("fid", "fid", True, None, lambda arm, _: arm.fid),
        Metric("fid_infinity", "fid", True, None, _fid_infinity),
        Metric(
            "fd_dinov2", "fd_dinov2", True, None,
            lambda arm, _: dataclasses.replace(arm.fid, metric="fd_dinov2"),
        ),
        _pooled("kid", _kid),
        _pooled("cmmd", _cmmd),
        Metric(
            "inception_score", "logits", False, None,
            lambda arm, _: inception_score(_logits(arm), arm.prompts),
        ),
        _pooled("precision", lambda arm: precision(arm.neighbourhoods), least=4),
        _pooled("recall", lambda arm: recall(arm.neighbourhoods), least=4),
        _pooled("density", lambda arm: density(arm.neighbourhoods), least=4),
        _pooled("coverage", lambda arm: coverage(arm.neighbourhoods), least=4),
        Metric("vendi", "pool", False, None, lambda arm, _: vendi(arm.features.pool, arm.prompts)),
        _clip("clip_score", "clip"),
        _clip("guiding_clip_score", "guiding_clip"),
        _captioned(
            "r_precision", "clip", _r_precisions,
            lambda found, arm: r_precision(found, len(arm.features), arm.prompts),
        ),
        *(_accuracy(part) for part in PARTS),
        Metric("image_quality", "texture", True, _quality),
    )
}  # fmt: skip
