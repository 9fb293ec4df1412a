"""The GPU path on a GPU made of shapes: copies, waits, precision, memory, errors."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
import torch
from torch import Tensor

from generator.acceleration import GraphedForward, accelerate, accelerate_gradient
from generator.config import ClipConfig, UNetConfig
from generator.devices import fastest_dtype
from generator.diffusion import Diffusion
from generator.errors import GeneratorError, GeneratorWarning, OptionError, TrainingError
from generator.finite import Watch
from generator.layers import GroupNorm32
from generator.loading import load_pipeline
from generator.memory import Halving, free_bytes
from generator.options import Sampling
from generator.pipeline import Pipeline
from generator.samplers import SAMPLERS
from generator.sampling import ddpm
from generator.seeds import BASE, KNOWN, SampleNoise
from generator.stages import Inpainting, Sketched, Stage
from generator.strategies import STRATEGIES
from generator.training.kinds import Batch, unet_loss
from generator.training.loop import Schedule, train
from generator.training.precision import LossScale
from generator.training.processes import joined
from generator.training.state import State
from tests.generator.fake_gpu import Watching, fake_gpu, fake_mode, fake_pipeline

SMALL = UNetConfig(
    image_size=8, num_channels=32, num_res_blocks=1, channel_mult=(1,), num_head_channels=32,
    attention_resolutions=(8,), text_ctx=16, xf_width=32, xf_layers=1, xf_heads=2, n_vocab=48,
    dropout=0.0,
)  # fmt: skip
LARGE = UNetConfig.from_dict(
    {**SMALL.to_dict(), "image_size": 16, "super_res": True, "noise_schedule": "linear"}
)
CLIP = ClipConfig(
    image_size=8, patch_size=4, n_embd=16, n_vocab=48, max_text_len=16, n_head_text=2,
    n_head_state_text=8, n_xf_blocks_text=1, n_head_image=2, n_head_state_image=8,
    n_xf_blocks_image=1,
)  # fmt: skip
CAPTIONS, SEEDS = ["a red cube", "a blue cone"], [1, 2]
SCALES = {name: s.neutral if s.neutral is None else s.neutral + 2 for name, s in STRATEGIES.items()}


MODE = fake_mode()


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    with MODE:
        return fake_pipeline(SMALL, LARGE, CLIP)


@pytest.fixture
def gpu(monkeypatch):
    with fake_gpu(monkeypatch, MODE) as watching:
        yield watching


def steps_of(gpu: Watching, pipeline: Pipeline, sampling: Sampling, kind: str = "") -> Watching:
    """Sample a base picture on the fake GPU, with a mark after each step."""
    gpu.mark()
    gpu.steps.clear()
    pipeline.sample_base(
        CAPTIONS, SEEDS, sampling, stage=stage_of(pipeline, kind), on_step=gpu.mark
    )
    return gpu


def stage_of(pipeline: Pipeline, kind: str) -> Stage:
    source, known = torch.empty(2, 3, 8, 8, device="cuda"), torch.empty(2, 1, 8, 8, device="cuda")
    if kind == "implicit":
        noise = SampleNoise(SEEDS, KNOWN, pipeline.device)
        return Inpainting(pipeline.base, source, known, noise)
    if kind == "model":
        return Inpainting(pipeline.base_inpaint, source, known)
    return Sketched(pipeline.base, source, 0.8) if kind == "sketch" else Stage(pipeline.base)


def expect(gpu: Watching, pinned: int) -> None:
    """At every step but the first, which may prepare, only so many copies and nothing else."""
    assert gpu.steps[1:]
    for step in gpu.steps[1:]:
        assert (step.names, step.pinned <= pinned) == ([], True), step


@pytest.mark.parametrize("strategy", list(STRATEGIES))
@pytest.mark.parametrize("sampler", list(SAMPLERS))
def test_a_step_copies_only_its_noise_and_waits_for_nothing(gpu, pipeline, sampler, strategy):
    sampling = Sampling(strategy, SCALES[strategy], sampler, steps=3)
    expect(steps_of(gpu, pipeline, sampling), pinned=1 if SAMPLERS[sampler].stochastic else 0)
    assert gpu.steps[-1].pinned == 0  # the last step has no noise


@pytest.mark.parametrize(
    "options",
    [
        {"interval": (0.2, 0.7)},
        {"rescale": 0.7, "sampler": "plms"},
        {"threshold": 95.0},
        {"eta": 0.5, "sampler": "ddim"},
        {"strategy": "clip", "interval": (0.2, 0.7)},
    ],
    ids=str,
)
def test_options_of_guidance_add_no_copy_and_no_wait(gpu, pipeline, options):
    expect(steps_of(gpu, pipeline, Sampling(**{"steps": 4} | options)), pinned=1)


@pytest.mark.parametrize(("kind", "pinned"), [("implicit", 2), ("model", 1), ("sketch", 1)])
def test_edits_copy_noise_only(gpu, pipeline, kind, pinned):
    expect(steps_of(gpu, pipeline, Sampling("clip", 2.0, steps=4), kind), pinned)


def test_the_upsampler_copies_noise_only(gpu, pipeline):
    small = torch.empty(2, 3, 8, 8, device="cuda")
    for sampler in ("ddim", "ddpm"):
        gpu.mark()
        gpu.steps.clear()
        sampling = Sampling(upsampler_steps=3, upsampler_sampler=sampler)
        pipeline.upsample(small, CAPTIONS, SEEDS, sampling, on_step=gpu.mark)
        expect(gpu, pinned=1 if sampler == "ddpm" else 0)


def test_preparing_a_picture_waits_for_nothing(gpu, pipeline):
    steps_of(gpu, pipeline, Sampling("clip", 2.0, interval=(0.2, 0.7), rescale=0.0, steps=3))
    assert not gpu.steps[0].waits
    assert not gpu.steps[0].double


def test_a_users_gradient_is_told_t_beside_the_pictures(gpu, pipeline):
    seen = []

    def cond_fn(x: Tensor, t: Tensor) -> Tensor:
        seen.append((t.device.type, t.shape))
        return x

    pipeline.sample_base(CAPTIONS, SEEDS, Sampling(steps=2), cond_fn)
    assert seen == [("cuda", (2,))] * 2


@pytest.mark.parametrize("t", [2, torch.tensor([2, 2])], ids=["one", "each"])
def test_a_step_for_all_rows_gives_the_bytes_of_a_step_for_each(t):
    process, draw = Diffusion("squaredcos_cap_v2", "5"), torch.Generator().manual_seed(0)
    x, noise, gradient = torch.randn((3, 2, 3, 4, 4), generator=draw)
    output = torch.randn((2, 6, 4, 4), generator=draw)
    rows = torch.tensor([2, 2])

    def everything(t):
        found = process.predict(output, x, t)
        scored = process.condition_score(found, x, t, gradient)
        return [
            found.mean, found.log_variance, scored.x_start, process.q_sample(x, t, noise),
            process.ddpm_step(found, t, noise), process.ddim_step(found, x, t, noise, 0.5),
            process.ddim_reverse_step(found, x, t),
        ]  # fmt: skip

    for ours, expected in zip(everything(t), everything(rows), strict=True):
        assert torch.equal(ours, expected)


# Noise drawn ahead


def test_noise_is_drawn_while_the_model_computes(monkeypatch):
    drawn = {number: threading.Event() for number in range(6)}
    noise, draw = SampleNoise(SEEDS, BASE), SampleNoise._drawn

    def recorded(self, number, shape):
        values = draw(self, number, shape)
        drawn[number].set()
        return values

    def model(x: Tensor, t: Tensor) -> Tensor:
        number = len(seen)
        seen.append(int(t[0]))
        if number < 4:  # waits for its step's noise, which nobody has asked for yet
            assert drawn[1 + number].wait(30), f"the noise of step {number} was not drawn ahead"
        return torch.cat([x, x], dim=1)

    process, x, seen = Diffusion("linear", "5"), torch.ones(2, 3, 4, 4), []
    alone = ddpm(lambda x, t: torch.cat([x, x], 1), x, process, lambda n: noise.step(n, (3, 4, 4)))
    monkeypatch.setattr(SampleNoise, "_drawn", recorded)
    with noise.ahead(range(4), (3, 4, 4), threads=1) as ahead:
        assert torch.equal(ddpm(model, x, process, ahead), alone)


def test_noise_drawn_ahead_has_the_bytes_of_noise_drawn_when_needed():
    noise = SampleNoise(SEEDS, KNOWN)
    with noise.ahead([9, 7, 5], (3, 2, 2), threads=2) as ahead:
        for number in (9, 9, 5, 5, 3):  # again, skipped, unforeseen
            assert torch.equal(ahead(number), noise.step(number, (3, 2, 2)))


def test_the_last_step_draws_no_noise():
    asked = []

    def noise(number: int) -> Tensor:
        asked.append(number)
        return torch.zeros(1, 3, 2, 2)

    ddpm(lambda x, t: torch.cat([x, x], 1), torch.ones(1, 3, 2, 2), Diffusion("linear", "5"), noise)
    assert asked == [0, 1, 2, 3]


# Precision


@pytest.mark.parametrize(
    ("dtype", "tf32", "allowed"),
    [(torch.float32, False, False), (torch.float32, True, True), (torch.bfloat16, False, True)],
)
def test_float32_is_not_tf32_unless_asked_for(dtype, tf32, allowed, monkeypatch):
    seen, direct = set(), torch.nn.Conv2d.forward

    def forward(self, input):
        seen.add((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32))
        return direct(self, input)

    monkeypatch.setattr(torch.nn.Conv2d, "forward", forward)
    # The weights are whatever was in memory.
    monkeypatch.setattr(Watch, "require_finite", lambda self, x, captions, seeds: x)
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    pipeline = fake_pipeline(SMALL, LARGE, CLIP, dtype, "cpu", tf32=tf32)
    sampling = Sampling(steps=1, upsampler_steps=1)
    pipeline.upsample(pipeline.sample_base(CAPTIONS, SEEDS, sampling), CAPTIONS, SEEDS, sampling)
    assert seen == {(allowed, allowed)}
    assert before == (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)


@pytest.mark.parametrize(("capability", "dtype"), [((7, 5), "float16"), ((8, 0), "bfloat16")])
def test_cards_without_bfloat16_units_sample_in_float16(monkeypatch, capability, dtype):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert fastest_dtype(torch.device("cuda")) == dtype
    assert fastest_dtype(torch.device("cpu")) == "float32"
    assert fastest_dtype(torch.device("mps")) == "float16"


# Devices


@pytest.mark.parametrize(
    ("name", "cards", "words"),
    [("cuda", 0, "no CUDA device"), ("cuda:3", 2, "found 2 CUDA devices"), ("mps", 0, "no Apple"),
     ("gpu", 0, "Unknown device 'gpu'")],
)  # fmt: skip
def test_a_missing_device_is_one_line(monkeypatch, name, cards, words):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cards > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    with pytest.raises(OptionError, match=words) as error:
        load_pipeline(device=name)
    assert "\n" not in str(error.value)


def test_free_memory_is_told_where_the_system_counts_no_free_pages(monkeypatch):
    names = {name: n for name, n in os.sysconf_names.items() if name != "SC_AVPHYS_PAGES"}
    monkeypatch.setattr(os, "sysconf_names", names)
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert free_bytes(torch.device("cpu")) == total // 2
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 9)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 4)
    assert free_bytes(torch.device("mps")) == 5


def out_of_memory_while_recording(function):
    """What torch does: the recording's end fails too, and its error hides the first."""
    try:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    finally:
        raise RuntimeError("CUDA error: operation failed due to a previous error during capture")


