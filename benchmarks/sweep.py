"""What a sweep costs over calling a pipeline in a loop: `python -m benchmarks.sweep`.

A tiny Stable Diffusion with random weights draws the same prompts, seeds, batches and steps on this
CPU by both ways, in turn. The sweep's time begins once its models are loaded; it also hashes,
encodes and writes each image and its record.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from glide_eval.sweep import SourceOpener, load_sweep, run_sweep
from tests.glide_eval.tiny_pipelines import save_tiny

BATCH = 4


def main() -> None:
    """Print the ratio of both times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=16, help="a multiple of 4")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        sweep = load_sweep(_sweep_file(folder, asked.images, asked.steps))
        source: Any = SourceOpener.of(sweep)()
        captions = [f"picture {number}" for number in range(asked.images)]

        def loop() -> None:
            for first in range(0, asked.images, BATCH):
                seeds = range(first, first + BATCH)
                source.pipeline(
                    captions[first : first + BATCH], guidance_scale=4.0, width=64, height=64,
                    num_inference_steps=asked.steps, output_type="np",
                    generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
                )  # fmt: skip

        def swept(number: int) -> None:
            out = folder / f"run-{number}"
            run_sweep(sweep, out, open_source=lambda: source, say=lambda _: None)

        loop()
        source.fingerprint()  # of the weights, once per process
        ratios = []
        for number in range(asked.repeats):
            loops, sweeps = _seconds(loop), _seconds(lambda n=number: swept(n))
            ratios.append(sweeps[1] / loops[1])
            print(
                f"loop {loops[0]:.2f} s ({loops[1]:.2f} s CPU), sweep {sweeps[0]:.2f} s "
                f"({sweeps[1]:.2f} s CPU), CPU ratio {ratios[-1]:.3f}",
                flush=True,
            )
    print(f"median CPU ratio of {asked.repeats}: {statistics.median(ratios):.3f}")


def _seconds(work: Callable[[], None]) -> tuple[float, float]:
    """Return wall time and CPU time; the latter is the one to compare on a shared machine."""
    started, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - used


def _sweep_file(folder: Path, images: int, steps: int) -> Path:
    pipeline = save_tiny("sd15", folder)
    captions = ", ".join(f'"picture {number}"' for number in range(images))
    path = folder / "sweep.toml"
    path.write_text(
        f'[run]\nname = "tiny"\n[generator]\nmodel = "diffusers:{pipeline.as_posix()}"\n'
        f"micro_batch = {BATCH}\nsize = 64\n[prompts]\ncaptions = [{captions}]\n"
        f'[[arms]]\nstrategy = "classifier_free"\nscales = [4]\nsteps = {steps}\n',
        encoding="utf-8",
    )
    return path


if __name__ == "__main__":
    main()
