"""The miniature is trained from nothing, may be stopped anywhere, and never mixes recipes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from generator.checkpoints import WEIGHTS, load_clip, load_unet, read, read_notes, save
from generator.errors import GeneratorWarning, TrainingError
from generator.loading import load_pipeline
from generator.tabletop.version import VERSION, version_of
from generator.training import tabletop
from generator.training.loop import Schedule

NAMES = ("text", "base-weak", "base", "upsample", "upsample-steady")


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Two steps each, of a few small pictures; a state is saved after every step."""
    monkeypatch.setattr("generator.tabletop.dataset.SHARD", 6)
    monkeypatch.setattr(tabletop, "SHARDS", {tabletop.SMALL: 1, tabletop.LARGE: 1})
    monkeypatch.setattr(tabletop, "Captions", partial(tabletop.Captions, 20))
    monkeypatch.setattr(tabletop, "train", partial(tabletop.train, save_every=0.0))
    for name in NAMES:
        recipe = tabletop.RECIPES[name]
        steps = Schedule(steps=2, lr=1e-3, warmup=1, optimiser="muon", seed=recipe.schedule.seed)
        monkeypatch.setitem(tabletop.RECIPES, name, replace(recipe, schedule=steps, batch=2))


def stopping(monkeypatch, after: int) -> None:
    """Have the training killed in the loss of step `after`, counted over all UNets."""
    calls = []
    real = tabletop.unet_loss

    def loss(*args):
        calls.append(1)
        if len(calls) > after:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(tabletop, "unet_loss", loss)


@pytest.mark.slow
def test_all_may_be_killed_anywhere_and_ends_with_the_same_weights(tmp_path, monkeypatch, capsys):
    whole, parts, shipped = (tmp_path / name for name in ("whole", "parts", "shipped"))
    tabletop.train_all(whole, "cpu", NAMES)
    for after in (0, 1, 1, 2):
        with monkeypatch.context() as patch:
            stopping(patch, after)
            with pytest.raises(KeyboardInterrupt):
                tabletop.train_all(parts, "cpu", NAMES)
    tabletop.train_all(parts, "cpu", NAMES, shipped)
    for name in NAMES:
        # Not the files' bytes: safetensors writes its metadata in any order.
        ours, theirs = (read(folder / f"{name}.safetensors") for folder in (whole, parts))
        assert ours[1] == theirs[1], name
        assert all(torch.equal(ours[0][key], theirs[0][key]) for key in ours[0]), name
    assert {p.name for p in shipped.iterdir()} == {
        "base-weak.safetensors", "base.safetensors", "upsample.safetensors",
    }  # fmt: skip
    steady = (parts / "upsample-steady.safetensors").read_bytes()
    assert (shipped / "upsample.safetensors").read_bytes() == steady

    before = {p: p.stat().st_mtime_ns for p in parts.rglob("*.safetensors")}
    capsys.readouterr()
    tabletop.train_all(parts, "cpu", NAMES)
    assert capsys.readouterr().out.count("done before") == len(NAMES)
    assert before == {p: p.stat().st_mtime_ns for p in parts.rglob("*.safetensors")}

    notes = read(whole / "base.safetensors")[1]["notes"]
    assert notes["identity"]["start"] == "base-weak"
    assert notes["identity"]["corpus"]["captions"]["other_scene"] > 0
    assert notes["miniature"] == VERSION
    assert set(notes["defaults"]) == {"sampler", "steps", "upsampler_steps"}


def test_a_model_of_another_recipe_is_neither_used_nor_gone_on_from(tmp_path, monkeypatch):
    tabletop.train_all(tmp_path, "cpu", ("text",))
    other = replace(tabletop.RECIPES["text"], batch=3)
    monkeypatch.setitem(tabletop.RECIPES, "text", other)
    with pytest.raises(TrainingError, match=r"text\.safetensors was trained by another recipe: ba"):
        tabletop.train_all(tmp_path, "cpu", ("text",))
    (tmp_path / "text.safetensors").unlink()
    with pytest.raises(TrainingError, match=r"state of another training: batch 2 there, 3 now"):
        tabletop.train_all(tmp_path, "cpu", ("text",))


def test_a_longer_schedule_goes_on_from_a_shorter_one(tmp_path, monkeypatch):
    tabletop.train_all(tmp_path, "cpu", ("text",))
    short = load_unet(tmp_path / "text.safetensors").state_dict()
    recipe = tabletop.RECIPES["text"]
    longer = replace(recipe, schedule=replace(recipe.schedule, steps=4))
    monkeypatch.setitem(tabletop.RECIPES, "text", longer)
    tabletop.train_all(tmp_path, "cpu", ("text",))
    assert read(tmp_path / "text.safetensors")[1]["notes"]["steps_done"] == 4
    later = load_unet(tmp_path / "text.safetensors").state_dict()
    assert not torch.equal(short["token_embedding.weight"], later["token_embedding.weight"])


def test_every_shipped_weight_is_made_by_all_from_what_all_made_before():
    order = list(tabletop.MAKERS)
    assert set(order) == set(tabletop.RECIPES)
    for name, recipe in tabletop.RECIPES.items():
        if recipe.start is not None:
            assert order.index(recipe.start) < order.index(name)
    weights = Path(tabletop.__file__).parents[1] / "weights"
    assert {f"{name}.safetensors" for name in tabletop.SHIPPED.values()} == {
        path.name for path in weights.glob("*.safetensors")
    }
    assert set(tabletop.SHIPPED) <= set(order)


def test_who_judges_and_who_guides_learn_from_the_clean_world_and_who_draws_from_the_web():
    web = {name for name, recipe in tabletop.RECIPES.items() if recipe.web}
    assert web == {"base-weak", "base", "base-inpaint", "upsample", "upsample-steady"}


def test_a_model_of_pictures_needs_their_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["tabletop", "base", "--work", str(tmp_path)])
    with pytest.raises(SystemExit):
        tabletop.main()
    assert "name their folder with --data" in capsys.readouterr().err


def copied(folder: Path, notes: dict | None) -> Path:
    """The bundled model in a user's folder, with other notes if there are any."""
    folder.mkdir()
    for name in ("base", "upsample", "noised-clip"):
        source = WEIGHTS / f"{name}.safetensors"
        model = (load_clip if name == "noised-clip" else load_unet)(source)
        known = read_notes(source) if notes is None else notes
        save(folder / source.name, model, model.config, known)
    return folder


def test_weights_of_an_older_miniature_are_named_as_such_and_still_load(tmp_path, monkeypatch):
    first = {"schedule": {}, "batch": 32, "steps_done": 3000, "final_loss": 0.02}
    assert (version_of(first), version_of({"miniature": 2}), version_of({})) == (1, 2, None)
    monkeypatch.setattr(
        "generator.loading.read_notes",
        lambda path: {"miniature": 2} if path.parent == WEIGHTS else read_notes(path),
    )
    old, new = copied(tmp_path / "old", first), copied(tmp_path / "new", {"miniature": 2})
    with pytest.warns(
        GeneratorWarning, match=r"older miniature \(version 1: base.safetensors, ups"
    ):
        assert load_pipeline(str(old)).image_size == 128
    load_pipeline(str(new))
    load_pipeline("tabletop")


def test_a_training_of_the_users_own_is_no_older_miniature(tmp_path):
    load_pipeline(str(copied(tmp_path / "own", {"settings": {"kind": "base"}, "steps": 5})))
