"""Guidance by two predictions, against diffusers' own guiders on the same predictions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from generator.errors import OptionError
from generator.mixing import Projected, frequency_decoupled, plain, tangential, zero_star
from generator.options import Sampling
from generator.strategies import STRATEGIES
from tests.generator.test_sampling import pipeline  # noqa: F401

SHAPE = (3, 3, 8, 8)  # small: diffusers computes the singular vectors in float32
SCALES = torch.tensor([2.1, 2.3, 2.5]).view(-1, 1, 1, 1)


def predictions(steps: int = 1):
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        empty = torch.randn(SHAPE, generator=generator)
        yield empty + 0.3 * torch.randn(SHAPE, generator=generator), empty


def diffusers_guider(name: str, **options):
    guiders = pytest.importorskip("diffusers.guiders")
    return getattr(guiders, name)(**options)


def of_diffusers(name: str, steps: int = 1, **options) -> list[torch.Tensor]:
    """What diffusers' class makes of the predictions: its scale is one for all rows."""
    rows = []
    for number, scale in enumerate(SCALES.flatten().tolist()):
        told = {key: value(scale) if callable(value) else value for key, value in options.items()}
        key = "guidance_scales" if "guidance_scales" in told else "guidance_scale"
        guider = diffusers_guider(name, **({key: scale} | told))
        outputs = []
        for step, (eps, empty) in enumerate(predictions(steps)):
            guider.set_state(step, steps, torch.tensor(0))
            guider.prepare_inputs({})
            one = slice(number, number + 1)
            outputs.append(guider(_blocks(guider, eps[one], empty[one])).pred)
        rows.append(outputs)
    return [torch.cat(column) for column in zip(*rows, strict=True)]


def _blocks(guider, eps, empty):
    from diffusers.modular_pipelines.modular_pipeline import BlockState

    key = guider._identifier_key
    return [
        BlockState(noise_pred=value, **{key: name})
        for name, value in (("pred_cond", eps), ("pred_uncond", empty))
    ]


@pytest.mark.parametrize(
    ("mix", "name", "options"),
    [
        (plain, "ClassifierFreeGuidance", {}),
        (plain, "AutoGuidance", {"auto_guidance_layers": ["mid"], "dropout": 0.5}),
        (zero_star, "ClassifierFreeZeroStarGuidance", {"zero_init_steps": 0}),
        (tangential, "TangentialClassifierFreeGuidance", {}),
        (Projected(1.0), "AdaptiveProjectedGuidance", {"adaptive_projected_guidance_rescale": 0.0}),
        (
            Projected(0.25, norm=4.0),
            "AdaptiveProjectedGuidance",
            {"eta": 0.25, "adaptive_projected_guidance_rescale": 4.0},
        ),
        (
            lambda eps, empty, s: frequency_decoupled(eps, empty, s, 2.0),
            "FrequencyDecoupledGuidance",
            {"guidance_scales": lambda scale: [scale, 2.0]},
        ),
        (
            frequency_decoupled,
            "FrequencyDecoupledGuidance",
            {"guidance_scales": lambda scale: [scale, max(scale / 2, 1.0)]},
        ),
    ],
)
def test_each_mix_equals_diffusers_guider(mix, name, options):
    if name.startswith("Frequency"):
        pytest.importorskip("kornia")
    [(eps, empty)] = predictions()
    [expected] = of_diffusers(name, **options)
    assert (mix(eps, empty, SCALES) - expected).abs().max() < 1e-5


def test_momentum_over_steps_equals_diffusers_guider():
    options = {"adaptive_projected_guidance_momentum": -0.5, "eta": 0.0}
    expected = of_diffusers(
        "AdaptiveProjectedGuidance", 4, **options, adaptive_projected_guidance_rescale=9.0
    )
    mix = Projected(0.0, momentum=-0.5, norm=9.0)
    for (eps, empty), wanted in zip(predictions(4), expected, strict=True):
        assert (mix(eps, empty, SCALES) - wanted).abs().max() < 1e-5


FAMILY = [s for s in STRATEGIES.values() if s.empty or s.network == "base_weak"]


@pytest.mark.parametrize("strategy", FAMILY, ids=lambda s: s.name)
def test_each_strategy_draws_another_picture_whatever_its_neighbours(strategy, pipeline):  # noqa: F811
    how = Sampling(strategy.name, 4.0, steps=3, upsampler_steps=2)
    captions, seeds = ["a red cube", "a cone"], [1, 2]
    images = pipeline.sample(captions, seeds, how)
    plain_how = Sampling("unguided", None, steps=3, upsampler_steps=2)
    unguided = pipeline.sample(captions, seeds, plain_how)
    assert not np.array_equal(images, unguided)
    np.testing.assert_array_equal(images[::-1], pipeline.sample(captions[::-1], seeds[::-1], how))


@pytest.mark.parametrize("strategy", [s for s in FAMILY if s.name != "apg"], ids=lambda s: s.name)
def test_the_neutral_scale_is_no_guidance(strategy, pipeline):  # noqa: F811
    one, none = (
        pipeline.sample(["a cone"], [1], Sampling(name, scale, steps=3, upsampler_steps=2))
        for name, scale in ((strategy.name, 1.0), ("unguided", None))
    )
    np.testing.assert_array_equal(one, none)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strategy": "apg", "parallel": 1.5}, "parallel must be between 0 and 1; found 1.5"),
        ({"strategy": "apg", "momentum": 1.0}, "momentum must be above -1 and below 1"),
        ({"strategy": "apg", "norm": -1.0}, "norm must be finite and not negative"),
        ({"strategy": "frequency_decoupled", "low_scale": 0.5}, "low_scale must be at least 1"),
        ({"momentum": 0.5}, "momentum is an option of apg; found strategy classifier_free"),
        ({"low_scale": 2.0}, "low_scale is an option of frequency_decoupled"),
    ],
)
def test_impossible_options_of_mixes_are_refused(options, words):
    with pytest.raises(OptionError, match=words):
        Sampling(**options).check()
