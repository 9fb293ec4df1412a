"""Sources of a user's own, and several generators in one sweep."""

from __future__ import annotations

import json
import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from glide_eval.files import read_rgb
from glide_eval.sweep import ArmOptions, GeneratorTable, ImageSource, load_sweep, run_sweep
from glide_eval.sweep.opening import SourceOpener
from glide_eval.sweep.sources import find
from tests.glide_eval.sweeps import glide_eval, images_of, write_sweep

STRIPES = """
import numpy as np

from glide_eval.sweep import ArmOptions, GeneratorTable, ImageSource


class Settings(GeneratorTable):
    width: int = 48


class Options(ArmOptions):
    stripes: int = 4


class Stripes(ImageSource):
    Settings, Options = Settings, Options

    def __init__(self, width=48):
        self.size = (width, 32)

    @classmethod
    def open(cls, opening):
        return cls(opening.settings.width)

    def generate(self, arm, captions, seeds, start=None):
        width, height = self.size
        images = np.zeros((len(captions), height, width, 3), np.uint8)
        for image, seed in zip(images, seeds):
            image[:, :: width // arm.options.stripes] = seed % 251
            image[0] = round(10 * (arm.scale or 0))
        return images


class Faulty(Stripes):
    def generate(self, arm, captions, seeds, start=None):
        raise KeyError("no such layer")


class Wide(Stripes):
    def generate(self, arm, captions, seeds, start=None):
        return np.zeros((len(captions), 64, 64, 3), np.uint8)


class Listed(Stripes):
    def generate(self, arm, captions, seeds, start=None):
        return [None] * len(captions)


NOTHING = 3
"""
ARMS = """
[[arms]]
strategy = "unguided"

[[arms]]
strategy = "classifier_free"
scales = [1.5, 3]
stripes = 6
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a module of a user's own, which no other test sees."""
    name = f"own_{tmp_path.name.replace('-', '_')}"[:60]
    (tmp_path / f"{name}.py").write_text(STRIPES, encoding="utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path, name
    find.find_source.cache_clear()
    sys.modules.pop(name, None)


def swept(folder, name, arms=ARMS, **tables):
    tables = {"generator": f'model = "{name}:Stripes"\nmicro_batch = 4', **tables}
    sweep = load_sweep(write_sweep(folder, arms=arms, **tables))
    return run_sweep(sweep, folder / "run", say=lambda _: None).run


def test_a_class_beside_the_sweep_file_draws_its_arms_with_its_own_options(folder):
    run = swept(*folder)
    assert [arm.name for arm in run.arms()] == ["unguided", "cfg-1.5", "cfg-3"]
    images = {arm.name: read_rgb(run.sample_path(arm.name, "p0000", 0)) for arm in run.arms()}
    assert {image.shape for image in images.values()} == {(32, 48, 3)}
    columns = {name: image[1, :, 0].nonzero()[0].size for name, image in images.items()}
    assert columns == {"unguided": 4, "cfg-1.5": 6, "cfg-3": 6}
    story = json.loads((run.root / "run.json").read_text("utf-8"))
    assert story["image_size"] == [48, 32]
    identity = story["identity"]
    assert identity["arms.cfg-3.stripes"] == 6
    assert identity["generator.image_size"] == "48x32"
    assert identity[f"weights.{folder[1]}.py"]


def test_options_and_code_of_a_source_belong_to_the_runs_identity(folder, capsys):
    place, name = folder
    swept(place, name)
    changed = ARMS.replace("stripes = 6", "stripes = 8")
    write_sweep(place, generator=f'model = "{name}:Stripes"\nmicro_batch = 4', arms=changed)
    status, _, said = glide_eval(capsys, "sweep", place / "sweep.toml", "--out", place / "run")
    assert status == 1
    assert "`arms.cfg-1.5.stripes` is 6 there and 8 here" in said


def test_an_unknown_option_of_a_source_has_a_near_name(folder, capsys):
    place, name = folder
    arms = ARMS.replace("stripes = 6", "stripe = 6")
    file = write_sweep(place, generator=f'model = "{name}:Stripes"\nwitdh = 3', arms=arms)
    status, _, said = glide_eval(capsys, "sweep", file)
    assert status == 2
    assert "`generator.witdh` is not a key of a sweep file; did you mean `width`?" in said
    assert "`arms[1].stripe` is not a key of a sweep file; did you mean `stripes`?" in said
    assert "upsampler_steps" not in said


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        ("{}:Strips", ["has no 'Strips'", "the class that draws"]),
        ("{}:NOTHING", ["NOTHING is 3, expected a class", "your-own-model.md"]),
        ("no_such_module:A", ["no_such_module can't be imported", "ModuleNotFoundError"]),
        ("diffuser:a/b", ["no source is named 'diffuser'", "did you mean 'diffusers'?"]),
    ],
)
def test_a_model_that_names_no_source_says_what_was_expected(folder, capsys, model, parts):
    place, name = folder
    file = write_sweep(place, generator=f'model = "{model.format(name)}"')
    status, _, said = glide_eval(capsys, "sweep", file)
    assert status == 2
    for part in parts:
        assert part in said


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("Faulty", [".Faulty failed to draw 4 images (KeyError: 'no such layer')", "unguided: "]),
        ("Wide", ["returned uint8 (4, 64, 64, 3), expected uint8 (4, 32, 48, 3)", "adapter"]),
        ("Listed", ["returned list, expected uint8"]),
    ],
)
def test_a_source_that_fails_is_named(folder, capsys, kind, parts):
    place, name = folder
    file = write_sweep(place, generator=f'model = "{name}:{kind}"\nmicro_batch = 4', arms=ARMS)
    status, _, said = glide_eval(capsys, "sweep", file, "--out", place / "run")
    assert status == 1
    assert "Traceback" not in said
    for part in parts:
        assert part in said


