"""The models known by name, and their weights on disk."""

from __future__ import annotations

from .catalogue import Model, ModelFile, fetch_file, find_model, known_models, verify_file
from .hub import fetch_pipeline

__all__ = [
    "Model",
    "ModelFile",
    "fetch_file",
    "fetch_pipeline",
    "find_model",
    "known_models",
    "verify_file",
]
