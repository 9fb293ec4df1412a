"""Sweep arms that inpaint, or begin from sketches, on the fake source and a tiny model."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from generator.clip import Clip
from generator.editing import from_sketch, inpaint
from generator.options import Sampling
from generator.pipeline import Pipeline
from generator.tabletop.words import WordTokenizer
from generator.text_unet import TextUNet
from glide_eval.errors import GlideEvalError
from glide_eval.files import encode_png
from glide_eval.sweep import load_sweep, run_sweep
from glide_eval.sweep.file.sweep_file import SweepFile, parse_sweep
from glide_eval.sweep.seeds import sample_seed
from glide_eval.sweep.sources import FakeSource, FakeTable, GlideSettings, GlideSource
from tests.generator.recipe import with_recipe_weights
from tests.generator.test_sampling import TINY, TINY_CLIP, TINY_UP
from tests.glide_eval.sweeps import glide_eval, images_of, manifest_of, sweep_text, write_sweep

PROMPTS = 'captions = ["a red cube", "a cone", "a blue ball"]'
INPAINT = """
[[arms]]
strategy = "classifier_free"
scales = [3.0]
steps = 2
upsampler_steps = 2
sampler = "ddim"
inpaint = { images = "photos", masks = "masks" }
"""
EDIT = INPAINT.replace("inpaint = { images", "edit = { sketches").replace(
    ', masks = "masks"', ", strength = 0.5"
)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Photos by prompt id, and masks that paint their right half."""
    for name in ("photos", "masks"):
        (tmp_path / name).mkdir()
    for number in range(3):
        write(tmp_path / f"photos/p{number:04d}.png", photo(number))
        write(tmp_path / f"masks/p{number:04d}.png", right_half())
    return tmp_path


def photo(number: int, height: int = 32, width: int = 32) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)


