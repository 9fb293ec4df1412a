"""Inception Score (Salimans et al. 2016): exp of the mean KL(p(y|x) ‖ p(y)).

It depends on the number of splits and on n, so both are stated: one split by default, because with
few images each split's p(y) is fitted to too little.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from scipy.special import log_softmax

from .value import Interval, MetricValue, as_matrix, clustered_se, t_interval, undefined


def inception_score(
    logits: np.ndarray, clusters: Sequence[Hashable] | None = None, splits: int = 1
) -> MetricValue:
    """Inception Score of n images, the mean over consecutive splits.

    An image's influence on log IS is its own KL(p(y|x) ‖ p(y)) less the mean, so the interval is
    that of a mean, on the log scale. It does not cover the bias of a p(y) fitted to n images,
    which is downward, −½ Σ_k var p_k / (n p̄_k) to first order; `note` tells where that matters.

    Args:
        logits: (n, k) class scores before the softmax.
        clusters: (n,) prompt of each image; None means all differ.
        splits: how many parts, in the images' order; each needs an image.

    Raises:
        FeatureError: not finite, or not a matrix.
    """
    scores = as_matrix(logits, "class logits for the Inception Score")
    n, classes = scores.shape
    if splits < 1:
        raise ValueError(f"splits must be at least 1, got {splits}.")
    if n < splits or n == 0:
        return undefined("inception_score", n, f"needs an image a split, has {n} for {splits}")
    log_p = log_softmax(scores, axis=1)
    p = np.exp(log_p)
    parts = [slice(i * n // splits, (i + 1) * n // splits) for i in range(splits)]
    split_scores, influence, bias = np.empty(splits), np.empty(n), 0.0
    for j, part in enumerate(parts):
        divergence, log_bias = _divergences(p[part], log_p[part])
        split_scores[j] = np.exp(divergence.mean())
        weight = split_scores[j] * n / (splits * len(divergence))
        influence[part] = weight * (divergence - divergence.mean())
        bias += split_scores[j] * log_bias / splits
    value = float(split_scores.mean())
    se, groups = clustered_se(influence, clusters)
    log_interval = t_interval(np.log(value), se / value, groups, (0.0, np.log(classes)))
    interval = Interval(
        float(np.exp(log_interval.low)), float(np.exp(log_interval.high)), log_interval.level
    )
    method = f"influence function, log scale, {splits} split{'s' if splits > 1 else ''}"
    note = ""
    if abs(bias) > se / 2:
        note = f"about {-bias:.2g} too low by having only {n} images; compare values of equal n"
    return MetricValue("inception_score", value, interval, n, method, note)


def _divergences(p: np.ndarray, log_p: np.ndarray) -> tuple[np.ndarray, float]:
    """KL of each row from the mean row (n,), and the first-order bias of their mean."""
    marginal = p.mean(axis=0)
    seen = marginal > 0  # a class of probability 0 everywhere adds nothing
    divergence = np.sum(p[:, seen] * (log_p[:, seen] - np.log(marginal[seen])), axis=1)
    bias = -0.5 * float(np.sum(p[:, seen].var(axis=0) / marginal[seen])) / len(p)
    return np.maximum(divergence, 0.0), bias
