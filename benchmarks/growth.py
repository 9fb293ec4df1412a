"""How the work around the networks grows with the number of images: it must be linear.

    python -m benchmarks.growth [COUNT ...]      # 1000 10000 100000 by default

Prints CPU seconds for each count, and each row's growth: seconds per image at the last count over
those at the first. 1 is linear, 100 is quadratic from 1,000 to 100,000.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from glide_eval.features import samples_by_arm
from glide_eval.files import Arm, RunFolder, Sample, list_images, read_csv, to_csv, write_text
from glide_eval.measure import ScoreRow
from glide_eval.sweep import load_sweep, outline
from glide_eval.sweep.provenance import write_provenance

COUNTS = (1_000, 10_000, 100_000)
SWEEP = """
[run]
name = "growth"
[generator]
model = "fake"
[prompts]
tabletop = {{ count = {count} }}
[[arms]]
strategy = "unguided"
"""


def make_run(root: Path, count: int) -> RunFolder:
    """Write a run of one arm whose images are empty files."""
    run = RunFolder(root)
    digest = hashlib.sha256(b"").hexdigest()
    samples = [
        Sample("a", f"p{n:06d}", f"caption {n}", 0, n, f"samples/a/p{n:06d}-0.png", digest, 0.1)
        for n in range(count)
    ]
    (root / "samples" / "a").mkdir(parents=True)
    for sample in samples:
        (root / sample.path).touch()
    write_text(run.manifest_path, "".join(sample.to_json() + "\n" for sample in samples))
    write_provenance(run, {"arms": [Arm("a", "unguided", None, "A").to_dict()]})
    rows = [ScoreRow("a", s.prompt_id, 0, "clip_score", 25.0, "fake", "f", "i") for s in samples]
    write_text(run.scores_path, to_csv(ScoreRow, rows))
    write_text(run.config_path, SWEEP.format(count=min(count, 100_000)))
    return run


def tasks(run: RunFolder) -> dict[str, Callable[[], object]]:
    """What is measured, by what it is part of."""
    return {
        "metrics --fake: list a folder": lambda: list_images(run.samples_dir),
        "metrics RUN: read the manifest": lambda: samples_by_arm(run),
        "metrics RUN: read scores.csv": lambda: read_csv(run.scores_path, ScoreRow),
        "sweep --dry-run": lambda: outline(load_sweep(run.config_path), run.root / "new"),
    }


def main(counts: tuple[int, ...]) -> None:
    """Measure and print."""
    seconds: dict[str, list[float]] = {}
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            for name, task in tasks(make_run(Path(folder), count)).items():
                started = time.process_time()
                task()
                seconds.setdefault(name, []).append(time.process_time() - started)
    print(f"{'CPU s':34}" + "".join(f"{count:>10,}" for count in counts) + f"{'growth':>9}")
    for name, spent in seconds.items():
        growth = spent[-1] / counts[-1] / (spent[0] / counts[0])
        print(f"{name:34}" + "".join(f"{each:10.2f}" for each in spent) + f"{growth:9.1f}")


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or COUNTS)
