"""`glide-eval sample | inpaint | edit` on a tiny untrained model."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from generator.clip import Clip
from generator.pipeline import Pipeline
from generator.tabletop.words import WordTokenizer
from generator.text_unet import TextUNet
from glide_eval.drawing.draw import slug
from tests.generator.recipe import with_recipe_weights
from tests.generator.test_sampling import TINY, TINY_CLIP, TINY_UP
from tests.glide_eval.sweeps import everything_in, glide_eval

QUICK = ("--steps", "2", "--upsampler-steps", "2", "--sampler", "ddim")


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(
        with_recipe_weights(TextUNet(TINY)), with_recipe_weights(TextUNet(TINY_UP)),
        with_recipe_weights(Clip(TINY_CLIP)), WordTokenizer(), {"base": "ab" * 32},
        torch.device("cpu"),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _tiny_model(pipeline, monkeypatch, tmp_path):
    monkeypatch.setattr("generator.loading.load_pipeline", lambda *_, **__: pipeline)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def photo(tmp_path) -> Path:
    return save(tmp_path / "photo.png", pixels(32, 32))


@pytest.fixture
def mask(tmp_path) -> Path:
    """White in the right half."""
    return save(tmp_path / "mask.png", right_half())


def pixels(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def right_half(height: int = 32, width: int = 32) -> np.ndarray:
    white = np.zeros((height, width), np.uint8)
    white[:, width // 2 :] = 255
    return white


def save(path: Path, array: np.ndarray, **options) -> Path:
    Image.fromarray(array).save(path, **options)
    return path


def read(path: Path | str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_sample_writes_each_picture_its_story_and_a_sheet(capsys):
    status, out, err = glide_eval(
        capsys, "sample", "a red cube", "a cone", "--count", 2, "--seed", 7, "--out", "out", *QUICK
    )
    assert (status, err) == (0, "")
    assert "4 pictures in out" in out
    names = [f"{name}-seed{s}" for name in ("a-red-cube", "a-cone") for s in (7, 8)]
    assert {p.name for p in Path("out").glob("*.png")} == {
        *(f"{name}.png" for name in names), "a-red-cube-seed7-sheet.png",
    }  # fmt: skip
    story = json.loads(Path("out/a-cone-seed8.json").read_text("utf-8"))
    assert (story["caption"], story["seed"], story["model"]) == ("a cone", 8, "tabletop")
    assert story["sampling"]["steps"] == 2
    assert story["weights"] == {"base": "ab" * 32}
    assert read("out/a-red-cube-seed7-sheet.png").shape == (2 * 36 - 4, 2 * 36 - 4, 3)


def test_a_picture_is_the_same_alone_and_among_others(capsys):
    glide_eval(capsys, "sample", "a cone", "--seed", 8, "--out", "alone", "--batch", 2, *QUICK)
    glide_eval(
        capsys, "sample", "a cube", "a cone", "--seed", 7, "--count", 2, "--batch", 2,
        "--out", "many", *QUICK,
    )  # fmt: skip
    alone = Path("alone/a-cone-seed8.png").read_bytes()
    assert Path("many/a-cone-seed8.png").read_bytes() == alone


def test_nothing_is_overwritten_unless_asked(capsys):
    glide_eval(capsys, "sample", "a cone", "--out", "out", *QUICK)
    before = everything_in(Path("out"))
    status, _, err = glide_eval(capsys, "sample", "a cone", "--out", "out", *QUICK)
    assert status == 2
    assert "has a-cone-seed0.png already" in err
    assert "--overwrite" in err
    assert everything_in(Path("out")) == before
    again = ("sample", "a cone", "--out", "out", "--overwrite", "--scale", "5")
    assert glide_eval(capsys, *again, *QUICK)[0] == 0
    assert everything_in(Path("out")) != before
    Path("file").touch()
    assert "is a file" in glide_eval(capsys, "sample", "a cone", "--out", "file", *QUICK)[2]


def test_inpaint_repaints_the_white_of_a_mask_and_keeps_the_rest(capsys, photo, mask):
    arguments = ("inpaint", photo, "--prompt", "a red cube", *QUICK)
    status, _, err = glide_eval(capsys, *arguments, "--mask", mask, "--out", "a")
    assert (status, err) == (0, "")
    source, result = read(photo), read("a/a-red-cube-seed0.png")
    np.testing.assert_array_equal(result[:, :16], source[:, :16])
    assert (result != source).any(axis=-1)[:, 16:].mean() > 0.9
    edit = json.loads(Path("a/a-red-cube-seed0.json").read_text())["edit"]
    assert len(edit["source"]["sha256"]) == len(edit["mask"]["sha256"]) == 64

    glide_eval(capsys, *arguments, "--mask", mask, "--invert-mask", "--out", "b")
    np.testing.assert_array_equal(read("b/a-red-cube-seed0.png")[:, 16:], source[:, 16:])
    glide_eval(capsys, *arguments, "--box", "0.5,0,1,1", "--out", "c")
    np.testing.assert_array_equal(read("c/a-red-cube-seed0.png"), result)


def test_a_picture_of_another_size_is_cropped_and_resized_with_its_mask_and_says_so(
    capsys, tmp_path
):
    photo = save(tmp_path / "wide.png", np.full((64, 96, 3), 90, np.uint8))
    mask = save(tmp_path / "mask.png", right_half(64, 96))
    status, _, err = glide_eval(
        capsys, "inpaint", photo, "--mask", mask, "--prompt", "a cube", "--out", "out", *QUICK
    )
    assert status == 0
    assert "is 96 × 64: its centre square is used" in err
    assert "reduced to 32 × 32" in err
    result = read("out/a-cube-seed0.png")
    assert (result[:, :16] == 90).all()
    assert (result[:, 16:] != 90).any()


def test_a_turned_photo_is_edited_as_people_see_it(capsys, tmp_path, mask):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    photo = save(tmp_path / "turned.png", pixels(32, 32), exif=exif)
    glide_eval(capsys, "inpaint", photo, "--mask", mask, "--prompt", "a", "--out", "o", *QUICK)
    seen = np.rot90(pixels(32, 32), -1)
    np.testing.assert_array_equal(read("o/a-seed0.png")[:, :16], seen[:, :16])


def test_a_scene_is_built_step_by_step(capsys, photo, tmp_path):
    (tmp_path / "scene.toml").write_text(
        'source = "photo.png"\n[[steps]]\nprompt = "a cube"\nbox = [0.5, 0, 1, 1]\n'
        '[[steps]]\nprompt = "two cubes"\nbox = [0, 0.5, 1, 1]\n'
    )
    status, out, _ = glide_eval(
        capsys, "inpaint", "--steps-file", "scene.toml", "--out", "o", *QUICK
    )
    assert status == 0
    assert "2 pictures" in out
    first, second = (read(f"o/two-cubes-seed0-step{n}.png") for n in (1, 2))
    np.testing.assert_array_equal(first[:, :16], read(photo)[:, :16])
    np.testing.assert_array_equal(second[:16], first[:16])
    assert (second[16:] != first[16:]).any()


def test_a_scene_may_begin_from_nothing(capsys, tmp_path):
    (tmp_path / "scene.toml").write_text(
        '[[steps]]\nprompt = "a cube"\n[[steps]]\nprompt = "a cone"\nbox = [0, 0, 0.5, 1]\n'
    )
    assert glide_eval(capsys, "inpaint", "--steps-file", "scene.toml", "--out", "o", *QUICK)[0] == 0
    glide_eval(capsys, "sample", "a cube", "--out", "p", *QUICK)
    np.testing.assert_array_equal(read("o/a-cone-seed0-step1.png"), read("p/a-cube-seed0.png"))


def test_sketch_and_strength_decide_what_edit_draws(capsys, photo, tmp_path):
    other = save(tmp_path / "other.png", pixels(32, 32, seed=1))
    drawn = []
    for sketch, strength in ((photo, "0.5"), (photo, "1"), (other, "0.5")):
        out = f"out{len(drawn)}"
        status, _, _ = glide_eval(
            capsys, "edit", sketch, "--prompt", "a cube", "--strength", strength, "--out", out,
            *QUICK,
        )  # fmt: skip
        assert status == 0
        assert json.loads(Path(out, "a-cube-seed0.json").read_text())["edit"]["strength"] == float(
            strength
        )
        drawn.append(read(f"{out}/a-cube-seed0.png"))
    assert (drawn[0] != drawn[1]).any()
    assert (drawn[0] != drawn[2]).any()


@pytest.mark.parametrize(
    ("arguments", "status", "named"),
    [
        (["sample", ""], 2, "prompt is empty"),
        (["sample", "a cube", "  "], 2, "Prompt 2 is empty"),
        (["sample", "a", "--scale", "-0.5"], 2, "--scale is -0.5, expected 0"),
        (["sample", "a", "--strategy", "apg", "--scale", "0.5"], 2, "is 0.5, expected 1 or more"),
        (["sample", "a", "--scale", "inf"], 2, "--scale is inf"),
        (["sample", "a", "--scale", "nan"], 2, "--scale is nan"),
        (["sample", "a", "--strategy", "clip", "--scale", "0"], 2, "above 0 and below"),
        (["sample", "a", "--strategy", "unguided", "--scale", "2"], 2, "no meaning"),
        (["sample", "a", "--device", "abacus"], 2, "'abacus', expected auto"),
        (["sample"], 2, "PROMPT"),
        (["edit", "photo.png", "--prompt", "a", "--strength", "0"], 2, "strength must be above 0"),
        (["edit", "photo.png", "--prompt", "a", "--strength", "1.5"], 2, "found 1.5"),
        (["edit", "photo.png", "--prompt", ""], 2, "prompt is empty"),
        (["inpaint", "photo.png", "--prompt", "a"], 2, "no --mask"),
        (["inpaint", "photo.png", "--mask", "mask.png"], 2, "--prompt is missing"),
        (["inpaint", "--mask", "mask.png", "--prompt", "a"], 2, "IMAGE is missing"),
        (["inpaint", "gone.png", "--mask", "mask.png", "--prompt", "a"], 2, "gone.png"),
        (["inpaint", "photo.png", "--box", "1,2", "--prompt", "a"], 2, "box .* is no rectangle"),
        (["inpaint", "photo.png", "--box", "0.5,0,0.2,1", "--prompt", "a"], 2, "no rectangle"),
        (["inpaint", "photo.png", "--box", "a,b", "--prompt", "a"], 2, "no rectangle"),
        (["inpaint", "photo.png", "--box", "0,0,1,1", "--context", "model", "--prompt", "a"], 2,
         "fine-tuned for inpainting"),
        (["inpaint", "--steps-file", "mask.png"], 2, "expected a scene file"),
        (["inpaint", "--steps-file", "photo.png", "--prompt", "a"], 2, "prompts and masks of its"),
    ],
)  # fmt: skip
def test_wrong_requests_are_refused_in_a_paragraph(capsys, photo, mask, arguments, status, named):
    found, _, err = glide_eval(capsys, *arguments, *QUICK)
    assert found == status
    assert re.search(named, err), err
    assert not Path("pictures").exists()


@pytest.mark.parametrize(
    ("scene", "named"),
    [
        ("", r"`steps` is missing"),
        ("[[steps]]\nprompt = ''\n", r"steps\[0\].prompt.*some text"),
        ("[[steps]]\nprompts = 'a'\n", r"did you mean `prompt`"),
        ("[[steps]]\nprompt = 'a'\nmask = 'm.png'\nbox = [0, 0, 1, 1]\n", "found both"),
        ("[[steps]]\nprompt = 'a'\ninvert_mask = true\n", "without a `mask`"),
        ("[[steps]]\nprompt = 'a'\nbox = [0.5, 0, 0.5, 1]\n", "no rectangle"),
        ("[[steps]]\nprompt = 'a'\n[[steps]]\nprompt = 'b'\n", "Step 2 of the scene has no mask"),
        ("[[steps]]\nprompt = 'a'\nmask = 'gone.png'\n", "gone.png is missing"),
    ],
)
def test_wrong_scenes_are_refused_in_a_paragraph(capsys, scene, named):
    Path("scene.toml").write_text(scene)
    status, _, err = glide_eval(capsys, "inpaint", "--steps-file", "scene.toml", *QUICK)
    assert status in (1, 2)
    assert re.search(named, err), err


def deep() -> np.ndarray:
    return np.arange(32 * 32, dtype=np.uint16).reshape(32, 32) * 60


def write_bad(kind: str, path: Path) -> None:
    image = Image.fromarray(pixels(32, 32))
    if kind == "transparent":
        image.putalpha(128)
        image.save(path)
    elif kind == "16-bit":
        Image.fromarray(deep()).save(path)
    elif kind == "cmyk":
        image.convert("CMYK").save(path, "TIFF")
    elif kind == "truncated":
        image.save(path)
        path.write_bytes(path.read_bytes()[:-100])
    elif kind == "animated":
        image.save(path, save_all=True, append_images=[Image.fromarray(pixels(32, 32, 1))])
    elif kind == "text":
        path.write_text("not an image")


BAD = {
    "transparent": "partly transparent",
    "16-bit": "more than 8 bits",
    "cmyk": "CMYK image",
    "truncated": "truncated or corrupt",
    "animated": "2 frames",
    "text": "is not an image",
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("role", ["image", "mask", "sketch"])
def test_pictures_that_cannot_be_read_without_a_guess_are_refused(
    capsys, photo, mask, tmp_path, kind, role
):
    bad = tmp_path / "bad.png"
    write_bad(kind, bad)
    command = {
        "image": ("inpaint", bad, "--mask", mask),
        "mask": ("inpaint", photo, "--mask", bad),
        "sketch": ("edit", bad),
    }[role]
    status, _, err = glide_eval(capsys, *command, "--prompt", "a cube", *QUICK)
    assert status == 1
    assert BAD[kind] in err
    assert "bad.png" in err


def test_grey_palette_and_opaque_alpha_are_read(capsys, mask, tmp_path):
    wanted = pixels(32, 32)
    grey = save(tmp_path / "grey.png", wanted[..., 0])
    alpha = save(tmp_path / "alpha.png", np.dstack([wanted, np.full((32, 32), 255, np.uint8)]))
    palette = tmp_path / "palette.png"
    Image.fromarray(wanted).quantize(16).save(palette)
    for path in (grey, alpha, palette):
        status, _, _ = glide_eval(
            capsys, "inpaint", path, "--mask", mask, "--prompt", "a", "--out", path.stem, *QUICK
        )
        assert status == 0
    np.testing.assert_array_equal(read("alpha/a-seed0.png")[:, :16], wanted[:, :16])


def test_a_picture_too_large_to_be_meant_is_refused(capsys, photo, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    status, _, err = glide_eval(capsys, "edit", photo, "--prompt", "a", *QUICK)
    assert status == 1
    assert "too large" in err


@pytest.mark.parametrize(
    ("white", "named"),
    [
        (np.zeros((32, 32), np.uint8), "nothing to paint.*--invert-mask"),
        (right_half(16, 16), "16 × 16, but the picture it masks is 32 × 32"),
        (pixels(32, 32), "coloured: expected a black and white mask"),
    ],
)
def test_masks_that_cannot_be_meant_are_refused(capsys, photo, tmp_path, white, named):
    mask = save(tmp_path / "odd.png", white)
    status, _, err = glide_eval(capsys, "inpaint", photo, "--mask", mask, "--prompt", "a", *QUICK)
    assert status == 1
    assert re.search(named, err), err


def test_an_all_white_mask_warns_that_the_source_does_not_matter(capsys, photo, tmp_path):
    mask = save(tmp_path / "white.png", np.full((32, 32), 255, np.uint8))
    status, _, err = glide_eval(capsys, "inpaint", photo, "--mask", mask, "--prompt", "a", *QUICK)
    assert status == 0
    assert "whole picture is repainted" in err


@pytest.mark.parametrize(
    ("prompt", "named"),
    [
        ("a red cube " * 10, "too long for this model: its end.*'red cube a red"),
        ("a red 🦊", "no word for: 🦊"),
        ("מכעב אדום", "no word for: מכעב, אדום"),
    ],
)
def test_what_a_model_will_not_read_of_a_prompt_is_told(capsys, prompt, named):
    status, _, err = glide_eval(capsys, "sample", prompt, *QUICK)
    assert status == 0
    assert re.search(named, err), err
    assert len(list(Path("pictures").glob("*.png"))) == 1


def test_file_names_keep_the_letters_of_any_script():
    assert slug("A large, shiny RED sphere!") == "a-large-shiny-red-sphere"
    assert slug("מכעב אדום") == "מכעב-אדום"
    assert slug("🦊") == "picture"
    assert len(slug("word " * 100)) <= 40
