"""The generator on a GPU: speed, memory, synchronisations, halving (`benchmarks.generator`).

Everything goes through `Pipeline`, with the noise, checks and samplers of the product; weights are
random and built once. `Setup.dry()` runs the same rows on a CPU with tiny networks, to show that
they run: its figures mean nothing.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import math
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.released import Released
from generator.acceleration import accelerate
from generator.checkpoints import low_precision_entries
from generator.config import GLIDE_BASE, GLIDE_UPSAMPLE, UNetConfig
from generator.errors import GeneratorWarning
from generator.networks import LazyModel
from generator.options import Sampling
from generator.pipeline import Pipeline
from generator.tabletop.words import WordTokenizer
from generator.text_unet import TextUNet

Row = tuple[str, str, str]
CAPTION = "a red cube"


@dataclass(frozen=True)
class Setup:
    """What is run, and where.

    Attributes:
        device: of everything.
        base: its config; `upsampler` likewise.
        steps: of the base model; the upsampler takes 27.
        matrix: side of the matrices whose products give the device's rate.
        dtype: of the torsos.
    """

    device: str = "cuda"
    base: UNetConfig = GLIDE_BASE
    upsampler: UNetConfig = GLIDE_UPSAMPLE
    steps: int = 100
    matrix: int = 8192
    dtype: torch.dtype = torch.bfloat16

    @classmethod
    def dry(cls) -> Setup:
        """Tiny networks on a CPU."""
        small = UNetConfig(
            image_size=8, num_channels=32, num_res_blocks=1, channel_mult=(1,),
            num_head_channels=32, attention_resolutions=(8,), text_ctx=16, xf_width=32,
            xf_layers=1, xf_heads=2, dropout=0.0,
        )  # fmt: skip
        large = UNetConfig.from_dict(
            {**small.to_dict(), "image_size": 16, "super_res": True, "noise_schedule": "linear"}
        )
        return cls("cpu", small, large, steps=2, matrix=64)

    @property
    def real(self) -> bool:
        """Whether figures mean something."""
        return self.device == "cuda"

    def sampling(self) -> Sampling:
        """Guided, as in the paper."""
        return Sampling("classifier_free", 3.0, steps=self.steps)

    def wait(self) -> None:
        """Return once the device has done what it was given."""
        if self.real:
            torch.cuda.synchronize()


def rows(
    setup: Setup, modes: Sequence[str], batches: Sequence[int], clone: Path | None
) -> Iterator[Row]:
    """Yield (what, figure, target), the cheapest first."""
    yield from machine_rows()
    yield "peak memory, one image, fp16, low_memory", peak_memory(setup), "<= 1.0 GB"
    base, upsampler = (random_unet(c, setup) for c in (setup.base, setup.upsampler))
    pipeline = pipeline_of(base, upsampler, setup, setup.dtype)
    yield "synchronisations per step", synchronisations(pipeline, setup), "0"
    yield "halving under a memory cap", halving(pipeline, setup), "goes on, 16 images"
    rate, work = matrix_rate(setup), picture_flop(setup)
    yield f"bf16 matrix rate, {setup.matrix} x {setup.matrix}", f"{rate / 1e12:.3g} TFLOP/s", ""
    yield "work of a picture, guided", f"{work / 1e12:.3g} TFLOP", ""
    best = 0.0
    for mode in modes:
        for unet in (base, upsampler):
            vars(unet).pop("forward", None)  # what another mode put there
            accelerate(unet, mode)
        for batch, speed, joules in speeds(lambda n: drawing(pipeline, setup, n), batches, setup):
            best = max(best, speed)
            yield f"ours, bf16, {mode}, batch {batch}", f"{speed:.3g} images/s{joules}", ""
    if best:
        yield "seconds per image, best", f"**{1 / best:.3f}**", "<= 0.25"
        yield "share of the bf16 matrix rate", f"**{best * work / rate:.0%}**", ">= 45%"
    if clone is not None and setup.real:
        theirs = 0.0
        for batch, speed, joules in speeds(lambda n: released(clone, n), batches, setup):
            theirs = max(theirs, speed)
            yield f"released code, fp16, batch {batch}", f"{speed:.3g} images/s{joules}", ""
        yield "images/s, ours over released", f"**{best / theirs:.2f}x**", ">= 4x"


def machine_rows() -> Iterator[Row]:
    """The card, its driver, and the libraries."""
    asked = ["nvidia-smi", "--query-gpu=name,driver_version,power.limit,memory.total",
             "--format=csv,noheader"]  # fmt: skip
    found = "no driver"
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        found = subprocess.run(
            asked, capture_output=True, text=True, check=True, timeout=30
        ).stdout.strip()
    yield "card, driver, power limit, memory", found.replace("\n", "; "), ""
    cudnn = torch.backends.cudnn.version()
    yield "torch, CUDA, cuDNN", f"{torch.__version__}, {torch.version.cuda}, {cudnn}", ""


def random_unet(config: UNetConfig, setup: Setup, dtype: torch.dtype | None = None) -> TextUNet:
    """A UNet as `loading` places it, with weights of the usual size drawn on the device."""
    with torch.device("meta"):
        unet = TextUNet(config).eval()
    low, state = low_precision_entries(unet), {}
    for name, value in unet.state_dict().items():
        fan = math.prod(value.shape[1:]) if value.dim() > 1 else 1
        drawn = torch.randn(value.shape, device=setup.device) / math.sqrt(fan)
        drawn = 1 + 0.02 * drawn if value.dim() == 1 and name.endswith("weight") else drawn
        last = torch.channels_last if value.dim() == 4 else torch.contiguous_format
        state[name] = drawn.to((dtype or setup.dtype) if name in low else torch.float32).contiguous(
            memory_format=last
        )
    unet.load_state_dict(state, assign=True)
    return unet.requires_grad_(False)


def pipeline_of(base, upsampler, setup: Setup, dtype: torch.dtype, low_memory: bool = False):
    """A pipeline whose captions are read by the tabletop's words: any ids take the same time."""
    clip: LazyModel[nn.Module] = LazyModel(lambda: None, nn.Identity)
    return Pipeline(
        base, upsampler, clip, WordTokenizer(), {}, torch.device(setup.device), dtype,
        low_memory=low_memory,
    )  # fmt: skip