def test_running_out_of_memory_while_recording_halves_the_batch():
    unet = torch.nn.Linear(1, 1)
    forward = GraphedForward([unet.forward], out_of_memory_while_recording)
    text = type("Text", (), {"summary": torch.zeros(1), "text_kv": []})()
    made = []

    def make(part: slice) -> np.ndarray:
        made.append(part)
        if len(made) == 1:
            with torch.no_grad():
                forward(torch.zeros(4, 1), torch.zeros(4), text)
        return np.arange(4)[part]

    with pytest.warns(GeneratorWarning, match="making 4 pictures at once: going on with 2"):
        rows = Halving().run(make, 0, 4)
    np.testing.assert_array_equal(rows, np.arange(4))


@pytest.mark.parametrize("words", ["CUBLAS_STATUS_ALLOC_FAILED", "MPS backend out of memory"])
def test_other_words_for_a_full_memory_halve_the_batch_too(words):
    def make(part: slice) -> np.ndarray:
        if part.stop - part.start > 2:
            raise RuntimeError(words)
        return np.arange(4)[part]

    with pytest.warns(GeneratorWarning, match="going on with 2"):
        np.testing.assert_array_equal(Halving().run(make, 0, 4), np.arange(4))


def test_a_device_that_disappears_is_named(monkeypatch):
    pipeline = fake_pipeline(SMALL, LARGE, CLIP, device="cpu")
    pipeline.device = torch.device("cuda:0")

    def lost(*_, **__):
        raise RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might …")

    monkeypatch.setattr(SampleNoise, "initial", lost)
    with pytest.raises(GeneratorError, match=r"cuda:0 no longer answers.*unspecified") as error:
        pipeline.sample_base(CAPTIONS, SEEDS, Sampling(steps=1))
    assert "\n" not in str(error.value)


