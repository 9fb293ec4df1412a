"""The words that raters read: one file per language, and an owner's own laid over them."""

from __future__ import annotations

import functools
import string
import tomllib
from importlib import resources

Words = dict[str, dict[str, str]]

_RIGHT_TO_LEFT = frozenset({"ar", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"})


def languages() -> list[str]:
    """Return the languages with a file of words: ISO 639 codes, sorted."""
    folder = resources.files("study_app.words")
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    )


def direction(language: str) -> str:
    """Return the direction in which a language is written: `ltr` or `rtl`, as HTML says it."""
    return "rtl" if language.partition("-")[0] in _RIGHT_TO_LEFT else "ltr"


def file_of(language: str) -> str:
    """Return the text of a language's file, for somebody who translates it; one of `languages`."""
    return resources.files("study_app.words").joinpath(f"{language}.toml").read_text("utf-8")


def words(language: str = "en", own: Words | None = None) -> Words:
    """Return section → key → text, with line breaks folded.

    Args:
        language: where it has no file of words, English stands in for what `own` lacks.
        own: an owner's words; they come before those of the file.
    """
    usual = _usual(language if language in languages() else "en")
    if not own:
        return usual
    return {name: texts | _folded(own.get(name, {})) for name, texts in usual.items()}


@functools.cache
def _usual(language: str) -> Words:
    return {name: _folded(texts) for name, texts in tomllib.loads(file_of(language)).items()}


def _folded(texts: dict[str, str]) -> dict[str, str]:
    return {key: " ".join(text.split()) for key, text in texts.items()}


def mistakes(language: str, own: Words) -> list[str]:
    """Return what keeps an owner's words from being shown, one sentence each.

    A language without a file of words needs all of them. Each text has the same blanks, such as
    `{done}`, as the English one.
    """
    usual = words("en")
    known = {(section, key) for section, texts in usual.items() for key in texts}
    given = {(section, key) for section, texts in own.items() for key in texts}
    missing = known - given if language not in languages() else set[tuple[str, str]]()
    return [
        *(
            f"`{section}.{key}` is no text that raters read"
            for section, key in sorted(given - known)
        ),
        *(
            f"`{section}.{key}` {fault}"
            for section, key in sorted(given & known)
            if (fault := _fault(own[section][key], usual[section][key]))
        ),
        *(f"`{section}.{key}` is missing" for section, key in sorted(missing)),
    ]


def _fault(text: str, usual: str) -> str:
    if not text.strip():
        return "is empty"
    blanks = _blanks(usual)
    if not blanks or _blanks(text) == blanks:
        return ""
    return f"has other blanks than the English text, which has {', '.join(sorted(blanks))}"


def _blanks(text: str) -> frozenset[str]:
    """Return the blanks of a text as they are written, `{done}`; none fits a text with a slip."""
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:
        return frozenset({"a brace without its other one"})
    return frozenset(
        "{" + name + (f"!{how}" if how else "") + (f":{as_}" if as_ else "") + "}"
        for _, name, as_, how in parts
        if name is not None
    )