def right_half(height: int = 32, width: int = 32) -> np.ndarray:
    white = np.zeros((height, width, 3), np.uint8)
    white[:, width // 2 :] = 255
    return white


def write(path: Path, pixels: np.ndarray) -> None:
    path.write_bytes(encode_png(pixels))


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def sweep(capsys, folder: Path, arms: str = INPAINT, out: str = "run", **tables):
    config = write_sweep(folder, arms=arms, **({"prompts": PROMPTS} | tables))
    return glide_eval(capsys, "sweep", config, "--out", folder / out)


def test_an_inpainting_arm_keeps_each_prompts_own_picture(capsys, folder):
    status, _, err = sweep(capsys, folder, INPAINT + EDIT)
    assert (status, err) == (0, "")
    run = folder / "run"
    assert {p.name for p in (run / "samples").iterdir()} == {"cfg-3-inpaint", "cfg-3-edit0.5"}
    for number in range(3):
        made = read(run / f"samples/cfg-3-inpaint/p{number:04d}-0.png")
        np.testing.assert_array_equal(made[:, :16], photo(number)[:, :16])
        assert (made[:, 16:] != photo(number)[:, 16:]).any()


def test_the_arms_name_and_label_say_that_it_edits(folder):
    arms = load_sweep(write_sweep(folder, arms=INPAINT + EDIT)).config.expand()
    assert [(arm.name, arm.label) for arm in arms] == [
        ("cfg-3-inpaint", "Classifier-free, s = 3, inpainted"),
        ("cfg-3-edit0.5", "Classifier-free, s = 3, from sketches at 0.5"),
    ]


def test_a_captions_table_says_which_picture_is_whose(capsys, folder):
    sweep(capsys, folder)
    (folder / "photos/captions.csv").write_text(
        "file,caption\np0002.png,A red  cube\np0001.png,a cone\np0000.png,a blue ball\n"
    )
    assert sweep(capsys, folder, out="other")[0] == 0
    made = read(folder / "other/samples/cfg-3-inpaint/p0000-0.png")
    np.testing.assert_array_equal(made[:, :16], photo(2)[:, :16])


def test_one_picture_and_one_box_may_serve_all_prompts(capsys, folder):
    arms = INPAINT.replace('"photos", masks = "masks"', '"photos/p0001.png", box = [0.5, 0, 1, 1]')
    assert sweep(capsys, folder, arms)[0] == 0
    for number in range(3):
        made = read(folder / f"run/samples/cfg-3-inpaint/p{number:04d}-0.png")
        np.testing.assert_array_equal(made[:, :16], photo(1)[:, :16])


def test_pictures_of_another_size_are_fitted_and_told(capsys, folder):
    write(folder / "photos/p0001.png", np.full((64, 80, 3), 70, np.uint8))
    write(folder / "masks/p0001.png", right_half(64, 80))
    status, out, _ = sweep(capsys, folder)
    assert status == 0
    assert "1 pictures are not square" in out
    assert "1 pictures are resized to the 32 px" in out
    made = read(folder / "run/samples/cfg-3-inpaint/p0001-0.png")
    assert (made[:, :16] == 70).all()


@pytest.mark.parametrize("arms", [INPAINT, EDIT])
def test_a_killed_editing_sweep_resumes_to_the_same_bytes(folder, arms):
    file = load_sweep(write_sweep(folder, arms=arms, prompts=PROMPTS, run='name = "s"\nreplicas=3'))
    whole = run_sweep(file, folder / "whole", say=lambda _: None).run.root
    made = []

    class Killed(FakeSource):
        def generate(self, *arguments):
            made.append(1)
            if len(made) == 2:
                raise KeyboardInterrupt
            return super().generate(*arguments)

    killed = Killed(file.config.generator.fake)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(file, folder / "resumed", open_source=lambda: killed, say=lambda _: None)
    resumed = run_sweep(file, folder / "resumed", say=lambda _: None).run.root
    assert images_of(resumed) == images_of(whole)
    assert manifest_of(resumed) == manifest_of(whole)


@pytest.mark.parametrize("changed", ["photos/p0001.png", "masks/p0002.png"])
def test_changed_pictures_are_another_run(capsys, folder, changed):
    sweep(capsys, folder)
    before = images_of(folder / "run")
    write(folder / changed, right_half()[:, ::-1])
    status, _, err = sweep(capsys, folder)
    assert status == 1
    assert "`arms.cfg-3-inpaint.pictures.sha256`" in err
    assert images_of(folder / "run") == before


def test_pictures_may_move(capsys, folder):
    sweep(capsys, folder)
    (folder / "photos").rename(folder / "elsewhere")
    status, out, _ = sweep(capsys, folder, INPAINT.replace('"photos"', '"elsewhere"'))
    assert status == 0
    assert "all are there" in out


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        (', masks = "masks"', "", "expected one of `masks` and `box`, found neither"),
        ('masks = "masks"', 'masks = "m", box = [0, 0, 1, 1]', "found both"),
        ('masks = "masks"', "box = [0.5, 0, 0.5, 1]", "no rectangle"),
        ('masks = "masks"', "box = [0, 0, 2, 1]", r"inpaint.box\[2\]"),
        ('masks = "masks"', "box = [0, 0, 1, 1], invert_mask = true", "without `masks`"),
        ("images", "image", "did you mean `images`"),
        ("inpaint =", "edit = { sketches = 'a' }\ninpaint =", "found `inpaint` and `edit`"),
        ('inpaint = { images = "photos", masks = "masks" }',
         "edit = { sketches = 'a', strength = 0.0 }", "strength.*0.0.*greater than 0"),
        ('inpaint = { images = "photos", masks = "masks" }',
         "edit = { sketches = 'a', strength = 1.5 }", "strength.*1.5.*less than or equal to 1"),
    ],
)  # fmt: skip
def test_impossible_tables_are_refused(old, new, named):
    with pytest.raises(GlideEvalError, match=named):
        parse_sweep(sweep_text(arms=INPAINT.replace(old, new)), "sweep.toml")


