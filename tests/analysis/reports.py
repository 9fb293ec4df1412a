"""Report inputs from the fake run, for tests of the report and its command."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.report import ReportInputs
from analysis.report.page.render import render_page
from analysis.report.words.methods import methods_paragraph
from analysis.report.write import build
from tests.fakes import ARMS, make_fake_run

NAMES = [arm.name for arm in ARMS]
SCORES = {"unguided": -80, "cfg-1.5": 20, "cfg-3": 110, "clip-1": -50, "clip-3": 0}


def draw_votes(kind: str, question: str, count: int = 600, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    left = rng.integers(0, len(NAMES), count)
    right = (left + rng.integers(1, len(NAMES), count)) % len(NAMES)
    scores = np.array([SCORES[name] for name in NAMES], float)
    p = 1 / (1 + 10 ** ((scores[right] - scores[left]) / 400))
    draw = rng.random(count)
    answer = np.where(rng.random(count) < 0.1, "tie", np.where(draw < p, "left", "right"))
    return pd.DataFrame(
        {
            "study": "test",
            "question": question,
            "prompt_id": np.char.mod("p%04d", rng.integers(0, 12, count)),
            "replica": 0,
            "arm_left": np.array(NAMES)[left],
            "arm_right": np.array(NAMES)[right],
            "answer": answer,
            "rater": np.char.mod(f"{kind}%02d", rng.integers(0, 15, count)),
            "rater_kind": kind,
            "seconds": rng.gamma(3, 2, count),
            "created_at": "2026-01-01T00:00:00+00:00",
            "assignment": [f"{kind}-{question}-{i}" for i in range(count)],
        }
    )


def fake_inputs(root: Path, votes: pd.DataFrame | None = None) -> ReportInputs:
    run = make_fake_run(root)
    samples = [(s.arm, s.prompt_id, s.caption, s.replica, s.path, s.seed) for s in run.samples()]
    return ReportInputs(
        title="A <b>test</b>",
        arms=pd.DataFrame([arm.to_dict() for arm in ARMS]),
        metrics=pd.read_csv(run.metrics_path),
        votes=votes,
        samples=pd.DataFrame(
            samples, columns=["arm", "prompt_id", "caption", "replica", "path", "seed"]
        ),
        root=root,
        provenance={"seed": 7, "versions": {"torch": "2.15"}},
        command="glide-eval report runs/test",
    )


def fewer_metrics(inputs: ReportInputs) -> ReportInputs:
    """The same with FID and Inception Score only: fewer figures to draw."""
    kept = inputs.metrics["metric"].isin(["fid", "inception_score"])
    return dataclasses.replace(inputs, metrics=inputs.metrics[kept])


def methods_of(inputs: ReportInputs) -> str:
    """The methods paragraph alone."""
    (part,) = build([inputs]).parts
    return methods_paragraph(part.inputs, part.results)


def page_of(inputs: ReportInputs) -> str:
    """The page alone, without figure and table files."""
    return render_page(build([inputs])).replace("\u00a0", " ")
