"""Deterministic samplers against a closed form, respacing, thresholding, rescale and intervals.

Where pixels of the data are Gaussian, N(m, s²), the exact ε of x_t is known, and so is where the
probability-flow ODE carries x_T: the oracle of these tests, in float64.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from generator.diffusion import Diffusion
from generator.errors import OptionError
from generator.guidance import combined, rescaled, within
from generator.sampling import SAMPLERS, respacing
from generator.schedules import half_log_snr, kept_steps

MEAN, STD = 0.1, 0.25
SCHEDULES = ("squaredcos_cap_v2", "linear")
DETERMINISTIC = ("ddim", "dpm++2m", "plms")


def gaussian_denoiser(schedule: str):
    table = torch.from_numpy(Diffusion(schedule).alpha_bar)

    def denoise(x, t):
        a = table[t].view(-1, 1, 1, 1).to(x)
        eps = (1 - a).sqrt() * (x - a.sqrt() * MEAN) / (a * STD**2 + 1 - a)
        return torch.cat([eps, torch.zeros_like(eps)], dim=1)

    return denoise


def start(batch: int = 2) -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.standard_normal((batch, 3, 4, 4)).clip(-2.5, 2.5))


def error(name: str, schedule: str, spacing: str) -> float:
    """Mean distance to the exact solution at the cleanest kept step, where its error is largest."""
    d, x, seen = Diffusion(schedule, spacing), start(), []
    SAMPLERS[name](gaussian_denoiser(schedule), x, d, None, on_step=lambda _, y: seen.append(y))

    def spread(a):
        return (a * STD**2 + 1 - a) ** 0.5

    last, first = d.alpha_bar[-1], d.alpha_bar[0]
    exact = first**0.5 * MEAN + spread(first) / spread(last) * (x - last**0.5 * MEAN)
    return float((seen[-2] - exact).abs().mean())


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("name", "order"), [("ddim", 1), ("dpm++2m", 2), ("plms", 2)])
def test_errors_fall_with_the_steps_as_the_order_says(schedule, name, order):
    errors = [error(name, schedule, f"logsnr{n}") for n in (20, 40, 80)]
    for coarse, fine in itertools.pairwise(errors):
        assert 2**order * 0.9 < coarse / fine < 2**order * 1.3


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [10, 20, 40])
def test_dpm_solver_is_nearer_the_truth_than_ddim_at_the_same_cost(schedule, steps):
    solver = error("dpm++2m", schedule, respacing("dpm++2m", steps))
    assert solver < 0.2 * error("ddim", schedule, respacing("ddim", steps))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", DETERMINISTIC)
@pytest.mark.parametrize("spacing", ["5", "20", "logsnr5", "logsnr20"])
def test_the_schedules_end_where_alpha_is_nearly_zero_does_no_harm(schedule, name, spacing):
    out = SAMPLERS[name](gaussian_denoiser(schedule), start().float(), Diffusion(schedule, spacing))
    assert torch.isfinite(out).all()
    assert out.abs().max() <= 1
    assert abs(float(out.mean()) - MEAN) < 0.1


@pytest.mark.parametrize("name", list(SAMPLERS))
@pytest.mark.parametrize("steps", ["1", "2", "3", "4"])
def test_every_sampler_takes_very_few_steps(name, steps):
    x = start()
    out = SAMPLERS[name](
        gaussian_denoiser("linear"), x, Diffusion("linear", steps), lambda _: torch.zeros_like(x)
    )
    assert out.shape == x.shape
    assert out.abs().max() <= 1


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_a_gradient_steers_every_sampler(name):
    x, d = start().float(), Diffusion("squaredcos_cap_v2", "10")
    arguments = (gaussian_denoiser("squaredcos_cap_v2"), x, d, lambda _: torch.zeros_like(x))
    up = SAMPLERS[name](*arguments, gradient=lambda x, t: torch.full_like(x, 0.5))
    assert torch.isfinite(up).all()
    assert float((up - SAMPLERS[name](*arguments)).mean()) > 0.005


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_known_pixels_end_as_they_were_given(name):
    def known(x):
        return torch.cat([torch.full_like(x[..., :2], 0.3), x[..., 2:]], dim=-1)

    x, d = start(), Diffusion("squaredcos_cap_v2", "10")
    out = SAMPLERS[name](
        gaussian_denoiser("squaredcos_cap_v2"), x, d, lambda _: torch.zeros_like(x),
        denoised_fn=known,
    )  # fmt: skip
    torch.testing.assert_close(out[..., :2], torch.full_like(out[..., :2], 0.3))


def test_ddim_with_noise_is_another_picture_and_eta_zero_ignores_noise():
    x, d = start(), Diffusion("linear", "10")
    arguments = (gaussian_denoiser("linear"), x, d)
    still = SAMPLERS["ddim"](*arguments, lambda _: torch.ones_like(x))
    torch.testing.assert_close(still, SAMPLERS["ddim"](*arguments, None), rtol=0, atol=0)
    noisy = SAMPLERS["ddim"](*arguments, lambda _: torch.ones_like(x), eta=1.0)
    assert (noisy - still).abs().max() > 0.01


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("count", [1, 2, 10, 20, 100, 999, 1000])
def test_log_snr_spacing_keeps_as_many_steps_as_asked_and_begins_at_the_noisiest(schedule, count):
    steps = kept_steps(f"logsnr{count}", schedule)
    assert len(set(steps)) == count
    assert steps == sorted(steps)
    assert steps[-1] == 999
    assert steps[0] >= 0


def test_log_snr_spacing_is_even_in_log_snr():
    known = half_log_snr(Diffusion("squaredcos_cap_v2").alpha_bar)
    gaps = -np.diff(known[kept_steps("logsnr12")])[:-1]  # the last leaps to the noisiest step
    assert gaps.std() / gaps.mean() < 0.05


def test_a_count_is_spaced_as_suits_the_sampler_and_a_string_is_taken_at_its_word():
    assert respacing("dpm++2m", 20) == "logsnr20"
    assert respacing("ddpm", 20) == "20"
    assert respacing("dpm++2m", "20") == "20"


@pytest.mark.parametrize("spacing", ["logsnr0", "logsnr1001", "logsnr", "logsnr-3"])
def test_impossible_log_snr_spacings_are_refused(spacing):
    with pytest.raises(OptionError):
        kept_steps(spacing)


def test_dynamic_thresholding_compresses_images_that_would_saturate_and_leaves_others_alone():
    d = Diffusion("linear", threshold=0.75)
    x = torch.tensor([[0.5, -0.5, 1.0, 4.0], [0.1, 0.2, -0.3, 0.9]]).view(2, 1, 2, 2)
    out = d.bounded(x).flatten(1)
    torch.testing.assert_close(out[0], torch.tensor([0.5, -0.5, 1.0, 1.0]))  # s = 1
    torch.testing.assert_close(out[1], x[1].flatten())
    out = d.bounded(4 * x).flatten(1)
    torch.testing.assert_close(out[0], torch.tensor([0.5, -0.5, 1.0, 1.0]))  # s = 4
    torch.testing.assert_close(out[1], torch.tensor([1 / 3, 2 / 3, -1.0, 1.0]))  # s = 1.2


def test_known_pixels_are_not_compressed_by_dynamic_thresholding():
    d = Diffusion("linear", threshold=0.5)
    out = d.bounded(torch.full((1, 3, 2, 2), 5.0), lambda x: torch.full_like(x, 0.25))
    torch.testing.assert_close(out, torch.full_like(out, 0.25))


def test_rescale_gives_the_guided_picture_the_conditional_ones_spread():
    generator = torch.Generator().manual_seed(0)
    x, conditional, guided = torch.randn(3, 2, 3, 8, 8, generator=generator).double()
    a = torch.tensor([0.3, 0.9], dtype=torch.float64).view(-1, 1, 1, 1)

    def x_start(eps):
        return (x - (1 - a).sqrt() * eps) / a.sqrt()

    def spread(eps):
        return x_start(eps).flatten(1).std(1)

    torch.testing.assert_close(
        spread(rescaled(guided, conditional, x, a, 1.0)), spread(conditional)
    )
    torch.testing.assert_close(rescaled(guided, conditional, x, a, 0.0), guided)
    half = x_start(rescaled(guided, conditional, x, a, 0.5))
    whole = x_start(rescaled(guided, conditional, x, a, 1.0))
    torch.testing.assert_close(half, (x_start(guided) + whole) / 2)


def test_gradients_are_computed_inside_their_interval_only():
    calls = []

    def one(x, t):
        calls.append(t.tolist())
        return torch.ones_like(x)

    gradient = combined([one, one], (0.2, 0.8))
    assert gradient is not None
    x = torch.zeros(2, 3, 2, 2)
    inside = gradient(x, torch.tensor([500, 500]))
    assert inside is not None
    assert inside.unique().tolist() == [2.0]
    assert gradient(x, torch.tensor([900, 900])) is None
    assert calls == [[500, 500]] * 2
    assert combined([]) is None


def test_an_interval_holds_its_ends():
    t = torch.tensor([0, 1, 998, 999])
    assert within(t, (0.0, 1.0)).tolist() == [True] * 4
    assert within(t, (0.0, 0.5)).tolist() == [True, True, False, False]
    assert within(t, (1.0, 1.0)).tolist() == [False, False, False, True]
