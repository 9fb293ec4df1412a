"""Networks that turn images into features, behind one protocol; only loading imports torch."""

from __future__ import annotations

from .cache import KeptFeatures, cache_key, load_features, row_key, save_features
from .catalogue import EXTRACTORS, ExtractorRecord, published_files
from .comparable import difference_in_words
from .fake import FakeExtractor
from .load import FORMS, NAMES, load_extractor
from .protocol import ClipFeatures, Extractor, Features, fingerprint
from .published import PublishedFile
from .scorers import GUIDING_CLIPS, SCORERS, CaptionScorer, Images, load_scorer

__all__ = [
    "EXTRACTORS",
    "FORMS",
    "GUIDING_CLIPS",
    "NAMES",
    "SCORERS",
    "CaptionScorer",
    "ClipFeatures",
    "Extractor",
    "ExtractorRecord",
    "FakeExtractor",
    "Features",
    "Images",
    "KeptFeatures",
    "PublishedFile",
    "cache_key",
    "difference_in_words",
    "fingerprint",
    "load_extractor",
    "load_features",
    "load_scorer",
    "published_files",
    "row_key",
    "save_features",
]
