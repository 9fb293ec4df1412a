"""diffusers pipelines as sources: tiny random ones, made here; nothing is downloaded."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from glide_eval.errors import ConfigError, GlideEvalError, WeightsError
from glide_eval.sweep import Opening, load_sweep, run_sweep
from glide_eval.sweep.sources.diffusers import DiffusersSource
from tests.glide_eval.sweeps import glide_eval, images_of, manifest_of, write_sweep
from tests.glide_eval.tiny_pipelines import MAKERS, OTHERS, save_tiny

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
REPOSITORY = Path(__file__).parents[2]
PROMPTS = """captions = ["a large shiny red sphere", "a small matte blue cube",
"a large matte green cone"]"""
ARMS = """
[[arms]]
strategy = "unguided"
steps = 2

[[arms]]
strategy = "classifier_free"
scales = [4, 8]
steps = 2
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The folder of a tiny pipeline, by name; each is made once."""
    home, made = tmp_path_factory.mktemp("pipelines"), {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = save_tiny(name, home)
        return made[name]

    return folder


@pytest.fixture(scope="module")
def source(tiny):
    """A tiny pipeline opened as it is, by name; each is opened once."""
    return functools.cache(lambda name: opened(tiny(name)))


def sweep_file(place: Path, pipeline: Path, arms: str = ARMS, more: str = "size = 32") -> Path:
    generator = f'model = "diffusers:{pipeline.as_posix()}"\nmicro_batch = 2\n{more}'
    return write_sweep(place, generator=generator, prompts=PROMPTS, arms=arms)


def swept(place: Path, pipeline: Path, **tables: str):
    sweep = load_sweep(sweep_file(place, pipeline, **tables))
    said: list[str] = []
    return run_sweep(sweep, place / "run", say=said.append).run, "\n".join(said)


@pytest.mark.parametrize("name", MAKERS)
def test_a_pipeline_goes_the_whole_line(tiny, tmp_path, capsys, name):
    arms = ARMS + '\n[[arms]]\nstrategy = "distilled"\nscales = [3]\nsteps = 2\n' * (name == "flux")
    run, _ = swept(tmp_path, tiny(name), arms=arms)
    images = images_of(run.root)
    assert len(set(images.values())) == len(images)
    story = json.loads((run.root / "run.json").read_text("utf-8"))
    assert story["sources"]["license"] == "openrail++"
    assert story["sources"]["pipeline"] in type(MAKERS[name](tmp_path)).__name__
    assert all(len(digest) == 64 for digest in story["weights"].values())
    for path in list(images)[1::2]:
        (run.root / path).unlink()
    swept(tmp_path, tiny(name), arms=arms)
    assert images_of(run.root) == images
    for command in (
        ["metrics", run.root],
        ["study", "create", run.root],
        ["study", "simulate", run.root, "--raters", "3", "--votes", "9"],
        ["report", run.root],
    ):
        status, _, err = glide_eval(capsys, *command)
        assert status == 0, (command, err)
    assert "Classifier-free" in (run.root / "report" / "index.html").read_text("utf-8")


@pytest.mark.slow
def test_a_killed_sweep_of_a_pipeline_resumes_to_the_same_bytes(tiny, tmp_path):
    whole, _ = swept(tmp_path / "whole", tiny("sd15"))
    file = sweep_file(tmp_path / "killed", tiny("sd15"))
    out = tmp_path / "killed" / "run"
    command = [sys.executable, "-m", "glide_eval", "sweep", str(file), "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    while not list(out.glob("samples/*/*.png")):
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(images_of(out)) < 9
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    assert images_of(out) == images_of(whole.root)
    assert manifest_of(out) == manifest_of(whole.root)


def opened(folder: Path, base: Path = Path(), **settings) -> DiffusersSource:
    table = DiffusersSource.Settings.model_validate({"size": 32, **settings})
    return DiffusersSource.open(Opening(folder.as_posix(), base, table))


class AnArm:
    """An arm, as sources see it."""

    name, editing = "an-arm", None

    def __init__(self, strategy="classifier_free", scale=4.0, **options):
        self.strategy, self.scale = strategy, scale
        known = DiffusersSource.options_of(strategy)
        self.options = known.model_validate({"steps": 2, **options})


CAPTIONS, SEEDS = ["a red cube", "a blue ball", "a cone"], [1, 2, 3]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """With more, a transformer may round by an image's place in its batch (micro-batches.md)."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", ["sd15", "sd3"])
def test_order_and_neighbours_do_not_change_an_image(source, name):
    source, arm = source(name), AnArm()
    images = source.generate(arm, CAPTIONS, SEEDS)
    other = source.generate(arm, ["a cone", "a dog", "a red cube"], [3, 9, 1])
    np.testing.assert_array_equal(other[[0, 2]], images[[2, 0]])
    source.generate(AnArm("unguided", None), CAPTIONS, SEEDS)  # another arm beside it
    np.testing.assert_array_equal(source.generate(arm, CAPTIONS, SEEDS), images)


