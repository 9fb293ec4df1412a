"""Half-precision torsos, accelerated forwards, batches that fit memory, the allocator."""

from __future__ import annotations

import platform
import subprocess
import sys
import warnings
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import generator.unet
from generator.acceleration import GraphedForward, accelerate
from generator.clip import Clip
from generator.config import GLIDE_BASE, GLIDE_UPSAMPLE
from generator.errors import GeneratorWarning, OptionError
from generator.guidance import classifier_free
from generator.memory import Halving, activation_bytes, batch_that_fits
from generator.options import Sampling
from generator.pipeline import Pipeline
from generator.tabletop.words import WordTokenizer
from generator.text_unet import TextUNet
from generator.winograd import WinogradConv2d, use_winograd
from tests.generator.recipe import golden, with_recipe_weights
from tests.generator.test_goldens import TINY
from tests.generator.test_sampling import TINY as SMALL
from tests.generator.test_sampling import TINY_CLIP as SMALL_CLIP
from tests.generator.test_sampling import TINY_UP as SMALL_UP

GIB = 2**30


@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad():
        yield


@pytest.fixture
def base() -> TextUNet:
    return with_recipe_weights(TextUNet(TINY))


def inputs(unet: TextUNet):
    data = golden("tiny_unets")
    x, t, tokens, mask = (
        torch.from_numpy(data[f"base_{name}"]) for name in ("x", "t", "pad_tokens", "pad_mask")
    )
    return x, t, unet.condition(tokens, mask)


# Half precision


@pytest.mark.parametrize(("dtype", "error"), [(torch.bfloat16, 6e-2), (torch.float16, 8e-3)])
def test_a_half_precision_torso_is_as_near_as_its_digits_allow(base, dtype, error):
    expected = torch.from_numpy(golden("tiny_unets")["base_pad_out"])
    base.cast_torso(dtype)
    out = base(*inputs(base))
    assert out.dtype == torch.float32
    off = (out - expected).abs().max().item()
    assert error / 50 < off < error


def test_a_half_precision_torso_keeps_norms_text_time_and_head_in_fp32(base):
    base.cast_torso(torch.bfloat16)
    half = {name for name, value in base.state_dict().items() if value.dtype == torch.bfloat16}
    assert "input_blocks.1.0.in_layers.2.weight" in half
    assert "middle_block.1.qkv.weight" in half
    assert not [name for name in half if name.startswith(("out.", "time", "transformer", "token"))]
    assert not [name for name in half if "norm" in name or "emb_layers" in name]


def test_a_half_precision_torso_holds_half_the_bytes():
    with torch.device("meta"):
        unet = TextUNet(GLIDE_BASE).cast_torso(torch.float16)
    assert sum(p.numel() * p.element_size() for p in unet.parameters()) < 1.1 * GIB


def test_inference_and_training_compute_the_same(base):
    x, t, text = inputs(base)
    plain = base(x, t, text)
    with torch.enable_grad():
        torch.testing.assert_close(base(x, t, text), plain, rtol=0, atol=1e-5)
    x, t, text = inputs(base.cast_torso(torch.bfloat16))
    plain = base(x, t, text)
    with torch.enable_grad():
        torch.testing.assert_close(base(x, t, text), plain, rtol=0, atol=6e-2)


def test_the_empty_caption_read_once_guides_every_row(base):
    x, t, text = inputs(base)
    tokens, mask = torch.full((1, 16), 50256), torch.zeros(1, 16, dtype=torch.bool)
    one = base.condition(tokens, mask).expanded(2)
    each = base.condition(tokens.repeat(2, 1), mask.repeat(2, 1))
    torch.testing.assert_close(
        classifier_free(base, text, one, 3.0)(x, t), classifier_free(base, text, each, 3.0)(x, t)
    )


# Acceleration


class Recorder:
    """Stands in for CUDA graphs: replays on the recorded tensors, into one output, counting."""

    def __init__(self):
        self.recorded = self.replayed = 0

    def __call__(self, function):
        self.recorded += 1
        output = function()

        def replay():
            self.replayed += 1
            return output.copy_(function())

        return replay


