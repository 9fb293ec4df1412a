"""Networks that turn images into features, behind one protocol; loading one first imports torch."""

from __future__ import annotations

from .cache import cache_key, load_features, save_features
from .comparable import difference_in_words
from .fake import FakeExtractor
from .load import FORMS, NAMES, load_extractor
from .protocol import ClipFeatures, Extractor, Features, fingerprint
from .published import CLIP_WEIGHTS, DINOV2, INCEPTION, PublishedFile
from .scorers import GUIDING_CLIPS, SCORERS, CaptionScorer, Images, load_scorer

__all__ = [
    "CLIP_WEIGHTS",
    "DINOV2",
    "FORMS",
    "GUIDING_CLIPS",
    "INCEPTION",
    "NAMES",
    "SCORERS",
    "CaptionScorer",
    "ClipFeatures",
    "Extractor",
    "FakeExtractor",
    "Features",
    "Images",
    "PublishedFile",
    "cache_key",
    "difference_in_words",
    "fingerprint",
    "load_extractor",
    "load_features",
    "load_scorer",
    "save_features",
]