class Hungry(ImageSource):
    size = 16

    def __init__(self):
        self.sizes = []

    def generate(self, arm, captions, seeds, start=None):
        import torch

        self.sizes.append(len(captions))
        if len(captions) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return np.full((len(captions), 16, 16, 3), len(captions), np.uint8)


@pytest.mark.filterwarnings("ignore:Out of GPU memory")
def test_any_source_draws_smaller_batches_once_memory_ran_out(tmp_path):
    sweep = load_sweep(write_sweep(tmp_path))
    source = Hungry()
    import torch  # noqa: F401

    run = run_sweep(sweep, tmp_path / "run", open_source=lambda: source, say=lambda _: None)
    assert run.images == 18
    assert max(source.sizes[2:]) == 2  # it is not asked for more again


SEVERAL = """
[run]
name = "several"

[generators.small]
model = "fake"
micro_batch = 3
fake = {{ size = 32 }}

[generators.own]
model = "{}:Stripes"
micro_batch = 2

[prompts]
captions = ["a red cube", "a blue ball"]

[[arms]]
generator = "small"
strategy = "classifier_free"
scales = [3]
upsampler_steps = 8

[[arms]]
generator = "own"
strategy = "classifier_free"
scales = [3]
stripes = 6
"""


def test_several_generators_meet_in_one_run_from_the_same_seeds(folder):
    place, name = folder
    (place / "s.toml").write_text(SEVERAL.format(name), encoding="utf-8")
    sweep = load_sweep(place / "s.toml")
    run = run_sweep(sweep, place / "run", say=lambda _: None).run
    assert [(arm.name, arm.label) for arm in run.arms()] == [
        ("small-cfg-3", "small, Classifier-free, s = 3"),
        ("own-cfg-3", "own, Classifier-free, s = 3"),
    ]
    names = ("small-cfg-3", "own-cfg-3")
    sizes = {arm: read_rgb(run.sample_path(arm, "p0000", 0)).shape[1::-1] for arm in names}
    assert sizes == {"small-cfg-3": (32, 32), "own-cfg-3": (48, 32)}
    samples = run.samples()
    assert len({(s.prompt_id, s.seed) for s in samples}) == 2
    identity = json.loads((run.root / "run.json").read_text("utf-8"))["identity"]
    assert identity["generators.small.micro_batch"] == 3
    assert identity["generators.own.micro_batch"] == 2
    assert identity["generators.own.image_size"] == "48x32"
    assert identity["weights.small/fake"]
    assert identity["arms.own-cfg-3.generator"] == "own"
    before = images_of(run.root)
    (run.root / "samples" / "own-cfg-3" / "p0001-0.png").unlink()
    assert run_sweep(sweep, place / "run", say=lambda _: None).made == 2
    assert images_of(run.root) == before


