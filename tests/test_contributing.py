"""CONTRIBUTING.md's worked examples run: each adds one thing to a copy of the packages."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
BLOCK = re.compile(
    r"```python\n# (\S+\.py)(?:, (in|above|among) (\w+|the imports))?\n(.*?)```", re.DOTALL
)
SWEEP = """
[run]
name = "examples"

[generator]
model = "fake"
fake = { size = 32 }

[prompts]
captions = ["a red cube", "a blue sphere", "two green cones"]

[[arms]]
strategy = "unguided"

[[arms]]
strategy = "tickle"
scales = [0.5, 2.0]
interval = [0.2, 1.0]
"""


def add(root: Path, file: str, where: str, name: str, code: str) -> None:
    """Put a block of CONTRIBUTING.md where it says."""
    path = root / file
    if not where:
        assert not path.exists(), "an example adds a file"
        path.write_text(code, encoding="utf-8")
        return
    text = path.read_text("utf-8")
    if where == "among":
        path.write_text(text.replace("\n\nfrom .", f"\n\n{code}from .", 1), encoding="utf-8")
        return
    start = re.search(rf"^{name}\b.*$", text, re.MULTILINE)
    assert start, f"{file} has no {name}"
    if where == "above":
        place, indent = start.start(), ""
    else:  # before the bracket that closes the entries
        end = re.compile(r"^    \)\n|^[})]", re.MULTILINE).search(text, start.end())
        assert end, f"{name} has no end"
        place, indent = end.start(), "        " if end[0].startswith(" ") else "    "
        code = textwrap.indent(code, indent)
    path.write_text(text[:place] + code + "\n" * (where == "above") * 2 + text[place:], "utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """Copies of two packages with every example in them, and a run of the command line there."""
    root = tmp_path_factory.mktemp("examples")
    for package in ("generator", "glide_eval", "analysis"):
        shutil.copytree(
            REPOSITORY / package, root / package,
            ignore=shutil.ignore_patterns("weights", "__pycache__"),
        )  # fmt: skip
    (root / "generator" / "weights").symlink_to(REPOSITORY / "generator" / "weights")
    blocks = BLOCK.findall((REPOSITORY / "CONTRIBUTING.md").read_text("utf-8"))
    assert len(blocks) == 11
    for block in blocks:
        add(root, *block)
    (root / "sweep.toml").write_text(SWEEP, encoding="utf-8")
    run(root, "sweep", "sweep.toml", "--out", "run")
    run(root, "metrics", "run", "--metrics", "feature_mean,inception_score")
    run(root, "report", "run")
    run(root, "metrics", "run", "--extractor", "mean-colours", "--metrics", "feature_mean")
    return root


def run(root: Path, *arguments: str) -> str:
    """What a command of the copy prints."""
    path = os.pathsep.join([str(root), str(REPOSITORY)])
    done = subprocess.run(
        [sys.executable, "-m", "glide_eval", *arguments], cwd=root, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": path}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_metric_added_in_one_file_is_measured_and_reported(copy):
    with (copy / "run/metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "feature_mean"]
    assert {row["arm"] for row in rows} == {"unguided", "tick-0.5", "tick-2"}
    page = (copy / "run/report/index.html").read_text("utf-8").replace("\u00a0", " ")
    assert "Feature mean ↓" in page
    assert r"Feature \\ mean $\downarrow$" in (copy / "run/report/tables/metrics.tex").read_text(
        "utf-8"
    )


def test_a_figure_added_in_two_files_is_shown_and_saved(copy):
    page = (copy / "run/report/index.html").read_text("utf-8")
    metrics = page[page.index('<section id="metrics"') :]
    assert '<figure id="figure-images-measured">' in metrics[: metrics.index("</section>")]
    with (copy / "run/report/figures/images-measured.csv").open(encoding="utf-8") as file:
        assert [row["n"] for row in csv.DictReader(file)] == ["3", "3", "3"]
    assert (copy / "run/report/figures/images-measured.pdf").read_bytes().startswith(b"%PDF")


def test_an_extractor_added_as_a_record_and_a_class_measures(copy):
    with (copy / "run/metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["extractor"] == "mean-colours"]
    assert len(rows) == 3
    assert all(0 < float(row["value"]) < 1 for row in rows)


def test_a_strategy_added_as_one_record_runs_from_sweep_file_to_report(copy):
    page = (copy / "run/report/index.html").read_text("utf-8")
    assert "Tickled, s\u00a0=\u00a02" in page
    assert ".mark.tickle" in page
    assert "--tickle: light-dark(#ab4587, #d58abb)" in page


def test_a_sampler_added_in_two_files_draws(copy):
    run(copy, "sample", "a red cube", "--sampler", "half-ddim", "--steps", "2",
        "--upsampler-steps", "2", "--out", "drawn")  # fmt: skip
    assert list((copy / "drawn").glob("*.png"))


def test_a_command_added_is_found_and_helps(copy):
    assert run(copy, "arms", "run").split() == ["unguided", "tick-0.5", "tick-2"]
    assert "Print the names of a run's arms." in run(copy, "--help")
