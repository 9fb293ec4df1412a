"""`sample`, `inpaint` and `edit` with what sweeps have: options, prompts files, arms, any model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from generator import checkpoints
from generator.option_records import OPTIONS
from generator.options import Sampling
from glide_eval.files import encode_png, read_rgb
from glide_eval.sweep import GlideSource, load_sweep, run_sweep
from glide_eval.sweep.sources.glide import _options_of
from tests.glide_eval.sweeps import ARMS, RUN, everything_in, glide_eval, write_images, write_sweep

PLUGIN = """
import numpy as np
from glide_eval.sweep import ArmOptions, ImageSource

class Options(ArmOptions):
    steps: int = 5

class Wide(ImageSource):
    Options = Options
    size = (48, 32)

    def generate(self, arm, captions, seeds):
        first = [np.full((32, 48, 3), arm.options.steps + arm.scale) for _ in seeds]
        return np.stack(first).astype(np.uint8)
"""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.fixture
def sampled(monkeypatch):
    """How GLIDE was asked to sample, without GLIDE."""
    asked: list[tuple[list[str], Sampling]] = []

    class Pipeline:
        image_size, weights = 8, {}
        tokenizer = None

        def cut_off(self, *_):
            return ""

        def sample(self, captions, seeds, sampling, on_step):
            asked.append((captions, sampling))
            return np.zeros((len(captions), 8, 8, 3), np.uint8)

    monkeypatch.setattr(GlideSource, "load", lambda *_, **__: GlideSource(Pipeline(), "cpu", "a"))
    return asked


def model_with(defaults: dict[str, object]) -> None:
    """A folder `mine` whose base model says how it likes to be drawn."""
    Path("mine").mkdir()
    linear = torch.nn.Linear(1, 1)
    checkpoints.save(Path("mine/base.safetensors"), linear, None, {"defaults": defaults})


def test_what_is_left_out_is_the_models_default(capsys, sampled, tmp_path):
    model_with({"sampler": "dpm++2m", "steps": 9, "upsampler_steps": "fast27", "scale": 99})
    glide_eval(capsys, "sample", "a cup", "--model", "mine", "--steps", "7")
    assert sampled[-1][1] == Sampling(sampler="dpm++2m", steps=7, upsampler_steps="fast27")
    arms = '[[arms]]\nstrategy = "unguided"\n[[arms]]\nstrategy = "clip"\nscales = [2]\nsteps = 5'
    sweep = load_sweep(write_sweep(tmp_path, generator='model = "mine"', arms=arms))
    told = [(arm.options.sampler, arm.options.steps) for arm in sweep.config.expand()]
    assert told == [("dpm++2m", 9), ("dpm++2m", 5)]
    Path("plain").mkdir()
    glide_eval(capsys, "sample", "a cup", "--model", "plain", "--overwrite")
    assert sampled[-1][1] == Sampling(), "without notes, GLIDE's own"


@pytest.mark.parametrize("name", OPTIONS)
def test_each_number_of_the_catalogue_is_a_key_of_arms_an_option_and_a_field(capsys, sampled, name):
    option = OPTIONS[name]
    strategy = (option.strategies or ("classifier_free",))[0]
    value = 50.0 if name == "threshold" else 1.5 if name in ("norm", "low_scale") else 0.5
    flags = (f"--{name.replace('_', '-')}", value, "--strategy", strategy, "--sampler", "ddim")
    assert glide_eval(capsys, "sample", "a cone", *flags)[0] == 0
    [(_, sampling)] = sampled
    assert getattr(sampling, name) == value
    told = {"sampler": "ddim", name: value}
    assert _options_of(strategy).model_validate(told).sampling()[name] == value
    status, _, error = glide_eval(capsys, "sample", "a cone", flags[0], -7, *flags[2:])
    assert status == 2
    assert f"{name} must be {option.words}; found -7" in error


def test_spacings_and_an_interval_are_taken(capsys, sampled):
    flags = ("--steps", "27,27", "--upsampler-steps", "fast27", "--interval", "0.2,0.8")
    assert glide_eval(capsys, "sample", "a cone", *flags)[0] == 0
    [(_, sampling)] = sampled
    assert (sampling.steps, sampling.upsampler_steps) == ("27,27", "fast27")
    assert sampling.interval == (0.2, 0.8)
    assert "is no interval" in glide_eval(capsys, "sample", "a", "--interval", "0.2")[2]
    assert "steps can't be 'ddim9x'" in glide_eval(capsys, "sample", "a", "--steps", "ddim9x")[2]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.txt", "a cone\n\na cup\n"),
        ("p.csv", "id,caption\nx,a cone\ny,a cup\n"),
        ("p.jsonl", '{"caption": "a cone"}\n{"caption": "a cup"}\n'),
    ],
)
def test_prompts_come_from_a_file(capsys, sampled, name, text):
    Path(name).write_text(text)
    assert glide_eval(capsys, "sample", "--prompts", name)[0] == 0
    assert [captions for captions, _ in sampled] == [["a cone"], ["a cup"]]
    assert "found both" in glide_eval(capsys, "sample", "a cone", "--prompts", name)[2]
    assert "found neither" in glide_eval(capsys, "sample")[2]


BEST = 'rerank = { clip = "fake", best_of = 3 }\ndegrade = { blur = 1.0 }\n'


def test_an_arm_draws_prompts_of_its_sweep_byte_for_byte_as_the_sweep_does(tmp_path, capsys):
    config = write_sweep(tmp_path, run=RUN + "\nreplicas = 2", arms=ARMS + BEST)
    run = run_sweep(load_sweep(config), tmp_path / "run", say=lambda _: None).run
    arm = "cfg-3-best3-blur1"
    place = f"{config}#{arm}"
    assert glide_eval(capsys, "sample", "two cones", "--count", 2, "--arm", place)[0] == 0
    files = sorted(p for p in Path("pictures").glob("*.png") if "sheet" not in p.name)
    swept = [run.sample_path(arm, "p0003", replica) for replica in (0, 1)]
    assert [p.read_bytes() for p in files] == [p.read_bytes() for p in swept]
    told = json.loads(files[0].with_suffix(".json").read_text())
    assert (told["arm"], told["settings"]["rerank.best_of"], told["batch"]) == (arm, 3, 4)


def test_an_arm_draws_any_other_prompt_from_the_seed_that_is_given(tmp_path, capsys):
    place = f"{write_sweep(tmp_path)}#cfg-3"
    for out, seed in (("a", 5), ("b", 5), ("c", 6)):
        flags = ("--seed", seed, "--out", out, "--arm", place)
        assert glide_eval(capsys, "sample", "a pear", *flags)[0] == 0
    drawn = [next(Path(out).glob("*.png")).read_bytes() for out in "abc"]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_picture_is_edited_as_an_arm_would(tmp_path, capsys):
    place = f"{write_sweep(tmp_path)}#cfg-3"
    photo = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    Path("photo.png").write_bytes(encode_png(photo))
    flags = ("photo.png", "--prompt", "a cup", "--arm", place, "--out")
    assert glide_eval(capsys, "inpaint", *flags, "a", "--box", "0.5,0,1,1")[0] == 0
    assert glide_eval(capsys, "edit", *flags, "b", "--strength", "0.1")[0] == 0
    painted, edited = (read_rgb(Path(out, "a-cup-seed0.png")) for out in "ab")
    assert (painted[:, :16] == photo[:, :16]).all()
    assert (painted[:, 16:] != photo[:, 16:]).any()
    assert 0 < np.abs(edited.astype(int) - photo).mean() < 20


def test_any_source_draws_with_model(tmp_path, capsys):
    (tmp_path / "wide_source.py").write_text(PLUGIN)
    flags = ("--model", "wide_source:Wide", "--scale", 4, "--steps", 9, "--count", 2)
    assert glide_eval(capsys, "sample", "a cup", *flags)[0] == 0
    pixels = read_rgb(Path("pictures/a-cup-seed0.png"))
    assert (pixels.shape, pixels.max()) == ((32, 48, 3), 13)
    assert read_rgb(Path("pictures/a-cup-seed0-sheet.png")).shape == (32, 48 * 2 + 4, 3)


@pytest.mark.parametrize(
    ("arguments", "status", "named"),
    [
        (["--arm", "sweep.toml"], 2, "expected FILE.toml#ARM"),
        (["--arm", "none.toml#a"], 2, "no such sweep file"),
        (["--arm", "sweep.toml#cfg-4"], 2, "did you mean 'cfg-3'"),
        (["--arm", "sweep.toml#mine"], 2, "is a folder of images"),
        (["--arm", "sweep.toml#cfg-3-edit0.5"], 2, "use glide-eval edit with --arm"),
        (["--arm", "sweep.toml#cfg-3", "--scale", "3"], 2, "The arm decides --scale"),
        (["--model", "wide_source:Wide", "--rescale", "0.5"], 2, "`arms[0].rescale` is not a key"),
        (["--strategy", "skip_layer"], 2, "is not GLIDE's"),
    ],
)
def test_wrong_requests_are_refused_in_a_paragraph(tmp_path, capsys, arguments, status, named):
    (tmp_path / "wide_source.py").write_text(PLUGIN)
    write_images(tmp_path / "images", ["a red cube"])
    edit = '[[arms]]\nstrategy = "classifier_free"\nscales = [3]\nedit = {sketches = "images", '
    imported = '[[arms]]\nstrategy = "imported"\nname = "mine"\nfolder = "images"\n'
    write_sweep(tmp_path, arms=ARMS + imported + edit + "strength = 0.5}\n")
    before = everything_in(tmp_path)
    found, _, error = glide_eval(capsys, "sample", "a cup", *arguments)
    assert named in error
    assert found == status
    assert {k for k in everything_in(tmp_path) if ".pyc" not in k} == before.keys()


def test_a_source_that_edits_nothing_says_so(tmp_path, capsys):
    (tmp_path / "wide_source.py").write_text(PLUGIN)
    Path("photo.png").write_bytes(encode_png(np.zeros((32, 32, 3), np.uint8)))
    flags = ("photo.png", "--prompt", "a cup", "--model", "wide_source:Wide")
    status, _, error = glide_eval(capsys, "edit", *flags)
    assert status == 2
    assert "makes images of 48 × 32" in error
    scene = ("inpaint", "--steps-file", "scene.toml", "--model", "wide_source:Wide")
    Path("scene.toml").write_text('[[steps]]\nprompt = "a cup"\nbox = [0, 0, 1, 1]\n')
    assert "drawn by GLIDE's models alone" in glide_eval(capsys, *scene)[2]