@pytest.mark.parametrize("name", OTHERS)
def test_what_else_diffusers_loads_by_itself_is_drawn_with_and_without_guidance(source, name):
    source = source(name)
    plain = source.generate(AnArm("unguided", None), CAPTIONS[:2], SEEDS[:2])
    guided = source.generate(AnArm(), CAPTIONS[:2], SEEDS[:2])
    assert plain.shape == guided.shape == (2, 32, 32, 3)
    assert not np.array_equal(plain, guided)
    np.testing.assert_array_equal(
        source.generate(AnArm(), CAPTIONS[1::-1], SEEDS[1::-1]), guided[::-1]
    )


def test_initial_noise_is_that_of_the_sample_in_every_arm(source, monkeypatch):
    source, started = source("sd15"), []
    prepare = source.pipeline.prepare_latents

    def noted(*arguments, **more):
        started.append(prepare(*arguments, **more))
        return started[-1]

    monkeypatch.setattr(source.pipeline, "prepare_latents", noted)
    for arm, count in ((AnArm(), 3), (AnArm("unguided", None), 3), (AnArm(), 1)):
        source.generate(arm, CAPTIONS[:count], SEEDS[:count])
    assert torch.equal(started[0], started[1])
    assert torch.equal(started[0][:1], started[2])


def test_a_sweep_draws_what_the_pipeline_draws_by_itself(source):
    source = source("sd15")
    pipeline = source.pipeline
    drawn = source.generate(AnArm(scale=5.0, negative_prompt="grey"), CAPTIONS, SEEDS)
    output = pipeline(
        CAPTIONS, negative_prompt=["grey"] * 3, guidance_scale=5.0, num_inference_steps=2,
        width=32, height=32, generator=[torch.Generator().manual_seed(s) for s in SEEDS],
    )  # fmt: skip
    np.testing.assert_array_equal(drawn, np.stack([np.asarray(image) for image in output.images]))


@pytest.mark.parametrize(
    "change",
    [
        {"scheduler": "EulerAncestralDiscreteScheduler"},
        {"scheduler_options": {"timestep_spacing": "trailing"}},
        {"negative_prompt": "grey"},
        {"rescale": 0.7},
        {"steps": 3},
    ],
)
def test_each_option_changes_the_image(source, change):
    source = source("sd15")
    plain = source.generate(AnArm(scale=8.0), CAPTIONS[:1], [1])
    assert not np.array_equal(plain, source.generate(AnArm(scale=8.0, **change), CAPTIONS[:1], [1]))


def test_images_need_not_be_square(tiny, tmp_path):
    run, _ = swept(tmp_path, tiny("sd15"), more="size = [48, 32]")
    assert json.loads((run.root / "run.json").read_text("utf-8"))["image_size"] == [48, 32]


def test_a_lora_acts_by_its_scale_and_its_digest_is_recorded(tiny, source, tmp_path):
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    pipeline = MAKERS["sd15"](tmp_path / "words")
    pipeline.unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"]))
    for name, value in pipeline.unet.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=2.0)
    state = get_peft_model_state_dict(pipeline.unet)
    pipeline.save_lora_weights(tmp_path / "style", unet_lora_layers=state)
    images, weights = [], []
    for scale in (0.0, 1.0):
        styled = opened(tiny("sd15"), tmp_path, loras=[{"path": "style", "scale": scale}])
        images.append(styled.generate(AnArm(), CAPTIONS[:1], [1]))
        weights.append(styled.fingerprint())
    plain = source("sd15").generate(AnArm(), CAPTIONS[:1], [1])
    np.testing.assert_array_equal(images[0], plain)
    assert not np.array_equal(images[1], plain)
    assert any(name.startswith("lora/style/") for name in weights[0])


