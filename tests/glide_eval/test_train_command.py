"""`glide-eval models train`: files it refuses, the documented example, and several processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from generator.checkpoints import load_unet
from generator.training.state import read_state
from glide_eval.cli import cli
from glide_eval.errors import ConfigError
from glide_eval.training import load_training

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/train/captioned-folder.toml"
TINY = """
[model]
kind = "base"
like = "tabletop"
[model.config]
image_size = 16
channel_mult = [1, 2]
attention_resolutions = [8]
[data]
source = "folder"
path = "pictures"
[training]
steps = 3
batch = 4
micro_batch = 2
lr = 1e-3
warmup = 1
precision = "float32"
log_every = 1
[output]
folder = "out"
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "train.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("batch = 4", "batchs = 4"), "did you mean `batch`"),
        (('kind = "base"', 'kind = "bass"'), "`model.kind` is"),
        (('like = "tabletop"', ""), "expected one of `start` and `like`, found none"),
        (("image_size = 16", "imagesize = 16"), "did you mean `image_size`"),
        (("micro_batch = 2", "micro_batch = 3"), "not a multiple of `micro_batch` = 3"),
        (("lr = 1e-3", "lr = 0"), "`training.lr` is 0"),
        (('"folder"\npath', '"coco"\npath'), "`captions` is missing"),
        (("[model]", "[model"), "expected a training file"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path, change, message):
    assert change[0] in TINY
    with pytest.raises(ConfigError) as caught:
        load_training(write(tmp_path, TINY.replace(*change)))
    assert message in str(caught.value)
    assert "sweep file" not in str(caught.value)


def test_the_example_trains_the_bundled_model_on_its_pictures(tmp_path):
    text = EXAMPLE.read_text().replace("steps = 20", "steps = 2").replace("batch = 8", "batch = 2")
    text = text.replace('"pictures"', f"'{EXAMPLE.parent / 'pictures'}'")
    out = tmp_path / "out"
    arguments = ["models", "train", str(write(tmp_path, text)), "--out", str(out)]
    result = CliRunner().invoke(cli, [*arguments, "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert "8 pictures, on cpu." in result.output
    assert load_unet(out / "model.safetensors").config.image_size == 32
    assert {p.name for p in out.iterdir()} == {
        "model.safetensors", "state.pt", "loss.csv", "loss.svg"
    }  # fmt: skip
    again = CliRunner().invoke(cli, [*arguments, "--device", "cpu"])
    assert again.exit_code == 0, "a finished training is left as it is"


def test_two_processes_end_with_the_weights_of_one(tmp_path):
    (tmp_path / "pictures").mkdir()
    for i in range(5):
        values = np.random.default_rng(i).integers(0, 255, (20, 20, 3)).astype(np.uint8)
        Image.fromarray(values).save(tmp_path / f"pictures/{i}.png")
        (tmp_path / f"pictures/{i}.txt").write_text("a red cube")
    config = write(tmp_path, TINY)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = ["-m", "glide_eval", "models", "train", str(config), "--device", "cpu", "--out"]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, before in (("one", []), ("two", torchrun)):
        subprocess.run(
            [sys.executable, *before, *command, str(tmp_path / name)],
            check=True, env=environment, cwd=tmp_path, capture_output=True,
        )  # fmt: skip
    one, two = (read_state(tmp_path / name / "state.pt")["ema"] for name in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=0, atol=1e-5)
