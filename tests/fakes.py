"""A small run folder with known contents, for tests of what comes after generation."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from glide_eval.files import Arm, RunFolder, Sample

ARMS = [
    Arm("unguided", "unguided", None, "Unguided", "ddim", 25),
    Arm("cfg-1.5", "classifier_free", 1.5, "Classifier-free, s = 1.5", "ddim", 25),
    Arm("cfg-3", "classifier_free", 3.0, "Classifier-free, s = 3", "ddim", 25),
    Arm("clip-1", "clip", 1.0, "CLIP, s = 1", "ddim", 25),
    Arm("clip-3", "clip", 3.0, "CLIP, s = 3", "ddim", 25),
]
QUALITY = {"unguided": 0.40, "cfg-1.5": 0.65, "cfg-3": 0.85, "clip-1": 0.45, "clip-3": 0.55}


def make_fake_run(root: Path, prompts: int = 12, size: int = 128, seed: int = 0) -> RunFolder:
    """Write a complete run of noise images: samples, manifest, run.json, metrics, scores."""
    rng = np.random.default_rng(seed)
    run = RunFolder(root)
    root.mkdir(parents=True, exist_ok=True)
    samples, scores, metrics = [], [], []
    for arm in ARMS:
        values = []
        for number in range(prompts):
            path = run.sample_path(arm.name, f"p{number:04d}", 0)
            path.parent.mkdir(parents=True, exist_ok=True)
            blocks = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            pixels = np.kron(blocks, np.ones((size // 8, size // 8, 1), np.uint8))
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            path.write_bytes(buffer.getvalue())
            caption = f"a large shiny red sphere to the left of a small matte blue cube ({number})"
            samples.append(
                Sample(arm.name, f"p{number:04d}", caption, 0, 1000 + number,
                       path.relative_to(root).as_posix(),
                       hashlib.sha256(buffer.getvalue()).hexdigest(), 0.1)
            )  # fmt: skip
            value = float(np.clip(QUALITY[arm.name] + 0.2 * rng.standard_normal(), 0, 1))
            values.append(value)
            for metric in ("caption_accuracy", "image_quality"):
                scores.append((arm.name, f"p{number:04d}", 0, metric, value))
            scores.append((arm.name, f"p{number:04d}", 0, "clip_score", 25 + 10 * value))
        quality = QUALITY[arm.name]
        for metric, value in [
            ("fid", 20 - 12 * quality),
            ("inception_score", 4 + 5 * quality),
            ("precision", 0.4 + 0.5 * quality),
            ("recall", 0.8 - 0.5 * quality),
            ("clip_score", 25 + 10 * quality),
            ("caption_accuracy", float(np.mean(values))),
        ]:
            metrics.append(
                (arm.name, metric, value, value * 0.95, value * 1.05, prompts, "tabletop", "")
            )
    run.manifest_path.write_text("".join(s.to_json() + "\n" for s in samples), "utf-8")
    run.config_path.write_text("# a fake sweep for tests\n", "utf-8")
    run.provenance_path.write_text(
        json.dumps(
            {
                "arms": [arm.to_dict() for arm in ARMS],
                "config_sha256": "0" * 64,
                "command": "glide-eval sweep fake.toml",
                "started": "2026-01-01T00:00:00+00:00",
                "ended": "2026-01-01T00:01:00+00:00",
                "versions": {"glide-eval": "0.1.0", "python": "3.11"},
                "device": "cpu",
                "weights": {"base": "0" * 64},
                "seed": seed,
            }
        ),
        "utf-8",
    )
    _write_csv(run.scores_path, "arm prompt_id replica metric value", scores)
    _write_csv(run.metrics_path, "arm metric value ci_low ci_high n extractor note", metrics)
    return run


def _write_csv(path: Path, header: str, rows: list[tuple]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header.split())
        writer.writerows(rows)