MID = "mid_block.attentions.0.transformer_blocks"
GUIDED = [
    AnArm("apg", 6.0, momentum=-0.5, norm=2.5, parallel=0.0),
    AnArm("cfg_zero_star", 6.0),
    AnArm("tangential", 6.0),
    AnArm("frequency_decoupled", 6.0),
    AnArm("perturbed_attention", 3.0, layers=[0], blocks=MID, cfg_scale=4.0),
    AnArm("smoothed_energy", 3.0, layers=[0], blocks=MID, cfg_scale=4.0),
    AnArm("skip_layer", 3.0, layers=[0], blocks=MID, cfg_scale=4.0),
    AnArm("autoguidance", 3.0, layers=[0], blocks=MID),
    AnArm("classifier_free", 6.0, interval=[0.0, 0.5]),
    AnArm("classifier_free", 0.5),
]


@pytest.mark.parametrize("name", ["sdxl", "sd3"])
def test_guiders_draw_through_the_modular_pipeline(source, name):
    source = source(name)
    plain = source.generate(AnArm("classifier_free", 6.0), CAPTIONS[:2], SEEDS[:2])
    arms = GUIDED if name == "sdxl" else GUIDED[:4]
    for arm in arms:
        source.check(arm)
        images = source.generate(arm, CAPTIONS[:2], SEEDS[:2])
        assert not np.array_equal(images, plain), arm.strategy
        np.testing.assert_array_equal(images, source.generate(arm, CAPTIONS[:2], SEEDS[:2]))


@pytest.mark.parametrize(
    ("name", "arm", "parts"),
    [
        (
            "flux",
            AnArm("apg", 2.0),
            ["guided by apg", "unguided, classifier_free, distilled"],
        ),
        ("sd15", AnArm("distilled", 2.0), ["can't be guided by distilled", "classifier_free"]),
        ("sd15", AnArm(interval=[0.2, 0.8]), ["with a scale below 1, `interval` or"]),
        ("sd15", AnArm(scale=0.5), ["by classifier_free with a scale below 1"]),
        (
            "sd15",
            AnArm(scheduler="EulerScheduler"),
            ["does not fit this", "; did you mean '", "EulerDisc"],
        ),
        ("sd3", AnArm(scheduler="DDIMScheduler"), ["does not fit", "FlowMatchEuler"]),
        (
            "sd15",
            AnArm(scheduler_options={"beta_strat": 1}),
            ["no option 'beta_strat'"],
        ),
        ("sd15", AnArm(max_sequence_length=64), ["`max_sequence_length` has no meaning"]),
    ],
)
def test_what_a_pipeline_cannot_do_is_refused_with_what_it_can(source, name, arm, parts):
    with pytest.raises(ConfigError) as caught:
        source(name).check(arm)
    for part in ("Arm `an-arm`", *parts):
        assert part in str(caught.value)


def test_what_is_not_on_disk_says_which_command_gets_it(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match="glide-eval models fetch diffusers:some/model --rev"):
        opened(Path("some/model"), revision="v2")
    with pytest.raises(WeightsError, match="no such pipeline"):
        opened(tmp_path / "nothing")


def test_a_folder_that_is_no_pipeline_is_named(tiny, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(tiny("sd15"), folder)
    index = folder / "model_index.json"
    index.write_text(index.read_text().replace("StableDiffusionPipeline", "DDPMPipeline"))
    with pytest.raises(ConfigError, match="not a text-to-image pipeline"):
        opened(folder)
    index.unlink()
    with pytest.raises(WeightsError, match="can't be loaded as a diffusers pipeline"):
        opened(folder)


def test_weights_that_changed_are_another_run(tiny, tmp_path, capsys):
    folder = tmp_path / "copy"
    shutil.copytree(tiny("sd15"), folder)
    swept(tmp_path, folder)
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-4] + b"\0\0\0\0")
    (tmp_path / "run" / "samples" / "cfg-4" / "p0000-0.png").unlink()
    status, _, said = glide_eval(
        capsys, "sweep", tmp_path / "sweep.toml", "--out", tmp_path / "run"
    )
    assert status == 1
    assert "`weights.vae/diffusion_pytorch_model.safetensors` is " in said


