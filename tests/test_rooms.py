"""The rooms of the house: each says what it is for, and others come in by its door."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("analysis", "glide_eval", "study_app")
ROOMS = sorted(
    room.relative_to(ROOT).as_posix().replace("/", ".")
    for package in PACKAGES
    for room in (ROOT / package).iterdir()
    if (room / "__init__.py").is_file()
)
MOST_ENTRIES = 12  # that a newcomer meets at the top of a package


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> list[tuple[str, list[str]]]:
    """Absolute imports of this file: module, names."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and not node.level:
            found.append((node.module or "", [alias.name for alias in node.names]))
        elif isinstance(node, ast.Import):
            found += [(alias.name, []) for alias in node.names]
    return found


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def door(room: str) -> ast.Module:
    return ast.parse((ROOT / room.replace(".", "/") / "__init__.py").read_text("utf-8"))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_room_is_entered_by_its_door(package):
    """Other rooms import from the room, not from its files."""
    wrong = []
    for path in modules(package):
        own = room_of(path.relative_to(ROOT).with_suffix("").as_posix().replace("/", "."))
        for module, names in imports(path):
            if room_of(module) in ROOMS and room_of(module) != own and module != room_of(module):
                wrong.append(f"{path.relative_to(ROOT)}: from {module} import {', '.join(names)}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_in_one_sentence_what_it_is_for(room):
    said = ast.get_docstring(door(room)) or ""
    assert said.partition("\n\n")[0].count(". ") == 0
    assert said.partition("\n\n")[0].endswith(".")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_has_few_entries_at_its_top(package):
    entries = {
        path.name
        for path in (ROOT / package).iterdir()
        if not path.name.startswith(("__", ".")) and path.name != "py.typed"
    }
    assert len(entries) <= MOST_ENTRIES, sorted(entries)
