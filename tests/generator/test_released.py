"""OpenAI's released files: the catalogue, loading them, and files that are not what they seem."""

from __future__ import annotations

import gzip
import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from generator import checkpoints, released
from generator.bpe import ClipTokenizer, Gpt2Tokenizer
from generator.clip import Clip
from generator.config import ClipConfig, UNetConfig
from generator.errors import CheckpointError
from generator.loading import load_pipeline
from generator.options import Sampling
from generator.pipeline import Pipeline
from generator.text_unet import TextUNet
from generator.tokenizer import ended
from generator.weight_files import Record, sha256, write_record
from tests.generator.recipe import GOLDEN, with_recipe_weights

LAYOUT = json.loads(gzip.decompress((GOLDEN / "checkpoint_layout.json.gz").read_bytes()))
TINY = UNetConfig(
    image_size=16, num_channels=32, num_res_blocks=1, channel_mult=(1, 2), num_head_channels=16,
    attention_resolutions=(8,), text_ctx=16, xf_width=32, xf_layers=1, xf_heads=2, dropout=0.0,
)  # fmt: skip
TINY_UP = replace(TINY, image_size=32, super_res=True, noise_schedule="linear")
TINY_CLIP = ClipConfig(
    image_size=16, n_embd=16, n_head_text=2, n_head_state_text=8, n_xf_blocks_text=1,
    n_head_image=2, n_head_state_image=8, n_xf_blocks_image=1,
)  # fmt: skip
UNETS = {
    "base.pt": TINY,
    "upsample.pt": TINY_UP,
    "base_inpaint.pt": replace(TINY, inpaint=True),
    "upsample_inpaint.pt": replace(TINY_UP, inpaint=True),
}
QUICK = Sampling(steps=2, upsampler_steps=2, sampler="ddim")


@pytest.fixture(autouse=True)
def small_catalogue(monkeypatch):
    """The released files at a size for tests: same names, same code, smaller numbers."""
    monkeypatch.setattr(released, "GLIDE_CLIP", TINY_CLIP)
    for file, known in released.BY_FILE.items():
        config = UNETS.get(file, TINY_CLIP)
        monkeypatch.setitem(released.BY_FILE, file, replace(known, config=config))


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    for file, config in UNETS.items():
        torch.save(with_recipe_weights(TextUNet(config)).state_dict(), folder / file)
    clip = tiny_clip()
    torch.save(clip.image_encoder.state_dict(), folder / "clip_image_enc.pt")
    torch.save(clip.text_encoder.state_dict(), folder / "clip_text_enc.pt")
    shutil.copy(GOLDEN / "gpt2_vocabulary.json", folder / "encoder.json")
    return folder


@pytest.fixture
def glide(published, tmp_path, monkeypatch) -> Path:
    """The weights folder of a user who fetched everything."""
    monkeypatch.setenv("GLIDE_EVAL_WEIGHTS", str(tmp_path))
    return Path(shutil.copytree(published, tmp_path / "glide"))


def tiny_clip() -> Clip:
    clip = Clip(TINY_CLIP)
    with_recipe_weights(clip.text_encoder)
    with_recipe_weights(clip.image_encoder)
    return clip.eval()


def test_the_catalogue_is_the_released_six():
    assert {c.name: (c.url, c.parameters) for c in released.CHECKPOINTS} == {
        name: (known["url"], known["parameters"]) for name, known in LAYOUT.items()
    }
    for known in released.CHECKPOINTS:
        with torch.device("meta"):
            if isinstance(known.config, UNetConfig):
                model = TextUNet(known.config)
            else:
                clip = Clip(known.config)
                model = clip.image_encoder if "image" in known.name else clip.text_encoder
        layout = {key: list(value.shape) for key, value in model.state_dict().items()}
        assert layout == dict(LAYOUT[known.name]["layout"])
        assert known.url.endswith("/" + known.file)


