"""The words that raters read, one file per language."""

from __future__ import annotations

import functools
import tomllib
from importlib import resources

from study_app.errors import StudyUsageError

Words = dict[str, dict[str, str]]


def languages() -> list[str]:
    """Return the languages with a file of words: ISO 639 codes, sorted."""
    folder = resources.files("study_app.views").joinpath("languages")
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    )


@functools.cache
def words(language: str = "en") -> Words:
    """Return section → key → text, with line breaks folded.

    Raises:
        StudyUsageError: there is no file for this language.
    """
    if language not in languages():
        raise StudyUsageError(
            f"There are no words in the language {language!r}; expected one of "
            f"{', '.join(languages())}. Another language is one more file in "
            "study_app/views/languages/."
        )
    file = resources.files("study_app.views").joinpath(f"languages/{language}.toml")
    return {
        section: {key: " ".join(value.split()) for key, value in entries.items()}
        for section, entries in tomllib.loads(file.read_text("utf-8")).items()
    }
