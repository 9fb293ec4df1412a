"""CLIP score as GLIDE defines it (Nichol et al. 2021, section 4): E[s · f(image)·g(caption)].

f and g are CLIP's unit-length embeddings and s its logit scale (100 in the released models). It is
not torchmetrics' CLIPScore, which takes max(100·cos, 0).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float64, Real

from glide_eval.errors import FeatureError

from .record import ClipPart, Measured, Metric, Parts
from .value import (
    Clusters,
    MetricValue,
    as_unit_rows,
    clustered_se,
    no_interval,
    t_interval,
    undefined,
)


def clip_scores(
    images: Real[np.ndarray, "n e"], texts: Real[np.ndarray, "_ _"], logit_scale: float
) -> Float64[np.ndarray, " n"]:
    """Return each image's score against its own caption, s · f(image)·g(caption).

    Args:
        images: (n, e) embeddings of unit length.
        texts: (n, e) embeddings of the captions, in the images' order, of unit length.
        logit_scale: CLIP's s, not its logarithm.

    Returns:
        float64 (n,).

    Raises:
        FeatureError: not finite, of different shapes, or not of unit length.

    Examples:
        >>> clip_scores(np.eye(2), np.array([[1.0, 0], [0.6, 0.8]]), logit_scale=100.0)
        array([100.,  80.])
    """
    f = as_unit_rows(images, "image embeddings for the CLIP score")
    g = as_unit_rows(texts, "caption embeddings for the CLIP score")
    if f.shape != g.shape:
        raise FeatureError(
            f"{f.shape[0]} image embeddings of {f.shape[1]} dimensions don't pair with "
            f"{g.shape[0]} caption embeddings of {g.shape[1]}: expected one caption for each "
            "image, from the same CLIP."
        )
    return logit_scale * np.sum(f * g, axis=1)


def clip_score(
    scores: Real[np.ndarray, " n"],
    clusters: Clusters = None,
    metric: str = "clip_score",
) -> MetricValue:
    """Return the mean of `clip_scores`, with a standard error clustered by prompt.

    Args:
        scores: (n,) of `clip_scores`.
        clusters: (n,) prompt of each image; None means all differ.
        metric: the value's name; the guiding CLIP's own score has another.

    Examples:
        >>> found = clip_score(np.array([24.0, 26.0, 25.0]))
        >>> found.value, round(found.interval.low, 1), round(found.interval.high, 1)
        (25.0, 22.5, 27.5)
    """
    n = len(scores)
    if n == 0:
        return undefined(metric, n, "needs at least one image")
    se, groups = clustered_se(scores, clusters)
    value = float(np.mean(scores))
    interval = t_interval(value, se, groups)
    method, note = "standard error clustered by prompt", no_interval(se, groups)
    return MetricValue(metric, value, interval, n, method, note, scores - value)


def _record(name: str, label: str, place: int, part: Callable[[Parts], ClipPart | None]) -> Metric:
    """Return a CLIP score by one of the CLIPs of an extractor."""

    def clip_of(arm: Measured) -> ClipPart:
        clip = part(arm.features)
        assert clip is not None  # `Metric.why_not` asked
        return clip

    def scores(arm: Measured) -> np.ndarray:
        clip = clip_of(arm)
        return clip_scores(clip.images, clip.texts, clip.logit_scale)

    def value(arm: Measured, found: np.ndarray) -> MetricValue:
        score = clip_score(found, arm.prompts, name)
        notes = (score.note, clip_of(arm).cut_note(arm.prompts))
        return dataclasses.replace(score, note="; ".join(filter(None, notes)))

    needs = name.removesuffix("_score")
    return Metric(
        name, label, "higher", 2, needs=needs, place=place, drawn=True, scores=scores, value=value
    )


METRICS = (
    _record("clip_score", "CLIP score", 120, lambda features: features.clip),
    _record(
        "guiding_clip_score", "Guiding CLIP's score", 130, lambda features: features.guiding_clip
    ),
)