def damage(folder: Path, kind: str) -> None:
    photos, masks = folder / "photos", folder / "masks"
    if kind == "no picture":
        (photos / "p0001.png").unlink()
    elif kind == "no mask":
        (masks / "p0001.png").unlink()
    elif kind == "no folder":
        photos.rename(folder / "elsewhere")
    elif kind == "mask size":
        write(masks / "p0001.png", right_half(16, 16))
    elif kind == "all black":
        write(masks / "p0001.png", np.zeros((32, 32, 3), np.uint8))
    elif kind == "truncated":
        (photos / "p0001.png").write_bytes((photos / "p0001.png").read_bytes()[:200])


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("no picture", r"1 of 3 prompts have no picture there: p0001\. Name a picture"),
        ("no mask", r"1 pictures have no mask there: p0001\.png"),
        ("no folder", r"no such file or folder: .*photos"),
        ("mask size", r"p0001\.png is 16 × 16, but the picture it masks is 32 × 32"),
        ("all black", r"nothing to paint"),
        ("truncated", r"p0001\.png is truncated"),
    ],
)
def test_bad_pictures_end_the_sweep_before_anything_is_made(capsys, folder, kind, named):
    damage(folder, kind)
    status, _, err = sweep(capsys, folder)
    assert status in (1, 2)
    assert re.search(named, err), err
    assert "arm `cfg-3-inpaint`" in err
    assert not (folder / "run").exists()


def test_the_example_runs_to_the_end(tmp_path):
    file = load_sweep(Path(__file__).parents[2] / "examples/editing.toml")
    fake = GlideSettings(model="fake", micro_batch=6, fake=FakeTable(size=32))
    config = file.config.model_copy(update={"generator": fake})
    run = run_sweep(SweepFile(file.path, file.text, config), tmp_path / "run", say=lambda _: None)
    arms = [arm.name for arm in run.run.arms()]
    assert arms == ["cfg-3", "cfg-3-inpaint-implicit", "cfg-3-edit0.7"]
    assert run.images == 3 * 3 * 2


def glide() -> GlideSource:
    pipeline = Pipeline(
        with_recipe_weights(TextUNet(TINY)), with_recipe_weights(TextUNet(TINY_UP)),
        with_recipe_weights(Clip(TINY_CLIP)), WordTokenizer(), {"base": "ab" * 32},
        torch.device("cpu"),
    )  # fmt: skip
    return GlideSource(pipeline, "cpu", "float32")


def test_glide_edits_as_the_python_functions_do(folder):
    source, said = glide(), []
    arms = INPAINT + EDIT
    file = load_sweep(write_sweep(folder, arms=arms, prompts=PROMPTS, generator="micro_batch = 3"))
    run_sweep(file, folder / "run", open_source=lambda: source, say=said.append)
    captions = ["a red cube", "a cone", "a blue ball"]
    seeds = [sample_seed(3, f"p{n:04d}", 0) for n in range(3)]
    photos = np.stack([photo(n) for n in range(3)])
    sampling = Sampling("classifier_free", 3.0, "ddim", 2, 2)
    known = np.stack([right_half()[..., 0] == 0] * 3)
    expected = {
        "cfg-3-inpaint": inpaint(source.pipeline, captions, seeds, photos, known, sampling),
        "cfg-3-edit0.5": from_sketch(source.pipeline, captions, seeds, photos, 0.5, sampling),
    }
    for arm, pictures in expected.items():
        for n, picture in enumerate(pictures):
            made = read(folder / f"run/samples/{arm}/p{n:04d}-0.png")
            np.testing.assert_array_equal(made, picture)
    assert any("no word for: ball" in line for line in said)


def test_a_context_the_model_has_not_is_refused_before_any_image_is_made(folder):
    arms = EDIT + INPAINT.replace('masks = "masks"', 'masks = "masks", context = "model"')
    file = load_sweep(write_sweep(folder, arms=arms, prompts=PROMPTS, generator=""))
    with pytest.raises(Exception, match="fine-tuned for inpainting"):
        run_sweep(file, folder / "run", open_source=glide, say=lambda _: None)
    assert not (folder / "run").exists()
