"""Run folders of many images: planning, resuming, and making a study, on simulated images.

    python -m benchmarks.many [--images 330000] [--study 100000] [--dry-run]

Prints CPU and wall seconds and the largest memory. The images are those of a source that draws
nothing: tiny PNGs, each different. `--dry-run` does the same with a few images.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glide_eval.sweep import DrawnArm, ImageSource, load_sweep, run_sweep

ARMS = 8


class NothingSource(ImageSource):
    """Draws two grey levels per image, which differ between seeds."""

    size = 2

    def fingerprint(self) -> dict[str, str]:
        """Return a constant."""
        return {"nothing": "0" * 64}

    def generate(
        self, arm: DrawnArm, captions: Sequence[str], seeds: Sequence[int], start: Any = None
    ) -> np.ndarray:
        """Return images of two rows, the first of them the seed's bytes."""
        images = np.zeros((len(captions), 2, 2, 3), np.uint8)
        images[:, 0] = (
            np.array(seeds, np.uint64).view(np.uint8).reshape(-1, 8)[:, :6].reshape(-1, 2, 3)
        )
        return images


def measured(name: str, work: Callable[[], object]) -> None:
    """Run some work and print what it cost."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    print(
        f"{name:<44} {time.perf_counter() - wall:8.1f} s  {time.process_time() - cpu:8.1f} CPU s  "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:8.0f} MB at most so far",
        flush=True,
    )


def written(folder: Path, images: int, micro_batch: int = 16) -> Path:
    """Write a sweep file of about so many images; its place."""
    prompts = max(1, images // ARMS)
    (folder / "prompts.txt").write_text("".join(f"picture number {n}\n" for n in range(prompts)))
    scales = ", ".join(str(n + 1) for n in range(ARMS - 1))
    path = folder / "sweep.toml"
    path.write_text(
        '[run]\nname = "many"\nseed = 3\n'
        f'[generator]\nmodel = "fake"\nmicro_batch = {micro_batch}\n'
        '[prompts]\nfile = "prompts.txt"\n'
        '[[arms]]\nstrategy = "unguided"\n'
        f'[[arms]]\nstrategy = "classifier_free"\nscales = [{scales}]\n'
    )
    return path


def sweep(folder: Path, images: int) -> Path:
    """Measure a sweep, then the same again; the run's folder."""
    config, out = load_sweep(written(folder, images)), folder / "run"

    def run():
        return run_sweep(config, out, open_source=NothingSource, say=print)

    measured(f"sweep of {images:,} images that cost nothing", run)
    measured(f"resume of {images:,} finished images", run)
    return out


def study(run: Path, pairs: int) -> None:
    """Measure `study create`."""
    from sqlalchemy import make_url

    from glide_eval.files import RunFolder
    from study_app.making import create_study

    measured(
        f"study create, {2 * pairs:,} pairs",
        lambda: create_study(
            RunFolder.open(run), make_url(f"sqlite:///{run / 's.db'}"), pairs_per_question=pairs
        ),
    )


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=330_000)
    parser.add_argument("--study", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=5_000, help="per question, of two")
    parser.add_argument("--folder", type=Path, help="on which file system; a temporary one else")
    parser.add_argument("--dry-run", action="store_true", help="a few images: figures mean nothing")
    options = parser.parse_args()
    if options.dry_run:
        options.images, options.study, options.pairs = 330, 400, 20
    for images, use in ((options.images, None), (options.study, study)):
        if not images:
            continue
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            run = sweep(Path(folder), images)
            if use:
                use(run, options.pairs)


if __name__ == "__main__":
    main()
