"""Whole trainings of tiny models: every kind, resuming, fp16, and what stops one."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from generator.checkpoints import load_clip, load_unet, read
from generator.errors import OptionError, TrainingError
from generator.training import state as training_state
from generator.training.kinds import corrupted
from generator.training.loop import Schedule, train
from generator.training.precision import LossScale
from generator.training.processes import Processes
from generator.training.run import Recipe, train_model
from generator.training.sources import CaptionedFiles, folder
from glide_eval.training import draw_loss_curve
from tests.generator.test_sampling import TINY, TINY_CLIP, TINY_UP

SCHEDULE = Schedule(steps=2, lr=1e-3, warmup=1, ema=0.5, log_every=1)


@pytest.fixture
def pictures(tmp_path) -> CaptionedFiles:
    root = tmp_path / "pictures"
    root.mkdir()
    for i in range(6):
        values = np.random.default_rng(i).integers(0, 255, (32, 32, 3)).astype(np.uint8)
        Image.fromarray(values).save(root / f"{i}.png")
        (root / f"{i}.txt").write_text(("a red cube", "a blue sphere")[i % 2])
    return folder(root)


def recipe(kind: str, config=TINY, **changes) -> Recipe:
    base = Recipe(kind, SCHEDULE, batch=4, config=config, precision="float32", workers=0)
    return dataclasses.replace(base, **changes)


def quiet(*args: object) -> None: ...


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("base", TINY),
        ("classifier_free", TINY),
        ("inpainting", TINY),
        ("inpainting", TINY_UP),
        ("upsampler", TINY_UP),
        ("noised_clip", TINY_CLIP),
    ],
)
def test_every_kind_trains_and_writes_a_model_that_loads(tmp_path, pictures, kind, config):
    out = train_model(recipe(kind, config), pictures, tmp_path / "out", log=quiet)
    load = load_clip if kind == "noised_clip" else load_unet
    model = load(out.path)
    _, metadata = read(out.path)
    notes = metadata["notes"]
    assert notes["kind"] == kind
    assert notes["steps_done"] == 2
    assert notes["data"] == pictures.digest()
    assert notes["final_loss"] == out.loss
    if kind == "inpainting":
        assert model.config.inpaint
    rows = (tmp_path / "out/loss.csv").read_text().splitlines()
    terms = "loss" if kind == "noised_clip" else "mse,bound"
    assert rows[0] == f"step,{terms},learning_rate"
    assert [row.split(",")[0] for row in rows[1:]] == ["1", "2"]


def test_a_training_that_version_0_1_began_goes_on_and_its_curve_is_drawn(tmp_path, pictures):
    schedule = dataclasses.replace(SCHEDULE, steps=5, log_every=2)
    how = recipe("base", TINY, schedule=schedule, save_every=0.0)
    out, state = tmp_path / "out", tmp_path / "out" / "state.pt"
    with pytest.raises(KeyboardInterrupt):
        train_model(how, pictures, out, log=quiet, on_step=stopped_after(4))
    saved = torch.load(state, weights_only=True)
    assert (saved["step"], len(saved["recent"])) == (3, 1)
    old = {**saved, "history": [(2, 5.6, 1e-3)], "recent": [5.6]}
    torch.save(old, state)
    trained = train_model(how, pictures, out, log=quiet)
    rows = (out / "loss.csv").read_text().splitlines()
    assert rows[:2] == ["step,mse,bound,learning_rate", "2,5.6,,0.001"]
    assert trained.loss < 5
    assert trained.last.bound is not None
    old_table = tmp_path / "old.csv"
    old_table.write_text("step,loss,learning_rate\n2,5.6,0.001\n4,0.2,0.001\n")
    for table, panels in ((old_table, ["Loss"]), (out / "loss.csv", ["MSE of ε", "bound"])):
        draw_loss_curve(table, tmp_path / "loss.svg")
        assert all(name in (tmp_path / "loss.svg").read_text() for name in panels)


def test_a_kind_refuses_the_wrong_model(tmp_path, pictures):
    with pytest.raises(OptionError, match="needs an upsampler"):
        train_model(recipe("upsampler", TINY), pictures, tmp_path / "out", log=quiet)


def stopped_after(step: int):
    def on_step(state) -> None:
        if state.step == step:
            raise KeyboardInterrupt

    return on_step


def test_a_training_stopped_anywhere_ends_with_the_same_bytes(tmp_path, pictures, monkeypatch):
    schedule = dataclasses.replace(SCHEDULE, steps=5, log_every=2, parts=2)
    dropout = dataclasses.replace(TINY, dropout=0.2)
    how = recipe("base", dropout, schedule=schedule, crop="random", workers=2, save_every=0.0)
    train_model(how, pictures, tmp_path / "whole", log=quiet)

    part = tmp_path / "part"
    with pytest.raises(KeyboardInterrupt):
        train_model(how, pictures, part, log=quiet, on_step=stopped_after(2))

    save = torch.save

    def killed_half_way(values, path) -> None:
        save(values, path)
        path.write_bytes(path.read_bytes()[:1000])
        raise KeyboardInterrupt

    monkeypatch.setattr(training_state.torch, "save", killed_half_way)
    with pytest.raises(KeyboardInterrupt):
        train_model(how, pictures, part, log=quiet)
    monkeypatch.undo()
    train_model(how, pictures, part, log=quiet)
    assert (part / "loss.csv").read_bytes() == (tmp_path / "whole/loss.csv").read_bytes()
    (weights, about), (expected, told) = (
        read(folder / "model.safetensors") for folder in (part, tmp_path / "whole")
    )
    assert about == told
    for name, value in expected.items():
        assert torch.equal(weights[name], value), name


def test_a_state_of_other_settings_is_not_gone_on_from(tmp_path, pictures):
    train_model(recipe("base"), pictures, tmp_path / "out", log=quiet)
    with pytest.raises(TrainingError, match="batch 4 there, 2 now"):
        train_model(recipe("base", batch=2), pictures, tmp_path / "out", log=quiet)
    (tmp_path / "out/state.pt").write_bytes(b"half a file")
    with pytest.raises(TrainingError, match="can't be read"):
        train_model(recipe("base"), pictures, tmp_path / "out", log=quiet)


def linear(values):
    """A model and a loss that takes the given factor at each step."""
    model = nn.Linear(2, 1)
    factors = iter(values)
    return model, lambda rng, torch_rng: (model(torch.ones(1, 2)) * next(factors)).square().mean()


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_state(tmp_path):
    model, loss = linear([1.0, 1.0, float("nan")])
    with pytest.raises(TrainingError, match=r"step 3, learning rate 0\.01: the loss is nan"):
        train(model, loss, Schedule(9, 0.01, warmup=1, decay_from=0.9), tmp_path / "s.pt", 0.0,
              log=quiet)  # fmt: skip
    assert training_state.read_state(tmp_path / "s.pt")["step"] == 2


def test_fp16_skips_a_step_whose_gradient_overflows_and_goes_on_with_a_smaller_scale(tmp_path):
    model, loss = linear(itertools.chain([1.0, 1e19], itertools.repeat(1.0)))
    schedule = Schedule(4, 0.01, warmup=1, loss_scaling=True, log_every=1)
    train(model, loss, schedule, tmp_path / "s.pt", log=quiet)
    saved = training_state.read_state(tmp_path / "s.pt")
    assert saved["scale"]["factor"] == LossScale(True).factor / 2
    assert all(torch.isfinite(value).all() for value in saved["model"].values())


def test_the_loss_scale_changes_no_gradient(tmp_path):
    ends = []
    for scaling in (False, True):
        torch.manual_seed(0)
        model, loss = linear(itertools.repeat(1.0))
        train(model, loss, Schedule(3, 0.01, loss_scaling=scaling), tmp_path / f"{scaling}.pt",
              log=quiet)  # fmt: skip
        ends.append(model.weight.detach().clone())
    torch.testing.assert_close(*ends)


def test_parts_must_be_shared_out_evenly(tmp_path):
    model, loss = linear([])
    with pytest.raises(OptionError, match="3 parts can't be shared out among 2 processes"):
        train(model, loss, Schedule(1, 0.01, parts=3), tmp_path / "s.pt",
              processes=Processes(0, 2))  # fmt: skip


def test_the_upsamplers_small_picture_is_a_quarter_as_large_and_looks_alike():
    ramp = np.repeat(np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None], 64, 0).repeat(3, 2)
    drawn = [corrupted(ramp, np.random.default_rng(seed)) for seed in range(8)]
    average = ramp.reshape(16, 4, 16, 4, 3).mean((1, 3))
    for small in drawn:
        assert small.shape == (16, 16, 3)
        assert np.abs(small[:, 2:-2] - average[:, 2:-2]).max() < 6
    busy = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    faults = {corrupted(busy, np.random.default_rng(seed)).tobytes() for seed in range(8)}
    assert len(faults) > 2
