"""Speed and memory of the generator: `python -m benchmarks.generator --reference CLONE`.

`--reference` names a clone of openai/glide-text2im; without it, comparisons are left out. Parts:

cpu        Full-size base, guided, one picture. The released code, our fp32 and our bf16 take turns
           in one process; a row is the fastest of each one's rounds. CPU seconds, which a busy
           machine disturbs less than wall time; a picture of 100 steps is reading the captions
           once and 100 times a step (the released code reads them again at every step, so its
           steps contain that). Outputs of one forward are compared.
miniature  Whole pictures at 128 px, in a batch, with two threads: wall and CPU time. Samplers this
           version lacks are left out.
gpu        Full-size base and upsampler, 100 + 27 steps, guided, random weights. Images per second
           for each acceleration and batch size, wall time around a synchronised second run (the
           first compiles and records); the best is set beside the released code's best in fp16. The
           share of the matrix rate is the counted work of the pictures over time, over the best
           rate of bf16 products of random 8192 x 8192 matrices, measured just before with device
           events. Peak memory is the allocator's, of one picture in fp16, models one at a time.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.released import Released, our_unet
from generator.allocator import keep_freed_memory
from generator.config import GLIDE_BASE, GLIDE_UPSAMPLE
from generator.diffusion import Diffusion
from generator.errors import OptionError
from generator.guidance import classifier_free, unguided
from generator.loading import load_pipeline
from generator.memory import activation_bytes
from generator.options import Sampling
from generator.sampling import ddim, ddpm
from generator.text_unet import TextUNet

STEPS = 100
BATCHES = (1, 4, 16, 32, 64)
FAST = (("dpm++2m", 10, 3), ("ddim", 10, 3), ("ddim", 25, 6))  # sampler, steps, upsampler steps


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reference", type=Path, help="a clone of openai/glide-text2im")
    parser.add_argument("--parts", default="cpu,miniature,gpu")
    parser.add_argument("--threads", default="1,2", help="for the part cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=16, help="in the miniature's batch")
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    keep_freed_memory()
    print(f"{machine()}\n\n| what | figure | to reach |\n| --- | --- | --- |", flush=True)
    parts = options.parts.split(",")
    if "cpu" in parts and options.reference:
        for threads in map(int, options.threads.split(",")):
            row_all(full_size_on_cpu(options.reference, threads, options.rounds))
    if "miniature" in parts:
        row_all(miniature(options.images, options.rounds))
    if "gpu" in parts:
        has_gpu = torch.cuda.is_available()
        row_all(full_size_on_gpu(options.reference) if has_gpu else no_gpu())


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


def no_gpu() -> Iterator[tuple[str, str, str]]:
    yield "base + upsampler, 100 + 27 steps, GPU", "not run: no GPU here", ">= 2.5x released"
    yield "share of the measured bf16 matrix rate", "not run", ">= 35%"
    yield "seconds an image at 256 px", "not run", "<= 0.35"
    yield "peak GPU memory, one 256 px image, fp16", "not run", "<= 2.5 GB"


def full_size_on_gpu(clone: Path | None) -> Iterator[tuple[str, str, str]]:
    memory = peak_memory()
    yield "peak GPU memory, one 256 px image, fp16", f"**{memory / 1e9:.2f} GB**", "<= 2.5 GB"
    rate = matrix_rate()
    yield "bf16 matrix rate, 8192 x 8192", f"{rate / 1e12:.0f} TFLOP/s", ""
    work = picture_flop()
    yield "work of a picture, 100 guided + 27 steps", f"{work / 1e12:.1f} TFLOP", ""
    best = 0.0
    for mode in ("none", "graphs", "compile"):
        for batch, speed in speeds(lambda n, mode=mode: ours_on_gpu(mode, n)):
            best = max(best, speed)
            yield f"ours, bf16, {mode}, batch {batch}", f"{speed:.3f} images/s", ""
    yield "seconds an image at 256 px, best batch", f"**{1 / best:.3f}**", "<= 0.35"
    yield "share of the measured bf16 matrix rate", f"**{best * work / rate:.0%}**", ">= 35%"
    if clone is None:
        return
    theirs = 0.0
    for batch, speed in speeds(lambda n: released_on_gpu(clone, n)):
        theirs = max(theirs, speed)
        yield f"released code, fp16, batch {batch}", f"{speed:.3f} images/s", ""
    yield "images/s, ours over released", f"**{best / theirs:.2f}x**", ">= 2.5x"


def matrix_rate(size: int = 8192, repeats: int = 30) -> float:
    """FLOP/s of the fastest of some bf16 products of random matrices."""
    a, b = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    out = torch.empty_like(a)
    fastest = float("inf")
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        torch.mm(a, b, out=out)
        end.record()
        end.synchronize()
        fastest = min(fastest, start.elapsed_time(end) / 1e3)
    return 2 * size**3 / fastest


def picture_flop() -> float:
    """Multiplications and additions of the torsos for one picture, counted on shapes alone."""
    total = 0.0
    for config, forwards in ((GLIDE_BASE, 2 * STEPS), (GLIDE_UPSAMPLE, 27)):
        with torch.device("meta"):
            unet = TextUNet(config).eval()
            tokens = torch.empty(1, config.text_ctx, dtype=torch.int64)
            text = unet.condition(tokens, torch.ones(1, config.text_ctx) > 0)
            x = torch.empty(1, 3, config.image_size, config.image_size)
            low = torch.empty(1, 3, 64, 64) if config.super_res else None
            with FlopCounterMode(display=False) as counter:
                unet(x, torch.empty(1), text, low_res=low)
        total += forwards * counter.get_total_flops()
    return total


def speeds(prepare: Callable[[int], Callable[[], object]]) -> Iterator[tuple[int, float]]:
    """Images per second for each batch size that fits; `prepare` gives the work of a batch."""
    for batch in BATCHES:
        gc.collect()
        torch.cuda.empty_cache()
        try:
            work = prepare(batch)
            work()
            torch.cuda.synchronize()
            yield batch, batch / timed(lambda work=work: (work(), torch.cuda.synchronize())).wall
        except torch.OutOfMemoryError:
            return


def ours_on_gpu(mode: str, batch: int, dtype: torch.dtype = torch.bfloat16):
    base, upsampler = (
        our_unet(config, dtype, "cuda", mode) for config in (GLIDE_BASE, GLIDE_UPSAMPLE)
    )

    def work() -> Tensor:
        return upsampled(upsampler, guided(base, batch))

    return work


def guided(base: TextUNet, batch: int) -> Tensor:
    """Small pictures, 100 steps."""
    text, empty = (fixed_text(base, n) for n in (batch, 1))
    x = noise(batch, 64)
    diffusion = Diffusion(GLIDE_BASE.noise_schedule, str(STEPS))
    denoiser = classifier_free(base, text, empty.expanded(batch), 3.0)
    return ddpm(denoiser, x, diffusion, lambda _: torch.randn_like(x)).clamp(-1, 1)


def upsampled(upsampler: TextUNet, small: Tensor) -> Tensor:
    """Their 256 px pictures, 27 steps."""
    diffusion = Diffusion(GLIDE_UPSAMPLE.noise_schedule, "fast27")
    denoiser = unguided(upsampler, fixed_text(upsampler, len(small)), small)
    return ddim(denoiser, noise(len(small), 256), diffusion)


def fixed_text(unet: TextUNet, batch: int):
    """The condition of a caption of eight arbitrary tokens."""
    tokens = torch.arange(unet.config.text_ctx, device="cuda").expand(batch, -1)
    return unet.condition(tokens, tokens < 8)


def noise(batch: int, size: int) -> Tensor:
    x = torch.randn(batch, 3, size, size, device="cuda")
    return x.contiguous(memory_format=torch.channels_last)


def released_on_gpu(clone: Path, batch: int):
    base = Released.build(clone, str(STEPS), fp16=True, device="cuda")
    upsampler = Released.build(clone, "fast27", upsampler=True, fp16=True, device="cuda")

    def work() -> Tensor:
        small = base.guided(torch.randn(batch, 3, 64, 64, device="cuda"))
        return upsampler.upsampled(torch.randn(batch, 3, 256, 256, device="cuda"), small)

    return work


def peak_memory() -> int:
    """Of one picture in fp16: each model is loaded for its stage and let go of."""
    torch.cuda.reset_peak_memory_stats()
    base = our_unet(GLIDE_BASE, torch.float16, "cuda", "none")
    small = guided(base, 1)
    del base
    gc.collect()
    upsampled(our_unet(GLIDE_UPSAMPLE, torch.float16, "cuda", "none"), small)
    torch.cuda.synchronize()
    counted = activation_bytes(GLIDE_UPSAMPLE, torch.float16)
    peak = torch.cuda.max_memory_allocated()
    if counted > peak:
        warnings.warn(f"the memory model says {counted}, above all that was held", stacklevel=2)
    return peak


if __name__ == "__main__":
    main()