def test_a_prompt_longer_than_the_text_encoder_is_told(source, tmp_path):
    source = source("sd15")
    long = "abcdefghijklmnopqrstuvwxyz" * 4
    [note] = source.notes(["a cone", long])
    assert "tokenizer, which reads 77 tokens" in note
    assert note.endswith("is cut off.")


@pytest.mark.parametrize(
    ("value", "unsafe", "words"),
    [
        (np.nan, None, "no finite numbers"),
        (0.0, None, "'a blue ball' is black"),
        (0.5, [False, True], "safety checker blacked out its image of 'a blue ball'"),
    ],
)
def test_what_is_no_picture_is_named_by_its_prompt(source, monkeypatch, value, unsafe, words):
    drawing = source("sd15")
    images = np.full((2, 32, 32, 3), 0.5, np.float32)
    images[1] = value
    output = types.SimpleNamespace(images=images, nsfw_content_detected=unsafe)
    monkeypatch.setattr(type(drawing.pipeline), "__call__", lambda *_, **__: output)
    with pytest.raises(GlideEvalError, match=f"an-arm: .*{words}"):
        drawing.generate(AnArm(), CAPTIONS[:2], SEEDS[:2])


def test_keys_of_pipelines_have_near_names(tiny, tmp_path, capsys):
    file = sweep_file(tmp_path, tiny("sd15"), ARMS.replace("steps", "step"), "varient = 'fp16'")
    status, _, said = glide_eval(capsys, "sweep", file)
    assert status == 2
    assert "did you mean `variant`?" in said
    assert "did you mean `steps`?" in said
    assert "upsampler" not in said


def test_the_example_runs_on_tiny_stand_ins(tiny, tmp_path):
    text = (REPOSITORY / "examples" / "diffusers-guidance.toml").read_text("utf-8")
    for repo, name, size in (
        ("stable-diffusion-v1-5/stable-diffusion-v1-5", "sd15", "size = 512"),
        ("stabilityai/stable-diffusion-xl-base-1.0", "sdxl", "size = 1024"),
    ):
        place = f'model = "diffusers:{tiny(name).as_posix()}"'
        text = text.replace(f'model = "diffusers:{repo}"', place).replace(size, "size = 32")
    (tmp_path / "s.toml").write_text(text.replace("steps = 30", "steps = 2"), encoding="utf-8")
    run = run_sweep(load_sweep(tmp_path / "s.toml"), tmp_path / "run", say=lambda _: None)
    assert run.images == 14 * 3
    assert "sdxl-pag-3" in [arm.name for arm in run.run.arms()]


def test_single_pictures_are_drawn_as_an_arm_draws_them_and_edits_refused(
    tiny, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    model = f'model = "diffusers:{tiny("sd15")}"\nmicro_batch = 2'
    config = write_sweep(tmp_path, generator=model, prompts=PROMPTS, arms=ARMS)
    run = run_sweep(load_sweep(config), tmp_path / "run", say=lambda _: None).run
    prompt = ("a small matte blue cube", "--arm", f"{config}#cfg-4")
    assert glide_eval(capsys, "sample", *prompt)[0] == 0
    [picture] = Path("pictures").glob("*.png")
    assert picture.read_bytes() == run.sample_path("cfg-4", "p0001", 0).read_bytes()
    told = json.loads(picture.with_suffix(".json").read_text())
    assert told["sources"]["pipeline"] == "StableDiffusionPipeline"
    status, _, error = glide_eval(capsys, "edit", picture, "--prompt", *prompt)
    assert status == 2
    assert "draws from prompts alone" in error
    spelled = ("--model", f"diffusers:{tiny('sd15')}", "--scale", 4, "--steps", 2, "--out", "b")
    assert glide_eval(capsys, "sample", prompt[0], *spelled)[0] == 0
