"""Reading a study file: TOML, checked whole before anything is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pydantic import RootModel

from glide_eval.files import parsed, read_text, some
from study_app.errors import StudyUsageError
from study_app.words import Words, languages, mistakes

from .design import StudyDesign, Text


@dataclass(frozen=True, slots=True)
class StudyFile:
    """A study file that was read and understood; paths in it are relative to its folder."""

    path: Path
    design: StudyDesign


def load_study_file(path: Path) -> StudyFile:
    """Read a study file.

    Raises:
        StudyUsageError: it is missing, not TOML, or says something no study can do.
    """
    text = read_text(path, "study file", "examples/study.toml", StudyUsageError)
    return StudyFile(path, _with_words(parse_study(text, str(path)), path))


def parse_study(text: str, where: str) -> StudyDesign:
    """Understand the content of a study file; `where` names it in messages.

    Raises:
        StudyUsageError: it is not TOML, or says something no study can do.
    """
    return parsed(text, StudyDesign, where, "study file", StudyUsageError)


def _with_words(design: StudyDesign, path: Path) -> StudyDesign:
    """Return the design with the words of a file beside the study file, where there is one."""
    pages = design.pages
    file = path.parent / f"words-{pages.language}.toml"
    own = pages.words or {}
    if file.is_file():
        told = _read_words(file)
        own = {name: told.get(name, {}) | own.get(name, {}) for name in told.keys() | own.keys()}
    _require_words(pages.language, own, file)
    told = pages.model_copy(update={"words": own or None})
    return design.model_copy(update={"pages": told})


class _WordsFile(RootModel[dict[str, dict[str, Text]]]):
    """Sections, such as `[pair]`, of keys and texts."""


def _read_words(file: Path) -> Words:
    text = read_text(file, "file of words", "words-fr.toml", StudyUsageError)
    return parsed(text, _WordsFile, str(file), "file of words", StudyUsageError).root


def _require_words(language: str, own: Words, file: Path) -> None:
    """Refuse words that raters could not be shown, or of which some are missing."""
    wrong = mistakes(language, own)
    if not own and wrong:
        raise StudyUsageError(
            f"`pages.language` is {language!r}; the app has words in {', '.join(languages())}. For "
            f"another language, save those of `glide-eval study words en` as {file}, and "
            "translate them."
        )
    if wrong:
        raise StudyUsageError(
            f"{file.name if file.is_file() else '`pages.words`'}: {some(wrong, 5, '; ')}. "
            f"`glide-eval study words en` prints what raters read in English, with all keys."
        )


def changed_keys(old: StudyDesign, new: StudyDesign) -> list[str]:
    """Return what differs between two designs, as `votes.per_pair: 2 → 3`."""
    before, after = _flat(old.model_dump()), _flat(new.model_dump())
    return [
        f"{key}: {_short(before.get(key))} → {_short(after.get(key))}"
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
    ]


def _flat(values: object, path: str = "") -> dict[str, object]:
    """Return what stands at each path of nested tables and lists: `votes.per_pair`, `runs[0]`."""
    if isinstance(values, dict):
        table = cast("dict[str, object]", values)
        parts = {f"{path}.{key}" if path else key: value for key, value in table.items()}
    elif isinstance(values, list):
        parts = {f"{path}[{n}]": value for n, value in enumerate(cast("list[object]", values))}
    else:
        return {path: values}
    return {
        key: value for where, part in parts.items() for key, value in _flat(part, where).items()
    }


def _short(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
