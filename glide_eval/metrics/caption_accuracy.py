"""Caption accuracy: the share of what captions say that the scene reader finds in the pictures.

The scene reader lists the objects it sees; the caption's claims (each object with its shape and
colour, the colours alone, the count, the relation, everything together) are then right or wrong. A
claim that a caption does not make is NaN and left out of that part's n.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Real

from glide_eval.errors import FeatureError

from .record import Metric
from .value import Clusters, MetricValue, clustered_se, no_interval, share_interval, undefined


def accuracy(
    values: Real[np.ndarray, " n"],
    part: str = "caption",
    clusters: Clusters = None,
) -> MetricValue:
    """Return the mean over the images whose caption claims this, with Wilson's interval.

    Accuracy = Σ_i right_i / n over the n images with the claim (`value.share_interval`).

    Args:
        values: (n,) in 0..1, NaN where the caption claims nothing of the kind.
        part: one of `PARTS`, the metric's name being `<part>_accuracy`.
        clusters: (n,) prompt of each image; None means all differ.

    Raises:
        FeatureError: a value lies outside 0..1.

    Examples:
        >>> found = accuracy(np.array([1.0, 0.5, np.nan, 1.0]), "color")
        >>> found.metric, round(found.value, 3), found.n
        ('color_accuracy', 0.833, 3)
    """
    metric = f"{part}_accuracy"
    values = np.asarray(values, dtype=np.float64)
    claimed = ~np.isnan(values)
    known = values[claimed]
    if ((known < 0) | (known > 1)).any():
        wrong = known[(known < 0) | (known > 1)][0]
        raise FeatureError(f"{metric} of an image is {wrong:.4g}: expected 0..1 or NaN.")
    if not len(known):
        kind = (
            "is of the tabletop grammar"
            if part == "caption"
            else f"names {_A.get(part, 'a')} {part}"
        )
        return undefined(metric, 0, f"none of the {len(values)} captions {kind}")
    chosen = None
    if clusters is not None:
        chosen = [c for c, keep in zip(clusters, claimed, strict=True) if keep]
    se, groups = clustered_se(known, chosen)
    mean = float(np.mean(known))
    note = no_interval(1.0, groups)  # Wilson's interval bears a zero error
    method = "Wilson score, clustered by prompt"
    # A ratio of sums: images without the claim have no influence, the others that much more.
    influence = np.where(claimed, values - mean, 0.0) * (len(values) / len(known))
    interval = share_interval(mean, se, groups)
    return MetricValue(metric, mean, interval, len(known), method, note, influence)


_A = {"object": "an", "attribute": "an"}


def _record(part: str, label: str, place: int, drawn: bool = False) -> Metric:
    return Metric(
        f"{part}_accuracy", label, "higher", 3, needs="accuracy", place=place, drawn=drawn,
        scores=lambda arm: np.asarray(arm.features.accuracy[part], dtype=np.float64),
        value=lambda arm, scores: accuracy(scores, part, arm.prompts),
    )  # fmt: skip


METRICS = (
    _record("caption", "Caption accuracy", 150, drawn=True),
    _record("object", "Object accuracy", 160),
    _record("color", "Colour accuracy", 170),
    _record("count", "Count accuracy", 180),
    _record("relation", "Relation accuracy", 190),
)
PARTS = tuple(metric.name.removesuffix("_accuracy") for metric in METRICS)
