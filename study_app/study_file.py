"""Reading a study file: TOML, checked whole before anything is made."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from glide_eval.config_messages import describe

from .design import StudyDesign
from .errors import StudyUsageError


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
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise StudyUsageError(
            f"{path}: no such study file. Name one that exists, such as examples/study.toml."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise StudyUsageError(
            f"{path}: expected a study file (TOML in UTF-8), found something that can't be read "
            f"as one ({error})."
        ) from error
    return StudyFile(path, parse_study(text, str(path)))


def parse_study(text: str, where: str) -> StudyDesign:
    """Understand the content of a study file; `where` names it in messages.

    Raises:
        StudyUsageError: it is not TOML, or says something no study can do.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StudyUsageError(
            f"{where}: expected TOML, found a mistake: {error}. Strings need quotes, tables "
            "brackets; mend that line and run the command again."
        ) from error
    try:
        return StudyDesign.model_validate(values)
    except ValidationError as error:
        raise StudyUsageError(describe(error, StudyDesign, where, "a study file")) from error


def changed_keys(old: StudyDesign, new: StudyDesign) -> list[str]:
    """What differs between two designs, as `votes.per_pair: 2 → 3`; empty when they are equal."""
    before, after = _flat(old.model_dump()), _flat(new.model_dump())
    return [
        f"{key}: {_short(before.get(key))} → {_short(after.get(key))}"
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
    ]


def _flat(values: object, path: str = "") -> dict[str, object]:
    if isinstance(values, dict):
        found: dict[str, object] = {}
        for key, value in values.items():
            found |= _flat(value, f"{path}.{key}" if path else str(key))
        return found
    if isinstance(values, list):
        return {
            key: v for n, one in enumerate(values) for key, v in _flat(one, f"{path}[{n}]").items()
        }
    return {path: values}


def _short(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
