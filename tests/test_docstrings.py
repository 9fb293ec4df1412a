"""Docstrings of statistics and samplers: their examples print what they say, and each has one.

Examples of `analysis` use the votes of its own docstring, which runs first.
"""

from __future__ import annotations

import ast
import doctest
import functools
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("analysis", "glide_eval", "generator", "study_app")

# Whose public functions are statistics or samplers: rooms, and modules where there are no rooms.
EXPLAINED = (
    "analysis/scores",
    "analysis/raters",
    "analysis/planning",
    "analysis/metrics",
    "glide_eval/metrics",
    "generator/guidance.py",
    "generator/sampling.py",
    "generator/schedules.py",
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def _modules(*places):
    """Every Python file of folders and files, by its path below the project."""
    paths = (ROOT / place for place in places)
    files = (path.rglob("*.py") if path.is_dir() else [path] for path in paths)
    return [path.relative_to(ROOT) for found in files for path in sorted(found)]


WITH_EXAMPLES = [
    path.with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    for path in _modules(*PACKAGES)
    if ">>> " in (ROOT / path).read_text("utf-8")
]


def _run(module, **names):
    """Run the examples of a module's source, and return the names they leave behind.

    The source is read, and not the objects: checks of shapes wrap functions, which hides them from
    doctest's own finder.
    """
    loaded = importlib.import_module(module)
    public = {name: getattr(loaded, name) for name in getattr(loaded, "__all__", ())}
    names = {**vars(loaded), **public, **names}
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    for node in ast.walk(ast.parse(Path(loaded.__file__).read_text("utf-8"))):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            text, name = ast.get_docstring(node) or "", getattr(node, "name", module)
            test = doctest.DocTestParser().get_doctest(text, names, name, module, 0)
            failed, _ = runner.run(test, clear_globs=False)
            assert not failed, f"{module}: the example of {name} prints something else"
            names.update(test.globs if node.__class__ is ast.Module else {})
    assert runner.tries, f"{module} has no example that runs"
    return names


@functools.cache
def _example_votes():
    """What the examples of `analysis` share: votes, a ballot, a fit and its intervals."""
    names = _run("analysis")
    return {name: names[name] for name in ("votes", "ballot", "fit", "intervals")}


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_the_examples_print_what_they_say(module):
    _run(module, **(_example_votes() if module.startswith("analysis.") else {}))


def _exported(path):
    """The names that the room of a file exports; None for a module without a room."""
    room = ast.parse((ROOT / path.parent / "__init__.py").read_text("utf-8"))
    for node in room.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return None


@pytest.mark.parametrize("path", _modules(*EXPLAINED), ids=str)
def test_each_public_function_of_a_statistic_or_sampler_has_an_example(path):
    exported = _exported(path)
    without = [
        node.name
        for node in ast.parse((ROOT / path).read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and (exported is None or node.name in exported)
        and "overload" not in map(ast.unparse, node.decorator_list)
        and ">>> " not in (ast.get_docstring(node) or "")
    ]
    assert not without, f"{path}: add a two-line example to {', '.join(without)}"
