"""One pass over images for all extractors, and the cache of what it gave."""

from __future__ import annotations

from .of_folder import ADVICE, SQUARE, FolderFeatures, folder_features, reader
from .of_run import extract_run, images_digest, samples_by_arm, size_in_words
from .on_ray import look_on_ray
from .one_pass import Picture, Unreadable, extract, read_picture

__all__ = [
    "ADVICE",
    "SQUARE",
    "FolderFeatures",
    "Picture",
    "Unreadable",
    "extract",
    "extract_run",
    "folder_features",
    "images_digest",
    "look_on_ray",
    "read_picture",
    "reader",
    "samples_by_arm",
    "size_in_words",
]
