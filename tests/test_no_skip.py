"""In CI nothing may be skipped in silence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

def test_passes():
    pass

def test_skips():
    pytest.skip("no browser here")

@pytest.mark.xfail(reason="known")
def test_is_known_to_fail():
    assert False
"""
MODULE = 'import pytest\npytest.importorskip("nothing_of_this_name")\n'


@pytest.mark.parametrize(
    ("content", "switch", "status", "outcome"),
    [
        (TESTS, "0", 0, "1 passed, 1 skipped, 1 xfailed"),
        (TESTS, "1", 1, "1 failed, 1 passed, 1 xfailed"),
        (MODULE, "1", 2, "1 error"),
    ],
    ids=["at home", "in ci", "a whole module in ci"],
)
def test_a_skip_fails_in_ci_and_only_there(tmp_path, content, switch, status, outcome):
    (tmp_path / "test_inner.py").write_text(content)
    process = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider",
         "-c", os.devnull, "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "GLIDE_EVAL_NO_SKIP": switch},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert process.returncode == status, process.stdout
    assert outcome in process.stdout