def test_replayed_graphs_give_what_the_network_gives(base):
    plain, recorder = base.forward, Recorder()
    fast = GraphedForward([plain], recorder)
    x, t, text = inputs(base)
    swapped = base.condition(*(torch.from_numpy(golden("tiny_unets")[f"base_full_{name}"])
                               for name in ("tokens", "mask")))  # fmt: skip
    kept = [fast(x, t, text), fast(2 * x, t - 5, text), fast(x, t, swapped), fast(x, t, text)]
    wanted = [plain(x, t, text), plain(2 * x, t - 5, text), plain(x, t, swapped), plain(x, t, text)]
    for ours, expected in zip(kept, wanted, strict=True):  # earlier outputs are not overwritten
        torch.testing.assert_close(ours, expected, rtol=0, atol=0)
    assert (recorder.recorded, recorder.replayed) == (1, 4)


def test_each_batch_size_has_a_graph_and_few_are_kept(base):
    recorder = Recorder()
    fast = GraphedForward([base.forward], recorder)
    x, t, text = inputs(base)
    one = generator_rows(text)
    for rows in (1, 2, 1, 2):
        fast(x[:1].repeat(rows, 1, 1, 1), t[:1].repeat(rows), one.expanded(rows))
    assert recorder.recorded == 2
    for rows in (3, 4, 5, 1):  # the fifth shape drops the oldest
        fast(x[:1].repeat(rows, 1, 1, 1), t[:1].repeat(rows), one.expanded(rows))
    assert recorder.recorded == 6


def generator_rows(text):
    return type(text)(text.summary[:1], [kv[:1] for kv in text.text_kv])


def test_a_failed_recording_falls_back_and_says_so(base):
    def refuse(function):
        raise RuntimeError("operation not permitted when stream is capturing")

    fast = GraphedForward([base.forward], refuse)
    with pytest.warns(GeneratorWarning, match=r"not permitted.*unaccelerated.*accelerate = 'none'"):
        out = fast(*inputs(base))
    torch.testing.assert_close(out, base(*inputs(base)))
    fast(*inputs(base))  # no second attempt, no second warning


def test_a_failed_compilation_falls_back_to_plain_graphs(base):
    def broken(*_, **__):
        raise RuntimeError("no compiler")

    recorder = Recorder()
    fast = GraphedForward([broken, base.forward], recorder)
    with pytest.warns(GeneratorWarning, match=r"no compiler.*plain CUDA graph"):
        out = fast(*inputs(base))
    torch.testing.assert_close(out, base(*inputs(base)))
    assert recorder.replayed == 1


def test_running_out_of_memory_is_the_callers_to_handle(base):
    def full(function):
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        GraphedForward([base.forward], full)(*inputs(base))


def test_gradients_pass_by_the_graphs(base):
    fast = GraphedForward([base.forward], Recorder())
    x, t, text = inputs(base)
    with torch.enable_grad():
        x.requires_grad_(True)
        assert torch.autograd.grad(fast(x, t, text).sum(), x)[0].abs().sum() > 0


@pytest.mark.parametrize("mode", ["auto", "none", "graphs", "compile"])
def test_on_a_cpu_no_forward_is_replaced(base, mode):
    forward = base.forward
    assert accelerate(base, mode).forward == forward


def test_an_unknown_acceleration_is_named(base):
    with pytest.raises(OptionError, match="warp"):
        accelerate(base, "warp")


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["graphs", "compile"])
def test_accelerated_forwards_on_cuda_equal_plain_ones(base, mode):
    base.to("cuda")
    x, t, text = inputs_on_cuda(base)
    plain = [base(x, t, text), base(2 * x, t, text)]
    accelerate(base, mode)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the compiler's advice
        warnings.simplefilter("error", GeneratorWarning)  # nothing was recorded
        fast = [base(x, t, text), base(2 * x, t, text)]
    assert base.forward.recorded == 1
    for ours, expected in zip(fast, plain, strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=0 if mode == "graphs" else 1e-2)


