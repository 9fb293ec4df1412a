"""R-precision with CLIP (Park et al. 2021): does an image find its own caption among a hundred?

As in AttnGAN (Xu et al. 2018), whose 99 other captions are drawn at random from those of other
images, with CLIP as the retriever. Ours are the run's own captions, drawn once for each prompt from
a fixed seed, so arms of one run face the same ones; captions that say the same are no distractors.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Float64, Real

from .record import Measured, Metric
from .value import (
    Clusters,
    MetricValue,
    as_unit_rows,
    cluster_numbers,
    clustered_se,
    no_interval,
    share_interval,
    undefined,
)

DISTRACTORS = 99
SEED = 2018
SAME_CAPTION = 1 - 1e-5  # cosine from which two captions are one, give or take rounding


def r_precisions(
    images: Real[np.ndarray, "n e"], texts: Real[np.ndarray, "n e"], prompts: Sequence[Hashable]
) -> Float64[np.ndarray, " n"] | None:
    """Return whether each image's own caption ranks first: float64 (n,) of 0 and 1.

    An image f scores 1 where f·g(own) > f·g(other) for all 99 others (R-precision with R = 1:
    Xu et al. 2018).

    Args:
        images: (n, e) embeddings of unit length.
        texts: (n, e) embeddings of their captions, of unit length.
        prompts: (n,) prompt of each image; one caption per prompt.

    Returns:
        None where some prompt has fewer than 99 other captions to be told from.

    Raises:
        FeatureError: not finite, or not of unit length.

    Examples:
        >>> captions = np.eye(100)
        >>> float(r_precisions(captions, captions, range(100)).mean())  # each image is its caption
        1.0
    """
    f = as_unit_rows(images, "image embeddings for R-precision")
    numbers = cluster_numbers(len(f), prompts)
    _, first = np.unique(numbers, return_index=True)
    captions = as_unit_rows(texts, "caption embeddings for R-precision")[first]
    distractors = _distractors(captions)
    if distractors is None:
        return None
    found = np.empty(len(f))
    own = np.sum(f * captions[numbers], axis=1)
    for i, image in enumerate(f):
        found[i] = own[i] > (captions[distractors[numbers[i]]] @ image).max()
    return found


def r_precision(
    scores: Real[np.ndarray, " n"] | None, n: int, clusters: Clusters = None
) -> MetricValue:
    """Return the share of `r_precisions` that are 1, with Wilson's interval clustered by prompt.

    Args:
        scores: (n,) of `r_precisions`, or None.
        n: images.
        clusters: (n,) prompt of each image; None means all differ.

    Examples:
        >>> r_precision(np.array([1.0, 0, 1, 1]), 4).value
        0.75
    """
    if scores is None or not n:
        reason = f"needs {DISTRACTORS + 1} different captions, each image's own and the others'"
        return undefined("r_precision", n, reason)
    se, groups = clustered_se(scores, clusters)
    value = float(scores.mean())
    interval = share_interval(value, se, groups)
    method, note = "Wilson score, clustered by prompt", no_interval(1.0, groups)
    return MetricValue("r_precision", value, interval, n, method, note, scores - value)


def _distractors(captions: np.ndarray) -> np.ndarray | None:
    """Return which 99 others each of (p, e) captions is told from: int (p, 99)."""
    count = len(captions)
    drawn = np.empty((count, DISTRACTORS), dtype=np.intp)
    for i, caption in enumerate(captions):
        # One stream per prompt: candidates that one prompt refuses don't move the next one's draws.
        rng = np.random.default_rng([SEED, i])
        for candidates in (min(count, 2 * DISTRACTORS), count):  # usually the few suffice
            others = rng.choice(count, candidates, replace=False)
            others = others[captions[others] @ caption < SAME_CAPTION][:DISTRACTORS]
            if len(others) == DISTRACTORS:
                break
        else:
            return None
        drawn[i] = others
    return drawn


def _scores(arm: Measured) -> np.ndarray | None:
    clip = arm.features.clip
    return r_precisions(clip.images, clip.texts, arm.prompts) if clip else None


METRICS = (
    Metric(
        "r_precision", "R-precision", "higher", 3, needs="clip", place=140, scores=_scores,
        value=lambda arm, scores: r_precision(scores, len(arm.features), arm.prompts),
    ),
)  # fmt: skip
