"""What a newcomer touches to add a metric or a guidance strategy: one file each, then it works.

The packages are copied, the new file or record is added to the copy, and the command line runs
there.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SWEEP = """
[run]
name = "toys"

[generator]
model = "fake"
fake = { size = 32 }

[prompts]
captions = ["a cube", "a sphere", "a cone", "a red cube", "a red sphere", "a red cone"]

[[arms]]
strategy = "unguided"

[[arms]]
strategy = "tickle"
scales = [0.5, 2.0]
interval = [0.2, 1.0]
"""
METRIC = '''
"""A toy: the mean of all features."""

from .record import Metric
from .value import Interval, MetricValue

METRICS = (
    Metric(
        "toy_mean", "Toy mean", "lower", 1, needs="pool", drawn=True,
        value=lambda arm, _: MetricValue(
            "toy_mean", float(arm.features.pool.mean()), Interval(), len(arm.features), note="toy"
        ),
    ),
)
'''
STRATEGY = """
STRATEGIES["tickle"] = Strategy(
    "tickle", "Tickled", "tick", "Tickling guidance", "#abcdef", "#abcdee", "cross", neutral=0.0,
    at_0="no tickling", at_1="as much as a feather", options=("interval",),
)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run with the toys in it: swept, measured and reported."""
    root = tmp_path_factory.mktemp("toys")
    for package in ("generator", "glide_eval"):
        shutil.copytree(
            REPOSITORY / package, root / package,
            ignore=shutil.ignore_patterns("weights", "__pycache__"),
        )  # fmt: skip
    (root / "generator" / "weights").symlink_to(REPOSITORY / "generator" / "weights")
    (root / "glide_eval" / "metrics" / "toy.py").write_text(METRIC, encoding="utf-8")
    with (root / "generator" / "strategies.py").open("a", encoding="utf-8") as file:
        file.write(STRATEGY)
    (root / "sweep.toml").write_text(SWEEP, encoding="utf-8")
    path = os.pathsep.join([str(root), str(REPOSITORY)])
    for command in (
        ("sweep", "sweep.toml", "--out", "run"),
        ("metrics", "run", "--metrics", "toy_mean,precision,recall"),
        ("report", "run"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "glide_eval", *command], cwd=root, capture_output=True,
            text=True, env={**os.environ, "PYTHONPATH": path}, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    return root / "run"


def test_a_metric_added_in_one_file_is_measured_and_reported(run):
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "toy_mean"]
    assert [row["arm"] for row in rows] == ["unguided", "tick-0.5", "tick-2"]
    assert "Toy mean ↓" in (run / "report" / "index.html").read_text("utf-8").replace("\u00a0", " ")
    assert "Toy mean" in (run / "report" / "tables" / "metrics.tex").read_text("utf-8")


def test_a_strategy_added_as_one_record_runs_from_sweep_file_to_report(run):
    page = (run / "report" / "index.html").read_text("utf-8")
    assert "Tickled, s\u00a0=\u00a02" in page
    assert "Tickling guidance" in page  # in the legend
    figure = (run / "report" / "figures" / "precision-recall.svg").read_text("utf-8")
    assert "Tickling guidance" in figure
    assert "#abcdef" in figure
    assert ".mark.tickle" in page
    assert "--tickle: light-dark(#abcdef, #abcdee)" in page
    assert "tick-0.5" in (run / "report" / "tables" / "metrics.csv").read_text("utf-8")
