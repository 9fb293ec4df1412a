"""The words raters read, from one file a language."""

from __future__ import annotations

import functools
import tomllib
from importlib import resources


@functools.cache
def words(language: str = "en") -> dict[str, dict[str, str]]:
    """Section → key → text, each with its line breaks folded."""
    text = resources.files("study_app").joinpath(f"words/{language}.toml").read_text("utf-8")
    return {
        section: {key: " ".join(value.split()) for key, value in entries.items()}
        for section, entries in tomllib.loads(text).items()
    }
