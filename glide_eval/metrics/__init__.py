"""Metrics: pure functions from features to a value with its interval, one file each.

`METRICS` is the catalogue. A file of this folder that lists records in its own `METRICS` is in it.
"""

from __future__ import annotations

from .caption_accuracy import PARTS, accuracy
from .catalogue import collected
from .clip_score import clip_score, clip_scores
from .cmmd import cmmd, cmmd_reference_term
from .difference import Observed, differences
from .fid import Moments, fid, fid_infinity
from .image_quality import Texture, image_quality
from .inception_score import inception_score
from .kid import kid, kid_reference_term
from .neighbours import Manifold
from .precision_recall import Neighbourhoods, coverage, density, precision, recall
from .r_precision import r_precision, r_precisions
from .record import Measured, Metric, evaluate
from .value import MetricValue, as_matrix, nonfinite_rows, undefined
from .vendi import vendi

METRICS = collected(__name__, __path__)

__all__ = [
    "METRICS",
    "PARTS",
    "Manifold",
    "Measured",
    "Metric",
    "MetricValue",
    "Moments",
    "Neighbourhoods",
    "Observed",
    "Texture",
    "accuracy",
    "as_matrix",
    "clip_score",
    "clip_scores",
    "cmmd",
    "cmmd_reference_term",
    "coverage",
    "density",
    "differences",
    "evaluate",
    "fid",
    "fid_infinity",
    "image_quality",
    "inception_score",
    "kid",
    "kid_reference_term",
    "nonfinite_rows",
    "precision",
    "r_precision",
    "r_precisions",
    "recall",
    "undefined",
    "vendi",
]
