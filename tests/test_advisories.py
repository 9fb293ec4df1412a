"""Versions with published holes are found in the pins and in the floors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = """[project]
dependencies = ["Pillow>=9.5", "numpy>=2"]
optional-dependencies = { s3 = ["aiohttp>=3.9.1,<4"] }
"""


def hole(package: str, *events: dict[str, str], **more: object) -> dict[str, object]:
    affected = {
        "package": {"ecosystem": "PyPI", "name": package},
        "ranges": [{"type": "ECOSYSTEM", "events": list(events)}],
    }
    return {"id": f"PYSEC-{package}", "aliases": ["CVE-1"], "affected": [affected | more]}


@pytest.fixture
def project(tmp_path):
    (tmp_path / "scripts").mkdir()
    code = (ROOT / "scripts" / "advisories.py").read_text("utf-8")
    (tmp_path / "scripts" / "advisories.py").write_text(code, "utf-8")
    (tmp_path / "pyproject.toml").write_text(PROJECT, "utf-8")
    (tmp_path / "constraints.txt").write_text("pillow==11.3.0\nnumpy==2.1.0\naiohttp==3.13.0\n")
    (tmp_path / "known").mkdir()
    return tmp_path


def check(project: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, project / "scripts" / "advisories.py", project / "known"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_a_floor_and_a_pin_with_holes_are_named_and_fixed_or_withdrawn_ones_are_not(project):
    known = project / "known"
    fixed = hole("pillow", {"introduced": "0"}, {"fixed": "10.0.0"})
    (known / "pillow.yaml").write_text(yaml.safe_dump(fixed))
    listed = hole("numpy", versions=["2.1.0"])
    (known / "numpy.json").write_text(json.dumps(listed))
    withdrawn = hole("aiohttp", {"introduced": "0"}) | {"withdrawn": "2024-01-01"}
    (known / "aiohttp.yaml").write_text(yaml.safe_dump(withdrawn))
    code, said = check(project)
    assert code == 1
    assert said.splitlines() == [
        "numpy 2.1.0 (constraints.txt): PYSEC-numpy, CVE-1",
        "pillow 9.5 (pyproject.toml): PYSEC-pillow, CVE-1",
        f"2 holes in 6 versions, by 2 advisories of {known}.",
    ]


def test_a_hole_that_came_back_is_open_from_then_on(project):
    back = {"introduced": "3"}, {"fixed": "3.9"}, {"introduced": "3.12"}
    (project / "known" / "aiohttp.yaml").write_text(yaml.safe_dump(hole("aiohttp", *back)))
    assert check(project)[1].splitlines()[0].startswith("aiohttp 3.13.0 (constraints.txt)")
    assert "3.9.1" not in check(project)[1]


def test_a_folder_without_advisories_is_no_proof(project):
    assert check(project)[0] == 2
