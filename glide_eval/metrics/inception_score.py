"""Inception Score (Salimans et al. 2016): exp of the mean KL(p(y|x) ‖ p(y)).

It depends on the number of splits and on n, so both are stated: one split by default, because with
few images each split's p(y) is fitted to too little.
"""

# SciPy has no type stubs.
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false
from __future__ import annotations

import numpy as np
from jaxtyping import Real
from scipy.special import softmax, xlogy

from .record import Measured, Metric
from .value import (
    Clusters,
    Interval,
    MetricValue,
    as_matrix,
    clustered_se,
    no_interval,
    t_interval,
    undefined,
)

SEED = 0  # of the order in which images are dealt to splits


def inception_score(
    logits: Real[np.ndarray, "n k"],
    clusters: Clusters = None,
    splits: int = 1,
    seed: int | None = None,
) -> MetricValue:
    """Return the Inception Score of n images, the mean over splits of equal size.

    IS = exp(mean_x KL(p(y|x) ‖ p(y))), p(y) = mean_x p(y|x) (Salimans et al. 2016, section 4).

    An image's influence on log IS is its own KL(p(y|x) ‖ p(y)) less the mean, so the interval is
    that of a mean, on the log scale. It does not cover the bias of a p(y) fitted to n images,
    which is downward; where the jackknife finds it to matter, `note` tells how much it is.

    Args:
        logits: (n, k) class scores before the softmax.
        clusters: (n,) prompt of each image; None means all differ.
        splits: how many parts; each needs an image.
        seed: of the order in which images are dealt to the splits; None takes them as they come,
            which makes splits of sorted images alike.

    Raises:
        FeatureError: not finite, or not a matrix.
        ValueError: `splits` is below 1.

    Examples:
        >>> sure_of_one_of_three = 100 * np.eye(3)
        >>> round(inception_score(sure_of_one_of_three).value, 6)
        3.0
    """
    scores = as_matrix(logits, "class logits for the Inception Score")
    n, classes = scores.shape
    if splits < 1:
        raise ValueError(f"splits must be at least 1, got {splits}.")
    if n < splits or n == 0:
        return undefined("inception_score", n, f"needs an image a split, has {n} for {splits}")
    p = softmax(scores, axis=1)
    order = np.arange(n) if seed is None else np.random.default_rng(seed).permutation(n)
    parts = [slice(i * n // splits, (i + 1) * n // splits) for i in range(splits)]
    split_scores, influence, bias = np.empty(splits), np.empty(n), 0.0
    for j, span in enumerate(parts):
        part = order[span]
        divergence, split_bias = _divergences(p[part])
        split_scores[j] = np.exp(divergence.mean())
        weight = split_scores[j] * n / (splits * len(divergence))
        influence[part] = weight * (divergence - divergence.mean())
        bias += split_bias / splits
    value = float(split_scores.mean())
    se, groups = clustered_se(influence, clusters)
    log_interval = t_interval(np.log(value), se / value, groups, (0.0, np.log(classes)))
    interval = Interval(
        float(np.exp(log_interval.low)), float(np.exp(log_interval.high)), log_interval.level
    )
    method = f"influence function, log scale, {splits} split{'s' if splits > 1 else ''}"
    note = no_interval(se, groups)
    if not note and abs(bias) > se / 2:
        note = f"about {-bias:.2g} too low by having only {n} images; compare values of equal n"
    return MetricValue("inception_score", value, interval, n, method, note, influence)


def _divergences(p: np.ndarray) -> tuple[np.ndarray, float]:
    """KL of each row from the mean row (n,), and the jackknife's bias of exp of their mean."""
    n, marginal = len(p), p.mean(axis=0)
    negative_entropy = np.sum(xlogy(p, p), axis=1)  # a class of probability 0 adds nothing
    divergence = negative_entropy - np.sum(xlogy(p, marginal), axis=1)
    divergence = np.maximum(divergence, 0.0)
    if n < 2:
        return divergence, 0.0
    others = np.maximum((n * marginal - p) / (n - 1), 0.0)  # p(y) without each image
    mean_others = (negative_entropy.sum() - negative_entropy) / (n - 1)
    left_out = np.exp(mean_others - np.sum(xlogy(others, others), axis=1))
    return divergence, float((n - 1) * (left_out.mean() - np.exp(divergence.mean())))


def _of_arm(arm: Measured, _: None) -> MetricValue:
    if arm.features.logits is None:
        raise ValueError("The Inception Score needs class logits, and the extractor gave none.")
    return inception_score(
        arm.features.logits, arm.prompts, arm.is_splits, SEED if arm.is_splits > 1 else None
    )


METRICS = (
    Metric(
        "inception_score", "Inception Score", "higher", 2, needs="logits", place=60, drawn=True,
        biased_by_n=True, value=_of_arm,
    ),
)  # fmt: skip