@pytest.mark.gpu
@pytest.mark.parametrize(("dtype", "error"), [(torch.bfloat16, 6e-2), (torch.float16, 8e-3)])
def test_a_half_precision_torso_on_cuda_is_as_near_as_on_a_cpu(base, dtype, error):
    expected = torch.from_numpy(golden("tiny_unets")["base_pad_out"])
    base.cast_torso(dtype).to("cuda").to(memory_format=torch.channels_last)
    out = base(*inputs_on_cuda(base)).cpu()
    assert (out - expected).abs().max() < error


def inputs_on_cuda(unet):
    data = golden("tiny_unets")
    x, t, tokens, mask = (
        torch.from_numpy(data[f"base_{name}"]).cuda()
        for name in ("x", "t", "pad_tokens", "pad_mask")
    )
    return x, t, unet.condition(tokens, mask)


# Winograd


@pytest.mark.parametrize(("height", "width"), [(8, 12), (2, 2)])
def test_winograd_convolutions_equal_direct_ones(height, width):
    draw = torch.Generator().manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(192, 200, 3, padding=1), torch.nn.Identity())
    for parameter in network.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=draw) / 40)
    x = torch.randn(3, 192, height, width, generator=draw)
    exact = network.double()(x.double())
    network.float()
    direct, names = network(x), set(network.state_dict())
    use_winograd(network)
    ours = network(x)
    assert not torch.equal(ours, direct)  # another way was taken
    assert (ours - exact).abs().max() < 5e-6 < 1 < exact.abs().max()
    assert set(network.state_dict()) == names
    assert network(x[:, :, : height - 1]).shape == (3, 200, height - 1, width)  # odd: direct
    coarse = network.bfloat16()(x.bfloat16())  # transformed again for its dtype
    assert (coarse - exact).abs().max() < 0.05


def test_only_wide_plain_convolutions_are_changed():
    kinds = {
        "wide": torch.nn.Conv2d(192, 192, 3, padding=1),
        "narrow": torch.nn.Conv2d(192, 6, 3, padding=1),
        "strided": torch.nn.Conv2d(192, 192, 3, padding=1, stride=2),
        "pointwise": torch.nn.Conv2d(192, 192, 1),
    }
    use_winograd(torch.nn.ModuleDict(kinds))
    assert [name for name, m in kinds.items() if isinstance(m, WinogradConv2d)] == ["wide"]


# Memory


class LiveBytes(TorchDispatchMode):
    """Counts bytes of living tensors other than a network's weights, and their highest sum."""

    def __init__(self, network):
        super().__init__()
        self.live = self.peak = 0
        self.seen = {p.untyped_storage()._cdata for p in network.parameters()}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return out

    def _count(self, storage):
        key = storage._cdata
        if key in self.seen:
            return
        self.seen.add(key)
        size = storage.nbytes()
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._free, key, size)

    def _free(self, key, size):
        self.seen.discard(key)
        self.live -= size


@pytest.mark.parametrize("config", [GLIDE_BASE, GLIDE_UPSAMPLE], ids=["base", "upsampler"])
def test_the_memory_model_covers_what_a_full_size_forward_holds(config, monkeypatch):
    # Shapes alone, on the meta device; its attention would be the one that stores all weights.
    monkeypatch.setattr(generator.unet, "attend", lambda q, k, v: torch.empty_like(q))
    with torch.device("meta"):
        unet = TextUNet(config).eval().requires_grad_(False).cast_torso(torch.float16)
        x, t = torch.empty(2, 3, config.image_size, config.image_size), torch.empty(2)
        low = torch.empty(2, 3, 64, 64) if config.super_res else None
        text = unet.condition(torch.empty(2, 128, dtype=torch.int64), torch.ones(2, 128) > 0)
        held = sum(kv.numel() * kv.element_size() for kv in text.text_kv)
        with LiveBytes(unet) as counted:
            unet(x, t, text, low_res=low)
    peak = counted.peak + held
    assert peak < activation_bytes(config, torch.float16, rows=2) < 2 * peak


