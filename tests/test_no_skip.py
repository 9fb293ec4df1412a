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
MARKED = """
import pytest

@pytest.mark.gpu
def test_needs_a_gpu():
    pass

@pytest.mark.browser
def test_needs_a_browser():
    pass
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


@pytest.mark.parametrize(
    ("switch", "status", "outcome"),
    [("0", 0, "2 skipped"), ("1", 1, "1 skipped, 1 error")],
    ids=["at home", "in ci"],
)
def test_what_the_machine_lacks_is_skipped_with_what_to_install(tmp_path, switch, status, outcome):
    (tmp_path / "test_inner.py").write_text(MARKED)
    process = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-ra", "-p", "tests.conftest", "-p",
         "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "GLIDE_EVAL_NO_SKIP": switch, "PATH": str(tmp_path),
             "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert process.returncode == status, process.stdout
    counts = process.stdout.splitlines()[-1]
    assert all(part in counts for part in outcome.split(", "))
    assert "needs a CUDA device" in process.stdout
    assert "apt install chromium" in process.stdout