def test_running_out_of_memory_in_training_is_one_paragraph(tmp_path):
    def loss(rng, torch_rng):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    schedule = Schedule(steps=2, lr=1e-3)
    with pytest.raises(TrainingError, match=r"ran out of memory at step 1\b.*micro-batch") as error:
        train(torch.nn.Linear(1, 1), loss, schedule, tmp_path / "state.pt", log=lambda _: None)
    assert "\n" not in str(error.value)


def test_more_processes_than_cards_are_refused(monkeypatch):
    for name, value in (("WORLD_SIZE", "2"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    refused = pytest.raises(OptionError, match=r"'cuda:1' is not there: found 1 CUDA device,")
    with refused, joined("cuda"):
        pass


# Kernels


class OneLaunch:
    """Stands in for CUDA graphs: what is recorded counts as one kernel."""

    def __init__(self, gpu: Watching):
        self.gpu = gpu

    def __call__(self, function):
        self.gpu.counting = False
        output = function()
        self.gpu.counting = True

        def replay():
            self.gpu.now.kernels += 1
            return output

        return replay


@pytest.mark.parametrize(
    ("strategy", "sampler", "most"),
    [
        ("unguided", "ddpm", 21), ("unguided", "ddim", 23), ("classifier_free", "ddpm", 26),
        ("classifier_free", "dpm++2m", 31), ("clip", "ddpm", 29),
    ],
)  # fmt: skip
def test_few_kernels_are_launched_beside_the_graphs(gpu, strategy, sampler, most):
    model = fake_pipeline(SMALL, LARGE, CLIP)
    accelerate(model.base, "graphs", OneLaunch(gpu))
    accelerate_gradient(model.clip, "graphs", OneLaunch(gpu))
    steps_of(gpu, model, Sampling(strategy, SCALES[strategy], sampler, steps=5))
    assert max(step.kernels for step in gpu.steps[1:]) <= most


@torch.no_grad()
def test_norms_convert_their_weights_once(gpu):
    with torch.device("cuda"):
        norm = GroupNorm32(8, 32).requires_grad_(False)
    x = torch.empty(2, 32, 4, 4, dtype=torch.float16, device="cuda")
    for _ in range(3):
        gpu.mark()
        norm(x)
    gpu.mark()
    assert [step.kernels for step in gpu.steps[1:]] == [3, 1, 1]  # two conversions, and norms


def test_the_moving_average_is_one_operation(gpu):
    with torch.device("cuda"):
        model = torch.nn.Sequential(*[torch.nn.Linear(2, 2) for _ in range(20)])
    state = State(model, [], LossScale(False), {})
    gpu.mark()
    state.average(0.9)
    assert gpu.now.kernels == 1


def test_a_loss_copies_nothing_but_its_batch(gpu, pipeline, monkeypatch):
    # Random numbers of a device's own generator need a real device.
    for name in ("randint", "randn", "rand"):
        drawn = getattr(torch, name)
        monkeypatch.setattr(torch, name, lambda *a, generator, drawn=drawn, **k: drawn(*a, **k))
    process = Diffusion(SMALL.noise_schedule)
    x = torch.empty(2, 3, 8, 8, device="cuda")
    tokens = torch.zeros((2, 16), dtype=torch.int64, device="cuda")
    batch = Batch(x, tokens, tokens > 0)
    for _ in range(2):
        gpu.mark()
        unet_loss(
            pipeline.base, process, batch, torch.Generator(), torch.float32, own=5, max_weight=4.0
        )
    gpu.mark()
    assert (gpu.steps[-1].names, gpu.steps[-1].pinned) == ([], 0)