@pytest.mark.parametrize("name", ["base", "upsample", "base-inpaint", "upsample-inpaint"])
def test_low_precision_takes_the_entries_the_released_code_converts(name):
    config = next(c.config for c in released.CHECKPOINTS if c.name == name)
    with torch.device("meta"):
        model = TextUNet(config)
    assert checkpoints.low_precision_entries(model) == set(LAYOUT[name]["float16"])


@pytest.mark.parametrize("strategy", ["classifier_free", "clip"])
def test_fetched_files_sample_as_the_networks_they_hold(glide, strategy):
    captions, seeds = ["an oil painting of a corgi"], [3]
    ours = Pipeline(
        with_recipe_weights(TextUNet(TINY)), with_recipe_weights(TextUNet(TINY_UP)), tiny_clip(),
        Gpt2Tokenizer(glide / "encoder.json"), {}, torch.device("cpu"),
        clip_tokenizer=ClipTokenizer(),
    )  # fmt: skip
    loaded = load_pipeline("glide")
    sampling = replace(QUICK, strategy=strategy)
    np.testing.assert_array_equal(
        loaded.sample(captions, seeds, sampling), ours.sample(captions, seeds, sampling)
    )
    assert loaded.weights["base.pt"] == sha256(glide / "base.pt")
    assert loaded.weights["encoder.json"] == sha256(glide / "encoder.json")
    assert loaded.base_inpaint is not None
    assert loaded.upsample_inpaint is not None
    # CLIP reads start token, caption, end token, zeros.
    tokens, _ = ended(loaded.clip_tokenizer, ["a corgi"], 77)
    assert tokens[0, [0, -1]].tolist() == [49406, 0]


def test_a_folder_of_released_files_is_a_model_too(glide, tmp_path):
    other = tmp_path / "mine"
    other.mkdir()
    for file in ("base.pt", "upsample.pt"):
        shutil.copy(glide / file, other)
    pipeline = load_pipeline(str(other), networks=("base", "upsampler"))  # vocabulary: the fetched
    assert pipeline.sample(["a red cube"], [1], QUICK).shape == (1, 32, 32, 3)
    assert pipeline.base_inpaint is None
    with pytest.raises(CheckpointError, match=r"not a whole model: noised-clip\.safetensors"):
        load_pipeline(str(other))


def test_in_low_memory_no_two_unets_are_loaded_at_once(glide):
    pipeline = load_pipeline("glide", low_memory=True)
    assert pipeline.networks.loaded == []
    assert pipeline.image_size == 32
    small = pipeline.sample_base(["a red cube"], [1], replace(QUICK, strategy="clip"))
    assert sorted(pipeline.networks.loaded) == ["base", "clip"]
    pipeline.upsample(small, ["a red cube"], [1], QUICK)
    assert pipeline.networks.loaded == ["upsampler"]
    np.testing.assert_array_equal(
        pipeline.sample(["a red cube"], [1], QUICK),
        load_pipeline("glide").sample(["a red cube"], [1], QUICK),
    )


def test_bfloat16_weights_are_loaded_as_such_and_draw_nearly_the_same_picture(glide):
    exact, low = load_pipeline("glide"), load_pipeline("glide", dtype="bfloat16")
    entries = checkpoints.low_precision_entries(low.base)
    for name, value in low.base.state_dict().items():
        assert value.dtype == (torch.bfloat16 if name in entries else torch.float32), name
    a, b = (p.sample_base(["a red cube"], [1], QUICK) for p in (exact, low))
    assert (a - b).abs().mean() < 0.05


def test_half_precision_files_load_as_float32(glide):
    state = torch.load(glide / "base.pt", weights_only=True)
    torch.save({name: value.half() for name, value in state.items()}, glide / "base.pt")
    loaded = checkpoints.load_unet(glide / "base.pt", config=TINY)
    for name, value in loaded.state_dict().items():
        torch.testing.assert_close(value, state[name].half().float(), msg=name)