def test_a_study_shows_images_of_different_sizes_at_one_size(folder, capsys):
    place, name = folder
    (place / "s.toml").write_text(SEVERAL.format(name), encoding="utf-8")
    run_sweep(load_sweep(place / "s.toml"), place / "run", say=lambda _: None)
    status, out, err = glide_eval(capsys, "study", "create", place / "run")
    assert status == 0, err
    shown = [path for path in (place / "run").rglob("*.png") if "samples" not in path.parts]
    assert {read_rgb(path).shape for path in shown} == {(32, 32, 3)}, out


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (('generator = "own"\n', ""), ["`arms[1]`: found no `generator`", "small, own"]),
        (('generator = "own"', 'generator = "onw"'), ["'onw'", "did you mean 'own'?"]),
        (("stripes = 6", "stripe = 6"), ["`arms[1].stripe` is not a key", "`stripes`?"]),
        (("upsampler_steps", "stripes"), ["`arms[0].stripes` is not a key"]),
        (("[prompts]", '[generator]\nmodel = "fake"\n[prompts]'), ["`[generator]` and"]),
        (("micro_batch = 3", "micro_batch = 0"), ["`generators.small.micro_batch` is 0"]),
        (('strategy = "classifier_free"', 'strategy = "cfg"'), ['`arms[0].strategy` is "cfg"']),
    ],
)
def test_a_mistake_among_several_generators_names_its_key(folder, capsys, change, parts):
    place, name = folder
    (place / "s.toml").write_text(SEVERAL.format(name).replace(*change, 1), encoding="utf-8")
    status, _, said = glide_eval(capsys, "sweep", place / "s.toml")
    assert status == 2
    for part in parts:
        assert part in said, said


def test_arms_and_openers_of_a_source_travel_to_other_processes(folder):
    place, name = folder
    (place / "s.toml").write_text(SEVERAL.format(name), encoding="utf-8")
    sweep = load_sweep(place / "s.toml")
    told = pickle.dumps((sweep.config.expand(), SourceOpener.of(sweep)))
    arms, opener = pickle.loads(told)
    assert arms == sweep.config.expand()
    assert set(opener().sources) == {"small", "own"}


def test_the_interface_has_defaults_for_all_but_size_and_generate():
    assert issubclass(Hungry.Settings, GeneratorTable)
    assert issubclass(Hungry.Options, ArmOptions)
    source = Hungry()
    assert (source.device, source.dtype, source.notes(["a"]), source.facts()) == (
        "cpu", "float32", [], {},
    )  # fmt: skip


GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "your-own-model.md"


def test_the_documentations_own_source_runs_and_is_short(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    blocks = re.findall(r"```(python|toml)\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    [code], [first, file] = (
        [text for kind, text in blocks if kind == k] for k in ("python", "toml")
    )
    (tmp_path / "sdxl.toml").write_text(first, encoding="utf-8")
    arms = load_sweep(tmp_path / "sdxl.toml").config.expand()
    assert [arm.name for arm in arms] == ["unguided", "cfg-2", "cfg-4", "cfg-8"]
    assert len(code.strip().splitlines()) <= 30
    (tmp_path / "my_source.py").write_text(code, encoding="utf-8")
    (tmp_path / "sweep.toml").write_text(file, encoding="utf-8")
    try:
        run = run_sweep(load_sweep(tmp_path / "sweep.toml"), tmp_path / "run", say=lambda _: None)
    finally:
        sys.modules.pop("my_source", None)
    assert run.images == 4
    assert [arm.name for arm in run.run.arms()] == ["cfg-1", "cfg-3"]
