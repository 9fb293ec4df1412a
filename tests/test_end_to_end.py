"""The whole line on the bundled miniature: sweep, metrics, study, report, with an imported arm."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from generator.tabletop.dataset import scene
from generator.tabletop.render import render
from glide_eval.files import RunFolder, encode_png

CAPTIONS = ["a red sphere", "a large blue cube", "a green cone and a red cube", "a cyan cone"]
SWEEP = """
[run]
name = "whole"

[generator]
micro_batch = 4
device = "cpu"

[prompts]
captions = {captions}

[[arms]]
strategy = "unguided"
steps = 3
upsampler_steps = 1

[[arms]]
strategy = "classifier_free"
scales = [3.0]
steps = 3
upsampler_steps = 1

[[arms]]
strategy = "clip"
scales = [2.0]
steps = 3
upsampler_steps = 1

[[arms]]
strategy = "imported"
name = "rendered"
folder = "pictures"
"""


def glide_eval(*arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "glide_eval", *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_from_a_sweep_file_to_a_report(tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i, (caption, image) in enumerate(
        zip(CAPTIONS, render([scene(8, i) for i in range(4)]).numpy(), strict=True)
    ):
        (pictures / f"{i}.png").write_bytes(encode_png(image))
        (pictures / f"{i}.txt").write_text(caption, "utf-8")
    config = tmp_path / "whole.toml"
    config.write_text(SWEEP.format(captions=CAPTIONS), "utf-8")
    run = RunFolder(tmp_path / "run")

    glide_eval("sweep", config, "--out", run.root)
    assert len(run.samples()) == 16
    table = glide_eval("metrics", run.root)
    assert "caption_accuracy" in table
    glide_eval("study", "create", run.root)
    glide_eval("study", "simulate", run.root, "--raters", "4", "--votes", "60", "--seed", "1")
    assert "SIMULATED" in glide_eval("study", "status", run.root)
    glide_eval("study", "export", run.root)
    glide_eval("report", run.root)

    with run.metrics_path.open(encoding="utf-8") as file:
        measured = {(row["arm"], row["metric"]) for row in csv.DictReader(file)}
    arms = {"unguided", "cfg-3", "clip-2", "rendered"}
    assert measured >= {(arm, metric) for arm in arms for metric in ("fid", "clip_score")}
    with run.votes_path.open(encoding="utf-8") as file:
        votes = list(csv.DictReader(file))
    assert len(votes) == 60
    assert {row["rater_kind"] for row in votes} == {"simulated"}
    page = (run.report_dir / "index.html").read_text("utf-8")
    assert "simulated raters" in page.lower()
    assert "http://" not in page.replace("http://www.w3.org", "")
    noise = {s.seed for s in run.samples() if s.arm != "rendered" and s.prompt_id == "p0000"}
    assert len(noise) == 1
