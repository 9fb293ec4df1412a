"""The tabletop classifier: what it says of noised pictures, and guidance by it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from generator import checkpoints
from generator.diffusion import Diffusion
from generator.errors import CheckpointError, OptionError
from generator.loading import load_pipeline
from generator.options import Sampling
from generator.tabletop.classifier import SceneClassifier, load_classifier, present
from generator.tabletop.dataset import scene
from generator.tabletop.evaluator import CLASSES
from generator.training.classifier import accuracy, train_classifier
from generator.training.loop import Schedule

TWO = "a red cube to the left of a small blue cone"


def test_a_scene_holds_the_pairs_of_its_objects():
    drawn = scene(1, 0)
    held = {CLASSES[i] for i in present(drawn).nonzero().flatten().tolist()}
    assert held == {f"{o.color} {o.shape}" for o in drawn.objects}


def test_the_gradient_raises_the_log_probability_of_every_pair_the_caption_names():
    model = load_classifier()
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([300, 300])
    named = [CLASSES.index("red cube"), CLASSES.index("blue cone")]

    def log_p(x):
        return torch.nn.functional.logsigmoid(model(x, t))[:, named].sum(-1)

    slope = model.gradient([TWO, TWO], 1.0)(x, t)
    assert (log_p(x + 0.01 * slope / slope.std()) > log_p(x)).all()
    torch.testing.assert_close(
        model.gradient([TWO, TWO], torch.tensor([2.0, 0.0]))(x, t)[:1], 2 * slope[:1]
    )


@pytest.mark.parametrize("caption", ["an oil painting of a corgi", "", "a red cube."])
def test_captions_outside_the_grammar_are_refused_and_trailing_stops_are_not(caption):
    model = SceneClassifier()
    if caption == "a red cube.":
        model.gradient([caption], 1.0)
        return
    with pytest.raises(OptionError, match="can't read the caption"):
        model.gradient([caption], 1.0)


def test_the_bundled_classifier_names_what_is_in_unseen_scenes():
    reached = accuracy(load_classifier(), count=24)
    assert reached["t = 0"] > 0.6
    assert reached["t = 0"] > reached["t = 750"]


def test_classifier_guidance_raises_the_classifiers_own_probability():
    pipeline = load_pipeline(networks=("base", "upsampler", "classifier"))
    assert "classifier.safetensors" in pipeline.weights
    captions, seeds = ["a red cube", "a green sphere", "a blue cone"], [1, 2, 3]

    def log_p(scale: float) -> float:
        """The base model is told nothing: left alone it draws anything."""
        gradient = pipeline.classifier.gradient(captions, torch.full((3,), scale))
        how = Sampling("unguided", sampler="ddpm", steps=8)
        small = pipeline.sample_base([""] * 3, seeds, how, cond_fn=gradient)
        logits = pipeline.classifier(small, torch.zeros(3, dtype=torch.int64))
        named = [CLASSES.index(caption.removeprefix("a ")) for caption in captions]
        return float(torch.nn.functional.logsigmoid(logits)[range(3), named].mean())

    assert log_p(10.0) > log_p(0.0) + 0.5


def test_training_lowers_the_loss_and_resumes_where_it_stopped(tmp_path, capsys):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    scenes = [scene(1, i) for i in range(8)]
    schedule = Schedule(steps=4, lr=1e-2, warmup=1)
    model = train_classifier(images, scenes, tmp_path, "cpu", schedule)
    first = capsys.readouterr().out
    assert "step 4/4" in first
    again = train_classifier(images, scenes, tmp_path, "cpu", schedule)
    x, t = torch.zeros(1, 3, 32, 32), torch.zeros(1, dtype=torch.int64)
    torch.testing.assert_close(model(x, t), again(x, t))
    noised = Diffusion("squaredcos_cap_v2").q_sample(x, t, torch.ones_like(x))
    assert model(noised, t).shape == (1, len(CLASSES))


def test_another_models_file_is_refused(tmp_path):
    path = tmp_path / "classifier.safetensors"
    checkpoints.save(path, torch.nn.Linear(2, 2), None, {})
    with pytest.raises(CheckpointError, match="hold a Linear, expected a SceneClassifier"):
        load_classifier(path)
