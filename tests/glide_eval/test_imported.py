from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from analysis.report.figures.elo import elo_by_scale
from analysis.scores import with_series
from glide_eval.cli.report_inputs import _as_reported
from glide_eval.errors import ConfigError, ImageError
from glide_eval.files import centre_square, encode_png
from glide_eval.sweep import load_prompts, load_sweep, run_sweep
from glide_eval.sweep.imported_arms import match_folder
from tests.glide_eval.sweeps import write_images, write_sweep

IMPORTED = '[[arms]]\nstrategy = "imported"\nname = "mine"\nfolder = "images"\n'
CAPTIONS = 'captions = ["a cat", "a dog, running"]'


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "images"


def matched(tmp_path, extra: str = "", prompts: str = CAPTIONS, run: str = 'name = "a"'):
    sweep = load_sweep(write_sweep(tmp_path, run=run, prompts=prompts, arms=IMPORTED + extra))
    return match_folder(sweep, sweep.config.expand()[0], load_prompts(sweep))


def names(matched) -> dict:
    """Each prompt's image; its candidates, if it has several."""
    found = {key: [path.name for path in paths] for key, paths in matched.files.items()}
    return {key: paths if len(paths) > 1 else paths[0] for key, paths in found.items()}


def test_images_find_their_prompts_by_caption_whatever_their_order(tmp_path, folder):
    write_images(folder, ["A dog,  running", "a cat"])
    assert names(matched(tmp_path)) == {
        ("p0000", 0): "image1.png",
        ("p0001", 0): "image0.png",
    }


def test_images_find_their_prompts_by_id(tmp_path, folder):
    write_images(folder, ["x", "y"])
    (folder / "captions.csv").write_text("file,prompt_id\nimage0.png,p0001\nimage1.png,p0000\n")
    assert names(matched(tmp_path))["p0001", 0] == "image0.png"


def test_captions_may_lie_in_text_files_beside_the_images(tmp_path, folder):
    paths = write_images(folder, ["x", "y"])
    (folder / "captions.csv").unlink()
    paths[0].with_suffix(".txt").write_text("a dog, running\n")
    paths[1].with_suffix(".txt").write_text("a cat\n")
    assert names(matched(tmp_path))["p0000", 0] == "image1.png"


def test_captions_may_lie_in_a_file_elsewhere(tmp_path, folder):
    write_images(folder, ["x", "y"])
    (tmp_path / "c.jsonl").write_text(
        '{"file": "image0.png", "caption": "a cat"}\n'
        '{"file": "image1.png", "caption": "a dog, running"}\n'
    )
    assert names(matched(tmp_path, 'captions = "c.jsonl"'))["p0000", 0] == "image0.png"


def test_replicas_take_several_images_of_one_caption(tmp_path, folder):
    write_images(folder, ["a cat", "a dog, running", "a cat", "a dog, running"])
    files = names(matched(tmp_path, run='name = "a"\nreplicas = 2'))
    assert [files["p0000", 0], files["p0000", 1]] == ["image0.png", "image2.png"]


RERANK = 'rerank = { clip = "fake", best_of = 2 }'


def test_candidates_are_further_images_of_the_caption_after_every_replica_has_one(tmp_path, folder):
    write_images(folder, ["a cat", "a dog, running"] * 4 + ["a cat"])
    found = matched(tmp_path, RERANK, run='name = "a"\nreplicas = 2')
    plain = matched(tmp_path, run='name = "a"\nreplicas = 2')
    assert names(found)["p0000", 0] == ["image0.png", "image4.png"]
    assert names(found)["p0000", 1] == ["image2.png", "image6.png"]
    assert names(plain)["p0000", 1] == "image2.png"
    assert found.spare == 1
    assert len(found.sides) == 8


def test_too_few_candidates_are_named_with_the_keys_that_ask_for_them(tmp_path, folder):
    write_images(folder, ["a cat", "a dog, running"] * 3)
    with pytest.raises(ImageError, match=r"have not 4 images \(`run.replicas` × `rerank.best_of`"):
        matched(tmp_path, RERANK, run='name = "a"\nreplicas = 2')


def test_a_changed_candidate_changes_the_digest(tmp_path, folder):
    paths = write_images(folder, ["a cat", "a dog, running"] * 2)
    before = matched(tmp_path, RERANK).sha256
    paths[3].write_bytes(paths[0].read_bytes())
    assert matched(tmp_path, RERANK).sha256 != before


def test_spare_and_small_images_are_reported(tmp_path, folder):
    write_images(folder, ["a cat", "a dog, running", "a horse"], size=40)
    notes = matched(tmp_path).notes(64)
    assert notes[0].startswith("1 images match no prompt")
    assert notes[1].startswith("2 images are smaller than 64 px")
    assert len(matched(tmp_path).notes(40)) == 1


def test_a_changed_image_changes_the_digest(tmp_path, folder):
    paths = write_images(folder, ["a cat", "a dog, running"])
    before = matched(tmp_path).sha256
    assert matched(tmp_path).sha256 == before
    paths[1].write_bytes(paths[0].read_bytes())
    assert matched(tmp_path).sha256 != before