def test_without_a_config_a_unet_is_known_by_its_channels(glide):
    with pytest.raises(CheckpointError, match="of another model"):  # full-size entries are missing
        checkpoints.load_unet(glide / "base.pt")
    torch.save({"weight": torch.zeros(2)}, glide / "base.pt")
    with pytest.raises(CheckpointError, match=r"of no released UNet: .*no such entry"):
        checkpoints.load_unet(glide / "base.pt")


class Prints:
    def __reduce__(self):
        return print, ("code ran",)


def rot(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "half downloaded":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "web page":
        path.write_bytes(b"<!DOCTYPE html><html><title>404 Not Found</title></html>")
    elif how == "zeros":
        path.write_bytes(bytes(len(content)))
    elif how == "code":
        torch.save({"a": Prints()}, path)
    elif how == "code without torch":
        path.write_bytes(pickle.dumps(Prints()))
    elif how == "whole training state":
        torch.save({"model": torch.load(path, weights_only=True), "step": 3}, path)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("half downloaded", "cut short"),
        ("empty", "0 bytes"),
        ("web page", "a web page"),
        ("zeros", "can't be read"),
        ("code", "can't be read"),
        ("code without torch", "can't be read"),
        ("whole training state", "a dict of tensors alone"),
    ],
)
def test_a_file_that_is_no_weights_gets_one_clear_paragraph(glide, capsys, how, said):
    rot(glide / "base.pt", how)
    with pytest.raises(CheckpointError, match=said) as caught:
        load_pipeline("glide")
    message = str(caught.value)
    assert str(glide / "base.pt") in message
    assert "\n" not in message
    assert len(message) < 600
    assert "code ran" not in capsys.readouterr().out


def test_files_saved_by_old_versions_of_torch_load(glide):
    state = torch.load(glide / "base.pt", weights_only=True)
    torch.save(state, glide / "base.pt", _use_new_zipfile_serialization=False)
    assert load_pipeline("glide", networks=("base",)).base.config == TINY


def test_another_models_weights_say_which_entries_differ(glide):
    shutil.copy(glide / "base.pt", glide / "upsample.pt")
    with pytest.raises(
        CheckpointError,
        match=r"upsample\.pt .*1 of another shape \(input_blocks\.0\.0\.weight: "
        r"expected \(32, 6, 3, 3\), found \(32, 3, 3, 3\)\)",
    ):
        load_pipeline("glide")


def test_a_file_changed_since_its_download_is_refused(glide):
    write_record(glide, "base.pt", Record("0" * 64, 12, "http://example.org/base.pt"))
    with pytest.raises(CheckpointError, match="not what was downloaded"):
        load_pipeline("glide")
    write_record(glide, "base.pt", Record(sha256(glide / "base.pt"), 12, ""))
    assert load_pipeline("glide", networks=("base",)).weights["base.pt"]
    (glide / "weights.json").write_text("[]")
    with pytest.raises(CheckpointError, match=r"weights\.json can't be read"):
        load_pipeline("glide")


def test_missing_models_name_what_to_do(glide, tmp_path):
    (glide / "base.pt").rename(glide / "base.pt.part")
    with pytest.raises(CheckpointError, match=r"base\.pt .*download begun.*models fetch glide"):
        load_pipeline("glide")
    with pytest.raises(CheckpointError, match=r"Unknown model 'glid'.*tabletop, glide or a folder"):
        load_pipeline("glid")
    (glide / "base.pt.part").rename(glide / "base.pt")
    (glide / "encoder.json").unlink()
    with pytest.raises(CheckpointError, match=r"vocabulary .*missing.*models fetch glide"):
        load_pipeline("glide", networks=("base",))


def test_a_caption_beyond_the_models_reach_is_named(glide):
    pipeline = load_pipeline("glide", networks=("base", "upsampler"))
    assert pipeline.cut_off("a red cube") == ""
    assert pipeline.cut_off("a red cube " * 5 + "and a corgi").endswith("corgi")
    assert pipeline.cut_off("a red cube " * 5) == pipeline.cut_off("a red cube " * 5, True)
