"""What is installed is whole: every file the packages read lies in the wheel too."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("analysis", "generator", "glide_eval", "study_app")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_file_that_is_no_module_is_named_as_package_data(package):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    globs = project["tool"]["setuptools"]["package-data"].get(package, [])
    folder = ROOT / package
    named = {path for pattern in globs for path in folder.glob(pattern) if path.is_file()}
    data = {
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and "__pycache__" not in path.parts
    }
    assert data, "there is something to check"
    assert not data - named, "these would be missing where the toolkit is installed"