def drawing(pipeline: Pipeline, setup: Setup, batch: int) -> Callable[[], object]:
    """Draw a batch, from captions to pictures on the CPU."""
    captions, seeds = [CAPTION] * batch, list(range(batch))
    return lambda: pipeline.sample(captions, seeds, setup.sampling())


def speeds(
    prepare: Callable[[int], Callable[[], object]], batches: Sequence[int], setup: Setup
) -> Iterator[tuple[int, float, str]]:
    """Images per second of each batch size that fits, and joules; the first run records."""
    for batch in batches:
        gc.collect()
        if setup.real:
            torch.cuda.empty_cache()
        try:
            work = prepare(batch)
            work()
            setup.wait()
            energy, began = joules(), time.perf_counter()
            work()
            setup.wait()
            seconds, used = time.perf_counter() - began, joules()
        except torch.OutOfMemoryError:
            return
        told = "" if energy is None or used is None else f", {(used - energy) / batch:.1f} J/image"
        yield batch, batch / seconds, told


def joules() -> float | None:
    """What the card has used since its driver began, if the driver tells."""
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
        card = nvml.nvmlDeviceGetHandleByIndex(torch.cuda.current_device())
        return nvml.nvmlDeviceGetTotalEnergyConsumption(card) / 1e3
    except Exception:  # absent, too old, or a card that doesn't count: then it is not told
        return None


def matrix_rate(setup: Setup, repeats: int = 30) -> float:
    """FLOP/s of the fastest of some bf16 products of random matrices."""
    size = setup.matrix
    a, b = (torch.randn(size, size, device=setup.device, dtype=torch.bfloat16) for _ in range(2))
    out, fastest = torch.empty_like(a), float("inf")
    for _ in range(repeats):
        setup.wait()
        began = time.perf_counter()
        torch.mm(a, b, out=out)
        setup.wait()
        fastest = min(fastest, time.perf_counter() - began)
    return 2 * size**3 / fastest


def picture_flop(setup: Setup) -> float:
    """Multiplications and additions of the torsos for one picture, counted on shapes alone."""
    total = 0.0
    for config, forwards in ((setup.base, 2 * setup.steps), (setup.upsampler, 27)):
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


def peak_memory(setup: Setup) -> str:
    """The allocator's, of one picture in fp16 with one network at a time."""

    def lazy(config: UNetConfig) -> LazyModel[TextUNet]:
        return LazyModel(lambda: config, lambda: random_unet(config, setup, torch.float16))

    pipeline = pipeline_of(
        lazy(setup.base), lazy(setup.upsampler), setup, torch.float16, low_memory=True
    )
    if setup.real:
        torch.cuda.reset_peak_memory_stats()
    pipeline.sample([CAPTION], [0], setup.sampling())
    if not setup.real:
        return "not measured on a CPU"
    return f"**{torch.cuda.max_memory_allocated() / 1e9:.2f} GB**"


def synchronisations(pipeline: Pipeline, setup: Setup) -> str:
    """How many more times a longer sampling waits for the device, per step more."""
    if not setup.real:
        drawing(pipeline, setup, 1)()
        return "not counted on a CPU"
    counts = {}
    drawing(pipeline, setup, 1)()  # prepares kernels
    torch.cuda.set_sync_debug_mode("warn")
    try:
        for steps in (5, 15):
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                pipeline.sample_base([CAPTION], [0], Sampling("classifier_free", 3.0, steps=steps))
            counts[steps] = sum("synchroniz" in str(one.message) for one in said)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return f"**{(counts[15] - counts[5]) / 10:g}**"


def halving(pipeline: Pipeline, setup: Setup) -> str:
    """Draw 16 pictures in memory for a few, by the allocator's cap."""
    if setup.real:
        gc.collect()
        torch.cuda.empty_cache()
        _, total = torch.cuda.mem_get_info()
        cap = torch.cuda.memory_allocated() + 2 * 2**30
        torch.cuda.set_per_process_memory_fraction(cap / total)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            made = pipeline.sample([CAPTION] * 16, range(16), setup.sampling())
    finally:
        if setup.real:
            torch.cuda.set_per_process_memory_fraction(1.0)
        pipeline.halving.most = None
    halved = sum(issubclass(one.category, GeneratorWarning) for one in said)
    return f"{len(made)} images, halved {halved} times"


def released(clone: Path, batch: int) -> Callable[[], object]:
    """The released code's picture, in fp16."""
    base = Released.build(clone, "100", fp16=True, device="cuda")
    upsampler = Released.build(clone, "fast27", upsampler=True, fp16=True, device="cuda")

    def work() -> object:
        small = base.guided(torch.randn(batch, 3, 64, 64, device="cuda"))
        return upsampler.upsampled(torch.randn(batch, 3, 256, 256, device="cuda"), small)

    return work
