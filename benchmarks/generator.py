"""Speed and memory of the generator: `python -m benchmarks.generator --reference CLONE`.

`--reference` names a clone of openai/glide-text2im; without it, comparisons are left out. Parts:

cpu        Full-size base, guided, one picture. The released code, our fp32 and our bf16 take turns
           in one process; a row is the fastest of each one's rounds. CPU seconds, which a busy
           machine disturbs less than wall time; a picture of 100 steps is reading the captions
           once and 100 times a step (the released code reads them again at every step, so its
           steps contain that). Outputs of one forward are compared.
miniature  Whole pictures at 128 px, in a batch, with two threads: wall and CPU time. Samplers this
           version lacks are left out.
gpu        Full-size base and upsampler, 100 + 27 steps, guided, random weights, through `Pipeline`
           with the product's own noise. Images per second (and joules per image, if the driver
           tells) for each of `--modes` and `--batches`, wall time around a synchronised second run;
           the first compiles and records. The best is set beside the released code's best in fp16.
           The share of the matrix rate is the counted work over time, over the best rate of bf16
           products, measured just before. Before these: peak memory of one picture in fp16 with one
           network at a time, synchronisations per step, halving under a memory cap. About ten
           minutes without `compile`. `--dry-run` runs all rows with tiny networks on a CPU.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks import generator_gpu
from benchmarks.released import Released, our_unet
from generator.allocator import keep_freed_memory
from generator.config import GLIDE_BASE
from generator.diffusion import Diffusion
from generator.errors import OptionError
from generator.guidance import classifier_free
from generator.loading import load_pipeline
from generator.options import Sampling
from generator.sampling import ddpm
from generator.text_unet import TextUNet

STEPS = 100
BATCHES = (1, 4, 16, 32, 64)
FAST = (("dpm++2m", 10, 3), ("ddim", 10, 3), ("ddim", 25, 6))  # sampler, steps, upsampler steps


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reference", type=Path, help="a clone of openai/glide-text2im")
    parser.add_argument("--parts", default="cpu,miniature")
    parser.add_argument("--threads", default="1,2", help="for the part cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=16, help="in the miniature's batch")
    parser.add_argument("--modes", default="none,graphs", help="of the part gpu")
    parser.add_argument("--batches", default="1,16,64", help="of the part gpu")
    parser.add_argument("--dry-run", action="store_true", help="the part gpu, tiny, on a CPU")
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    keep_freed_memory()
    if options.dry_run:
        print("A dry run: tiny networks on a CPU. The rows are there; their figures mean nothing.")
    print(f"{machine()}\n\n| what | figure | to reach |\n| --- | --- | --- |", flush=True)
    parts = options.parts.split(",")
    if "cpu" in parts and options.reference:
        for threads in map(int, options.threads.split(",")):
            row_all(full_size_on_cpu(options.reference, threads, options.rounds))
    if "miniature" in parts:
        row_all(miniature(options.images, options.rounds))
    if "gpu" in parts:
        if not (options.dry_run or torch.cuda.is_available()):
            raise SystemExit("The part gpu needs a CUDA device; --dry-run shows its rows on a CPU.")
        setup = generator_gpu.Setup.dry() if options.dry_run else generator_gpu.Setup()
        batches = [int(batch) for batch in options.batches.split(",")]
        row_all(generator_gpu.rows(setup, options.modes.split(","), batches, options.reference))


def machine() -> str:
    """What the figures belong to."""
    model = platform.processor()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return (
        f"{model}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {gpu}; "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )


def row_all(rows: Iterator[tuple[str, str, str]]) -> None:
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)


@dataclass
class Time:
    """CPU and wall seconds."""

    cpu: float
    wall: float


def timed(work: Callable[[], object]) -> Time:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Time(time.process_time() - cpu, time.perf_counter() - wall)


def taking_turns(work: dict[str, Callable[[], object]], rounds: int) -> dict[str, Time]:
    """Each one's fastest of `rounds`, after one that does not count."""
    times: dict[str, list[Time]] = {name: [] for name in work}
    for number in range(1 + rounds):
        for name, function in work.items():
            taken = timed(function)
            if number:
                times[name].append(taken)
    return {name: min(taken, key=lambda t: t.cpu) for name, taken in times.items()}


def full_size_on_cpu(clone: Path, threads: int, rounds: int) -> Iterator[tuple[str, str, str]]:
    torch.set_num_threads(threads)
    steps = 2
    released = Released.build(clone, str(steps))
    ours = {
        "fp32": our_unet(GLIDE_BASE, torch.float32),
        "bf16": our_unet(GLIDE_BASE, torch.bfloat16),
    }
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    x = x.contiguous(memory_format=torch.channels_last)
    work: dict[str, Callable[[], object]] = {"released": lambda: released.guided(x)}
    for name, unet in ours.items():
        work[f"{name} text"] = lambda unet=unet: texts(released, unet, 1)
        text, empty = texts(released, unet, 1)
        denoiser = classifier_free(unet, text, empty.expanded(1), 3.0)
        diffusion = Diffusion(GLIDE_BASE.noise_schedule, str(steps))
        work[f"{name} steps"] = lambda denoiser=denoiser, diffusion=diffusion: ddpm(
            denoiser, x, diffusion, lambda _: torch.zeros_like(x)
        )
    times = taking_turns(work, rounds)
    theirs = times["released"].cpu / steps * STEPS
    with_threads = f"{threads} thread{'s' if threads > 1 else ''}"
    yield f"base, {with_threads}: released code fp32", f"{theirs:.0f} CPU s an image", ""
    t = torch.tensor([500])
    expected = released.model(x, t, **released.captions(1))
    for name, unet in ours.items():
        seconds = times[f"{name} text"].cpu + times[f"{name} steps"].cpu / steps * STEPS
        wall = times["released"].wall / times[f"{name} steps"].wall
        off = (unet(x, t, texts(released, unet, 1)[0]) - expected).abs().max()
        yield (
            f"base, {with_threads}: ours {name}",
            f"{seconds:.0f} CPU s, **{theirs / seconds:.2f}x** (steps by wall: {wall:.2f}x); "
            f"largest difference {off:.1e}",
            ">= 1.25x" if name == "fp32" else ">= 2.4x",
        )


def texts(released: Released, unet: TextUNet, batch: int):
    """The caption's condition, and the empty caption's of one row."""
    return unet.condition(**released.captions(batch)), unet.condition(**released.empty(1))


def miniature(images: int, rounds: int) -> Iterator[tuple[str, str, str]]:
    torch.set_num_threads(2)
    captions = ["a large shiny red sphere to the left of a small matte blue cube"] * images
    for dtype in ("float32", "bfloat16"):
        pipeline = load_pipeline(dtype=dtype)
        for sampler, steps, upsampler_steps in FAST:
            sampling = Sampling(sampler=sampler, steps=steps, upsampler_steps=upsampler_steps)
            try:
                sampling.check()
            except OptionError:
                continue
            work = {"ours": lambda p=pipeline, s=sampling: p.sample(captions, range(images), s)}
            taken = taking_turns(work, rounds)["ours"]
            yield (
                f"miniature, {dtype}, {sampler} {steps} + {upsampler_steps} steps, guided, "
                f"batch {images}, 2 threads",
                f"**{images / taken.wall:.2f} images/s**; {taken.cpu / images:.3f} CPU s an image: "
                f"{2 * images / taken.cpu:.2f} images/s with two cores to itself",
                ">= 4",
            )


if __name__ == "__main__":
    main()
