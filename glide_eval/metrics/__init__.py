"""Metrics: pure functions from features to a value with its interval, one file each."""

from __future__ import annotations

from .caption_accuracy import PARTS, accuracy
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
from .value import MetricValue, as_matrix, nonfinite_rows, undefined
from .vendi import vendi

__all__ = [
    "PARTS",
    "Manifold",
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
