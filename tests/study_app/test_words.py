"""What raters read, in every language."""

from __future__ import annotations

import string

import pytest

from study_app.errors import StudyUsageError
from study_app.views.words import languages, words


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_english_is_there_and_one_more():
    assert "en" in languages()
    assert len(languages()) >= 2


@pytest.mark.parametrize("language", languages())
def test_every_language_says_everything_with_the_same_blanks(language):
    english, other = words("en"), words(language)
    assert {section: set(texts) for section, texts in other.items()} == {
        section: set(texts) for section, texts in english.items()
    }
    for section, texts in english.items():
        for key, text in texts.items():
            assert other[section][key], f"[{section}] {key} is empty"
            assert fields(other[section][key]) == fields(text), f"[{section}] {key}"


@pytest.mark.parametrize("language", [one for one in languages() if one != "en"])
def test_a_translation_is_one(language):
    same = [
        (section, key)
        for section, texts in words("en").items()
        for key, text in texts.items()
        if words(language)[section][key] == text
    ]
    assert not same


def test_an_unknown_language_names_those_there_are():
    with pytest.raises(StudyUsageError, match="expected one of de, en"):
        words("../../etc/passwd")