def test_prompts_without_an_image_are_listed(tmp_path, folder):
    write_images(folder, ["a cat", "a dog"])
    with pytest.raises(ImageError, match="1 of 2 prompts have not an image here: p0001 'a dog, ru"):
        matched(tmp_path)


def test_truncated_and_missing_images_are_listed_together(tmp_path, folder):
    paths = write_images(folder, ["a cat", "a dog, running"])
    paths[0].write_bytes(paths[0].read_bytes()[:200])
    paths[1].unlink()
    with pytest.raises(ImageError) as caught:
        matched(tmp_path)
    message = str(caught.value)
    assert "2 of 2 images are missing or can't be decoded" in message
    assert "image0.png (" in message
    assert "image1.png (missing)" in message


def test_a_folder_without_captions_says_where_they_are_expected(tmp_path, folder):
    write_images(folder, ["a cat", "a dog, running"])
    (folder / "captions.csv").unlink()
    with pytest.raises(ImageError, match=r"found 2 images and no captions, expected captions\.csv"):
        matched(tmp_path)


def test_a_table_without_captions_is_named(tmp_path, folder):
    write_images(folder, ["a cat"])
    (folder / "captions.csv").write_text("file,text\nimage0.png,a cat\n")
    with pytest.raises(ImageError, match=r"captions\.csv has no captions, expected a column"):
        matched(tmp_path)


def test_a_missing_folder_and_a_missing_captions_file_are_named(tmp_path, folder):
    with pytest.raises(ConfigError, match="images: no such folder"):
        matched(tmp_path)
    folder.mkdir()
    with pytest.raises(ConfigError, match=r"c\.csv: no such file"):
        matched(tmp_path, 'captions = "c.csv"')


def test_the_centre_square_of_a_wide_image_is_kept():
    pixels = np.zeros((2, 6, 3), np.uint8)
    pixels[:, 2:4] = 200
    assert (centre_square(pixels, 2) == 200).all()
    assert centre_square(pixels, 2).shape == (2, 2, 3)


def test_halving_averages_instead_of_picking_pixels():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    small = centre_square(stripes, 32)[4:-4, 4:-4]
    assert np.abs(small.astype(int) - 100).max() <= 3


def test_a_png_holds_its_pixels_and_nothing_else(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    content = encode_png(pixels)
    assert content == encode_png(pixels.copy())
    assert b"tIME" not in content
    assert b"tEXt" not in content
    (tmp_path / "a.png").write_bytes(content)
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


def test_folders_of_several_scales_are_a_curve(tmp_path):
    captions = ["a red cube", "a blue ball"]
    for scale in ("1.5", "3"):
        write_images(tmp_path / f"cfg-{scale}", captions)
    arms = (
        '[[arms]]\nstrategy = "imported"\nname = "comfy"\nfolder = "cfg-{scale}"\n'
        'scales = [1.5, 3]\nstrategy_label = "ComfyUI CFG"'
    )
    prompts = f"captions = {captions}"
    config = write_sweep(tmp_path, prompts=prompts, arms=arms)
    run = run_sweep(load_sweep(config), tmp_path / "run", say=lambda _: None).run
    assert [(arm.name, arm.strategy, arm.scale, arm.label) for arm in run.arms()] == [
        ("comfy-1.5", "ComfyUI_CFG", 1.5, "comfy, s = 1.5"),
        ("comfy-3", "ComfyUI_CFG", 3.0, "comfy, s = 3"),
    ]
    assert len(run.samples()) == 4
    arms = with_series(pd.DataFrame([_as_reported(arm) for arm in run.arms()]))
    elo = arms.rename(columns={"name": "arm"}).assign(
        question="photorealism", rater_kind="person", anchor="", elo=[0, 50], low=-9, high=99
    )
    figure = elo_by_scale(elo)
    assert figure is not None
    drawn = json.dumps(figure.panels[0].chart.to_dict())
    marks = [layer["mark"]["type"] for layer in figure.panels[0].chart.to_dict()["layer"]]
    assert "line" in marks
    assert '"title": "guidance scale"' in drawn  # what their scale means nobody said
    assert "ComfyUI CFG" in drawn


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ('folder = "cfg-{scale}"', "expected `{scale}` in `folder` where there are `scales`"),
        ('folder = "cfg"\nscales = [1, 2]', "expected `{scale}` in `folder`"),
        ('folder = "cfg-{scale}"\nscales = [1]\nscale = 1', "found `scale` and `scales`"),
        ('folder = "cfg"\nstrategy_label = "CFG"', "`strategy_label` without `scale`"),
        ('folder = "cfg"\nscale = 1\nstrategy_label = "<b>"', "beginning with a letter"),
    ],
)
def test_scales_of_folders_that_make_no_curve_are_refused(tmp_path, keys, words):
    arms = f'[[arms]]\nstrategy = "imported"\nname = "comfy"\n{keys}'
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_sweep(write_sweep(tmp_path, arms=arms))
