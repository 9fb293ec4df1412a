from __future__ import annotations

import pickle
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import pytest

from generator.errors import GeneratorWarning
from generator.options import Sampling
from glide_eval import cli
from glide_eval.errors import GlideEvalError
from glide_eval.sweep import load_sweep
from glide_eval.sweep.file.arm_tables import arm_tables
from glide_eval.sweep.file.arms import expand
from glide_eval.sweep.opening import SourceOpener
from glide_eval.sweep.seeds import sample_seed
from glide_eval.sweep.sources import Drawer, FakeSource, FakeTable, GlideSource, find_source
from tests.glide_eval.sweeps import write_sweep

TABLES = arm_tables(find_source("tabletop", Path()))
[UNGUIDED] = expand(
    [TABLES["unguided"](strategy="unguided", sampler="ddim", steps=25, upsampler_steps=10)]
)
[GUIDED] = expand(
    [TABLES["classifier_free"].model_validate({"strategy": "classifier_free", "scales": [3.0]})]
)


def test_seeds_are_the_first_63_bits_of_sha256_over_run_prompt_and_replica():
    # printf '0\0p0000\0%s' 0 | sha256sum  →  6c3f777982ce6c11bddd347d…
    assert sample_seed(0, "p0000", 0) == 0x6C3F777982CE6C11 >> 1


def test_seeds_differ_by_run_prompt_and_replica():
    seeds = {sample_seed(r, p, k) for r in (0, 1) for p in ("a", "b") for k in (0, 1)}
    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_the_fake_draws_the_same_image_for_the_same_caption_seed_and_arm():
    source = FakeSource(FakeTable(size=32))
    first = source.generate(GUIDED, ["a cat", "a dog"], [1, 2])
    again = source.generate(GUIDED, ["a dog", "a cat"], [2, 1])
    assert first.shape == (2, 32, 32, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again[::-1])
    assert not np.array_equal(first, source.generate(UNGUIDED, ["a cat", "a dog"], [1, 2]))
    assert not np.array_equal(first, source.generate(GUIDED, ["a cat", "a dog"], [3, 4]))


def test_the_fake_tells_batch_sizes_apart_as_real_kernels_do():
    source = FakeSource(FakeTable(size=32))
    alone = source.generate(GUIDED, ["a cat"], [1])[0].astype(int)
    together = source.generate(GUIDED, ["a cat", "a dog"], [1, 2])[0].astype(int)
    assert 0 < np.abs(alone - together).max() <= 1


class FakePipeline:
    image_size = 128
    weights = {"base": "ab" * 32}  # noqa: RUF012

    def __init__(self):
        self.calls = []

    def sample(self, captions, seeds, sampling):
        self.calls.append((captions, seeds, sampling))
        return np.zeros((len(captions), 128, 128, 3), np.uint8)


@pytest.fixture
def pipelines(monkeypatch):
    """Stands in for `generator.loading`; collects what was loaded."""
    loaded = []

    def load_pipeline(model, device, dtype, *, networks, optional, low_memory, accelerate):
        assert accelerate == "auto"
        loaded.append((model, device, dtype, networks, optional, low_memory))
        return FakePipeline()

    module = types.SimpleNamespace(load_pipeline=load_pipeline)
    monkeypatch.setitem(sys.modules, "generator.loading", module)
    return loaded


def test_glide_gets_every_setting_of_the_arm(pipelines):
    source = GlideSource.load("tabletop", "cpu", "auto")
    images = source.generate(GUIDED, ("a cat",), (7,))
    assert images.shape == (1, 128, 128, 3)
    assert pipelines == [("tabletop", "cpu", "float32", ("base", "upsampler", "clip"), (), False)]
    assert (source.size, source.fingerprint()) == (128, {"base": "ab" * 32})
    assert source.pipeline.calls == [
        (
            ["a cat"],
            [7],
            Sampling("classifier_free", 3.0, "ddpm", steps=100, upsampler_steps=27),
        )
    ]


@pytest.mark.filterwarnings("ignore:Out of GPU memory")
def test_an_image_too_large_for_the_gpu_says_what_to_change(pipelines):
    import torch

    def sample(*_, **__):
        raise torch.OutOfMemoryError

    source = GlideSource.load("tabletop", "cpu", "auto")
    source.pipeline.sample = sample
    with pytest.raises(GlideEvalError, match=r"a single image for.*`generator.dtype"):
        Drawer(source).draw(GUIDED, ["a cat", "a dog"], [1, 2])


def test_a_sweep_loads_the_networks_its_arms_need_and_no_more(pipelines, tmp_path):
    generator = 'model = "glide"\ndevice = "cpu"\nlow_memory = true'
    SourceOpener.of(load_sweep(write_sweep(tmp_path, generator=generator)))()
    clip = '[[arms]]\nstrategy = "clip"\nscales = [2]'
    SourceOpener.of(load_sweep(write_sweep(tmp_path, generator=generator, arms=clip)))()
    classifier = '[[arms]]\nstrategy = "classifier"\nscales = [2]'
    SourceOpener.of(load_sweep(write_sweep(tmp_path, generator=generator, arms=classifier)))()
    assert pipelines == [
        ("glide", "cpu", "float32", ("base", "upsampler"), (), True),
        ("glide", "cpu", "float32", ("base", "upsampler", "clip"), (), True),
        ("glide", "cpu", "float32", ("base", "upsampler", "classifier"), (), True),
    ]


def test_a_model_folder_is_relative_to_the_sweep_file_and_a_name_is_not(tmp_path):
    (tmp_path / "weights").mkdir()
    file = write_sweep(tmp_path, generator='model = "weights"')
    assert SourceOpener.of(load_sweep(file)).models == {"": str(tmp_path / "weights")}
    (tmp_path / "tabletop").mkdir()
    file = write_sweep(tmp_path, generator='model = "tabletop"')
    assert SourceOpener.of(load_sweep(file)).models == {"": "tabletop"}


def test_an_opener_travels_to_other_processes(tmp_path):
    opener = SourceOpener.of(load_sweep(write_sweep(tmp_path)))
    assert pickle.loads(pickle.dumps(opener))().size == 32


def test_a_warning_of_the_generator_reaches_the_terminal_as_one_line(capsys, monkeypatch):
    def warn(*_, **__):
        warnings.warn("Out of GPU memory: going on with 2.", GeneratorWarning, stacklevel=1)

    monkeypatch.setattr(cli.cli, "main", warn)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # put back afterwards
    warnings.simplefilter("default", GeneratorWarning)
    with pytest.raises(SystemExit):
        cli.main(["sweep"])
    assert capsys.readouterr().err == "glide-eval: Out of GPU memory: going on with 2.\n"
