"""Reading a study file: TOML, checked whole before anything is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from glide_eval.files import parsed, read_text
from study_app.errors import StudyUsageError

from .design import StudyDesign


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
    return StudyFile(path, parse_study(text, str(path)))


def parse_study(text: str, where: str) -> StudyDesign:
    """Understand the content of a study file; `where` names it in messages.

    Raises:
        StudyUsageError: it is not TOML, or says something no study can do.
    """
    return parsed(text, StudyDesign, where, "study file", StudyUsageError)


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