def test_a_batch_is_chosen_from_free_memory():
    def fits(free: float, guided: bool = True, device: str = "cuda") -> int:
        return batch_that_fits(
            GLIDE_BASE, GLIDE_UPSAMPLE, torch.float16, torch.device(device), guided, int(free * GIB)
        )

    assert fits(0.01) == 1  # the attempt is worth more than a refusal
    batches = [fits(free) for free in (1, 2, 4, 8, 16, 32, 64, 128)]
    assert batches == sorted(batches)
    assert batches[0] < batches[3]
    assert all(batch & (batch - 1) == 0 for batch in batches)
    assert fits(128) == 64
    assert fits(128, device="cpu") == 16


class SmallGpu:
    """A pipeline's work on a GPU that holds a few rows."""

    def __init__(self, holds: int):
        self.holds = holds
        self.batches: list[int] = []

    def __call__(self, part: slice) -> np.ndarray:
        rows = np.arange(12)[part]
        self.batches.append(len(rows))
        if len(rows) > self.holds:
            raise torch.OutOfMemoryError
        return rows


def test_out_of_memory_halves_the_batch_goes_on_and_says_so():
    gpu, halving = SmallGpu(holds=3), Halving()
    with pytest.warns(GeneratorWarning) as said:
        rows = halving.run(gpu, 0, 12)
    assert "making 12 pictures at once: going on with 6" in str(said[0].message)
    assert "making 6 pictures at once: going on with 3" in str(said[1].message)
    np.testing.assert_array_equal(rows, np.arange(12))
    assert gpu.batches == [12, 6, 3, 3, 3, 3]
    gpu.batches.clear()
    np.testing.assert_array_equal(halving.run(gpu, 0, 12), np.arange(12))  # what fits is remembered
    assert gpu.batches == [3, 3, 3, 3]


def test_one_row_that_does_not_fit_is_an_error():
    with pytest.warns(GeneratorWarning), pytest.raises(torch.OutOfMemoryError):
        Halving().run(SmallGpu(holds=0), 0, 2)


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline(
        with_recipe_weights(TextUNet(SMALL)), with_recipe_weights(TextUNet(SMALL_UP)),
        with_recipe_weights(Clip(SMALL_CLIP)), WordTokenizer(), {}, torch.device("cpu"),
    )  # fmt: skip


def test_a_pipeline_out_of_memory_makes_what_smaller_batches_would_have(pipeline, monkeypatch):
    def small_gpu(captions, seeds, sampling, **options):
        if len(captions) > 2:
            raise torch.OutOfMemoryError
        return made(captions, seeds, sampling, **options)

    captions, seeds = ["a red cube", "a blue cone", "a cyan cube", "a red sphere"], [1, 2, 3, 4]
    sampling = Sampling(sampler="ddim", steps=2, upsampler_steps=1)
    expected = pipeline.sample(captions, seeds, sampling, micro_batch=2)
    made = pipeline.sample_base
    monkeypatch.setattr(pipeline, "sample_base", small_gpu)
    with pytest.warns(GeneratorWarning, match="making 4 pictures at once: going on with 2"):
        found = pipeline.sample(captions, seeds, sampling)
    np.testing.assert_array_equal(found, expected)


def test_a_pipeline_chooses_its_batch_from_free_memory(pipeline, monkeypatch):
    monkeypatch.setattr(Pipeline, "batch_that_fits", lambda self, guided: 2 if guided else 4)
    batches, made = [], pipeline.sample_base
    monkeypatch.setattr(
        pipeline, "sample_base", lambda c, *rest, **o: batches.append(len(c)) or made(c, *rest, **o)
    )
    options = {"sampler": "ddim", "steps": 1, "upsampler_steps": 1}
    pipeline.sample(["a red cube"] * 5, range(5), Sampling(**options), micro_batch="auto")
    pipeline.sample(["a red cube"] * 5, range(5), Sampling("unguided", **options), "auto")
    assert batches == [2, 2, 2, 4, 4]  # the last are padded


# The allocator


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
def test_freed_blocks_are_used_again_instead_of_mapped_anew():
    program = """
import resource, sys
from generator.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
for _ in range(5):
    b"x" * (40 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""
    faults = {}
    for mode in ("plain", "keep"):
        done = subprocess.run(
            [sys.executable, "-c", program, mode], capture_output=True, text=True, check=True,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
        faults[mode] = int(done.stdout)
    assert faults["keep"] < faults["plain"] / 2
