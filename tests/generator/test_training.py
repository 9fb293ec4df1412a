"""Losses against torch's distributions, and a loop that resumes to the same weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from generator.diffusion import Diffusion
from generator.tabletop.evaluator import CLASSES, EvaluatorNetwork, _decode
from generator.tabletop.scenes import Object, Scene
from generator.training.evaluator import Targets, evaluator_loss
from generator.training.kinds import Batch, unet_loss
from generator.training.loop import Schedule, train
from generator.training.losses import contrastive_loss, diffusion_loss
from generator.training.optimiser import Muon, orthogonalised
from generator.training.run import Recipe


def test_the_bound_is_the_kl_divergence_in_bits():
    diffusion = Diffusion("squaredcos_cap_v2")
    rng = torch.Generator().manual_seed(0)
    x, noise, eps = (torch.randn(4, 3, 8, 8, generator=rng) * s for s in (0.4, 1.0, 1.0))
    v = torch.rand(4, 3, 8, 8, generator=rng) * 2 - 1
    t = torch.tensor([1, 20, 400, 900])
    x_t = diffusion.q_sample(x, t, noise)
    loss = diffusion_loss(diffusion, torch.cat([eps, v], 1), x, x_t, t, noise).total
    low = torch.from_numpy(diffusion.posterior_log_variance_clipped)[t].view(-1, 1, 1, 1)
    high = torch.from_numpy(np.log(diffusion.betas))[t].view(-1, 1, 1, 1)
    model_mean = diffusion.q_posterior_mean(diffusion.x_start_from_eps(x_t, t, eps), x_t, t)
    p = Normal(model_mean.double(), (0.5 * (low + (v + 1) / 2 * (high - low))).exp())
    q = Normal(diffusion.q_posterior_mean(x, x_t, t).double(), (0.5 * low).exp())
    expected = (eps - noise).square().mean() + kl_divergence(q, p).mean() / math.log(2)
    assert math.isclose(float(loss), float(expected), rel_tol=1e-3)


def test_the_bound_at_the_last_step_is_a_likelihood_of_pixels():
    diffusion = Diffusion("linear")
    x = torch.full((1, 3, 4, 4), 0.25)
    t = torch.tensor([0])
    noise = torch.zeros_like(x)
    x_t = diffusion.q_sample(x, t, noise)
    loss = diffusion_loss(diffusion, torch.zeros(1, 6, 4, 4), x, x_t, t, noise).total
    std = math.exp(
        0.25 * (math.log(diffusion.betas[0]) + diffusion.posterior_log_variance_clipped[0])
    )
    cell = Normal(0.0, std)
    probability = cell.cdf(torch.tensor(1 / 255)) - cell.cdf(torch.tensor(-1 / 255))
    assert math.isclose(float(loss), -math.log2(float(probability)), rel_tol=1e-3)


def test_the_bound_does_not_train_epsilon():
    diffusion = Diffusion("linear")
    output = torch.randn(2, 6, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    x, noise, t = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4), torch.tensor([10, 600])
    diffusion_loss(diffusion, output, x, x, t, noise).total.backward()
    simple = 2 * output[:, :3] / output[:, :3].numel()
    torch.testing.assert_close(output.grad[:, :3], simple.detach())
    assert output.grad[:, 3:].abs().sum() > 0


def test_a_capped_bound_takes_no_gradient_from_pictures_beyond_it():
    """At t = 999 of the cosine schedule the bound is far above 1 nat for a network that errs."""
    diffusion = Diffusion("squaredcos_cap_v2")
    rng = torch.Generator().manual_seed(0)
    x, noise = torch.zeros(2, 3, 4, 4), torch.randn(2, 3, 4, 4, generator=rng)
    t = torch.tensor([999, 500])
    x_t = diffusion.q_sample(x, t, noise)
    gradients = {}
    for cap in (math.inf, 1.0):
        output = torch.zeros(2, 6, 4, 4, requires_grad=True)
        loss = diffusion_loss(diffusion, output, x, x_t, t, noise, max_bound=cap).total
        loss.backward()
        gradients[cap] = output.grad[:, 3:]
        assert (loss.item() < 2.5) == (cap == 1.0)
    assert gradients[math.inf][0].abs().sum() > 10 * gradients[math.inf][1].abs().sum()
    assert (gradients[1.0][0] == 0).float().mean() > 0.8
    torch.testing.assert_close(gradients[1.0][1], gradients[math.inf][1])


def test_one_picture_at_the_last_step_decides_neither_the_logged_loss_nor_the_gradient():
    """In a batch of 4, ε is missed by a square of 0.15 everywhere."""
    diffusion = Diffusion("squaredcos_cap_v2")
    rng = torch.Generator().manual_seed(0)
    x, noise = torch.zeros(4, 3, 8, 8), torch.randn(4, 3, 8, 8, generator=rng)
    t = torch.tensor([100, 300, 500, 999])
    x_t = diffusion.q_sample(x, t, noise)
    found = {}
    for cap in (math.inf, Recipe.max_bound):
        eps = noise + 0.15**0.5
        output = torch.cat([eps, torch.zeros_like(eps)], 1).requires_grad_(True)
        loss = diffusion_loss(diffusion, output, x, x_t, t, noise, max_bound=cap)
        loss.total.backward()
        found[cap] = loss.mse.item(), loss.bound.item(), output.grad[3, 3:].norm().item()
    (mse, bound, _), (capped_mse, capped_bound, capped_gradient) = found.values()
    assert mse == capped_mse == pytest.approx(0.15)
    assert bound > 10
    assert capped_bound < 0.5
    assert capped_gradient == 0


class TellsTheNoise(nn.Module):
    """Knows the picture, and so exactly what noise was added to it."""

    def __init__(self, diffusion: Diffusion, x: torch.Tensor):
        super().__init__()
        self.alpha_bar, self.x = torch.from_numpy(diffusion.alpha_bar).float(), x
        self.strengths = torch.empty(0)

    def condition(self, tokens, mask):
        return None

    def forward(self, x_t, t, text, low_res, **inpainting):
        kept = self.alpha_bar[t].view(-1, 1, 1, 1)
        noise = (x_t - kept.sqrt() * self.x) / (1 - kept).sqrt()
        self.strengths = noise.std((1, 2, 3))
        return torch.cat([noise, torch.zeros_like(noise)], 1)


@pytest.mark.parametrize("spread", [0.0, 0.1])
def test_noise_may_be_of_another_strength_than_t_says_and_is_asked_for_as_it_is(spread):
    diffusion = Diffusion("squaredcos_cap_v2")
    x = torch.rand(64, 3, 32, 32, generator=torch.Generator().manual_seed(1)) - 0.5
    network = TellsTheNoise(diffusion, x)
    batch = Batch(x, torch.zeros(64, 4, dtype=torch.int64), torch.ones(64, 4, dtype=torch.bool))
    rng = torch.Generator().manual_seed(0)
    loss = unet_loss(network, diffusion, batch, rng, torch.float32, noise_spread=spread)  # pyright: ignore[reportArgumentType]
    assert network.strengths.std() == pytest.approx(spread, abs=0.02)
    assert float(loss.total) < 0.05  # nothing of ε is missed; the rest is the variance's bound


class LeavesGrain(nn.Module):
    """Takes every x_t for noise: its steps arrive at pictures that are not the true one."""

    def condition(self, tokens, mask):
        return None

    def forward(self, x_t, t, text, low_res, **inpainting):
        self.seen = x_t
        return torch.cat([0.5 * x_t, torch.zeros_like(x_t)], 1)


def test_the_variance_learns_from_drawn_pictures_alone():
    diffusion = Diffusion("linear")
    rng = torch.Generator().manual_seed(0)
    x, noise = torch.zeros(2, 3, 4, 4), torch.randn(2, 3, 4, 4, generator=rng)
    t = torch.tensor([500, 500])
    x_t = diffusion.q_sample(x, t, noise)
    output = torch.zeros(2, 6, 4, 4, requires_grad=True)
    drawn = torch.tensor([False, True])
    diffusion_loss(diffusion, output, x, x_t, t, noise, drawn=drawn).total.backward()
    assert (output.grad[0, 3:] == 0).all()
    assert (output.grad[1, 3:] != 0).all()
    assert (output.grad[:, :3] != 0).all()


def test_a_network_that_walks_by_itself_is_asked_for_what_it_left_behind(monkeypatch):
    """Half of the pictures come from a step of the network; x_t and ε still give the picture."""
    diffusion, seen, drawn = Diffusion("linear"), {}, {}
    monkeypatch.setattr(
        "generator.training.kinds.diffusion_loss",
        lambda diffusion, output, x, x_t, t, noise, *caps: seen.update(x_t=x_t, t=t, noise=noise),
    )
    x = torch.rand(64, 3, 8, 8, generator=torch.Generator().manual_seed(1)) - 0.5
    batch = Batch(x, torch.zeros(64, 4, dtype=torch.int64), torch.ones(64, 4, dtype=torch.bool))
    for own in (0, 300):
        rng = torch.Generator().manual_seed(0)
        network = LeavesGrain()
        unet_loss(network, diffusion, batch, rng, torch.float32, own=own)  # pyright: ignore[reportArgumentType]
        kept = torch.from_numpy(diffusion.alpha_bar).float()[seen["t"]].view(-1, 1, 1, 1)
        torch.testing.assert_close(
            seen["x_t"], kept.sqrt() * x + (1 - kept).sqrt() * seen["noise"], rtol=1e-4, atol=1e-4
        )
        torch.testing.assert_close(network.seen, seen["x_t"], rtol=0, atol=0)
        drawn[own] = seen["noise"]
    walked = (drawn[300] != drawn[0]).flatten(1).any(1)
    assert 0.25 < walked.float().mean() < 0.6


def test_contrastive_loss_ignores_twins_and_prefers_matches():
    e = torch.eye(3)
    none = torch.zeros(3, 3, dtype=torch.bool)
    assert contrastive_loss(e, e, 10.0, none) < contrastive_loss(e, e.roll(1, 0), 10.0, none)
    twins = e[[0, 0, 2]]
    same = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)
    assert contrastive_loss(twins, twins, 50.0, same) < 1e-6


def linear_problem(stop: int | None):
    def loss(rng: np.random.Generator, torch_rng: torch.Generator) -> torch.Tensor:
        calls.append(1)
        if stop is not None and len(calls) > stop:
            raise KeyboardInterrupt
        x = torch.from_numpy(rng.standard_normal((8, 4), dtype=np.float32))
        x = x + 0.1 * torch.randn(x.shape, generator=torch_rng)
        return (model(x) - x.sum(1, keepdim=True)).square().mean()

    torch.manual_seed(0)
    calls: list[int] = []
    model = nn.Linear(4, 1)
    return model, loss


def test_a_stopped_and_resumed_training_ends_with_the_same_weights(tmp_path):
    schedule = Schedule(steps=60, lr=0.1, warmup=5, ema=0.9)
    model, loss = linear_problem(None)
    train(model, loss, schedule, tmp_path / "whole.pt", log=lambda line: None)
    whole = model.weight.detach().clone()

    model, loss = linear_problem(stop=17)
    with pytest.raises(KeyboardInterrupt):
        train(model, loss, schedule, tmp_path / "part.pt", save_every=0, log=lambda line: None)
    model, loss = linear_problem(None)
    steps: list[int] = []
    train(
        model, loss, schedule, tmp_path / "part.pt", log=lambda line: None,
        on_step=lambda state: steps.append(state.step),
    )  # fmt: skip
    assert steps == list(range(17, 61)), "the steps before the interrupt are not made again"
    torch.testing.assert_close(model.weight.detach(), whole, rtol=0, atol=0)
    torch.testing.assert_close(whole, torch.ones(1, 4), rtol=0, atol=0.3)


def convolutional_problem(optimiser: str, stop: int | None = None):
    """A small channels-last network that learns to blur; its schedule and loss."""

    def loss(rng: np.random.Generator, torch_rng: torch.Generator) -> torch.Tensor:
        calls.append(1)
        if stop is not None and len(calls) > stop:
            raise KeyboardInterrupt
        x = torch.from_numpy(rng.standard_normal((8, 3, 8, 8), dtype=np.float32))
        x = x.contiguous(memory_format=torch.channels_last)
        return (model(x) - torch.nn.functional.avg_pool2d(x, 3, 1, 1)).square().mean()

    torch.manual_seed(0)
    calls: list[int] = []
    layers = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.SiLU(), nn.Conv2d(16, 3, 1))
    model = layers.to(memory_format=torch.channels_last)
    return model, loss, Schedule(steps=40, lr=0.02, warmup=2, ema=0.5, optimiser=optimiser)


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_every_optimiser_learns_and_resumes_to_the_same_weights(tmp_path, optimiser):
    lines: list[str] = []
    model, loss, schedule = convolutional_problem(optimiser)
    before = loss(np.random.default_rng(9), torch.Generator()).item()
    train(model, loss, schedule, tmp_path / "whole.pt", log=lines.append)
    assert loss(np.random.default_rng(9), torch.Generator()).item() < 0.7 * before

    stopped, loss, _ = convolutional_problem(optimiser, stop=23)
    with pytest.raises(KeyboardInterrupt):
        train(stopped, loss, schedule, tmp_path / "part.pt", save_every=0, log=lines.append)
    resumed, loss, _ = convolutional_problem(optimiser)
    train(resumed, loss, schedule, tmp_path / "part.pt", log=lines.append)
    for a, b in zip(model.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(6, 18), (18, 6), (16, 16)])
def test_orthogonalising_is_torchs_own_iteration_in_float32(shape):
    from torch.optim._muon import _zeropower_via_newtonschulz

    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    theirs = _zeropower_via_newtonschulz(matrix, (3.4445, -4.7750, 2.0315), 5, 1e-7).float()
    torch.testing.assert_close(orthogonalised(matrix), theirs, rtol=0, atol=0.03)


def test_muon_moves_every_direction_of_a_matrix_alike():
    """One step from a gradient of very unequal singular values has nearly equal ones."""
    weight = nn.Parameter(torch.zeros(6, 2, 3, 3).contiguous(memory_format=torch.channels_last))
    rng = torch.Generator().manual_seed(1)
    u, _, vh = torch.linalg.svd(torch.randn(6, 18, generator=rng), full_matrices=False)
    gradient = u @ torch.diag(torch.tensor([100.0, 30.0, 10.0, 3.0, 1.0, 0.5])) @ vh
    weight.grad = gradient.view(6, 3, 3, 2).permute(0, 3, 1, 2)
    Muon([weight], lr=0.1, weight_decay=0.0).step()
    moved = torch.linalg.svdvals(weight.detach().permute(0, 2, 3, 1).reshape(6, 18))
    assert moved.min() > 0.5 * moved.max()


def test_the_rate_warms_up_holds_and_decays_to_nothing():
    schedule = Schedule(steps=100, lr=1.0, warmup=10, decay_from=0.5)
    assert schedule.rate(0) == 0.1
    assert schedule.rate(30) == 1.0
    assert math.isclose(schedule.rate(75), 0.5)
    assert schedule.rate(100) == 0


def test_a_perfect_output_has_little_loss_and_decodes_to_its_scene():
    objects = (
        Object("cube", "green", "small", "shiny", -0.8, 0.3),
        Object("sphere", "red", "large", "matte", 0.6, -0.4),
    )
    targets = Targets([Scene(objects, (0.0, 0.0), (0.4, 0.4, 0.4))])
    with torch.no_grad():
        output = EvaluatorNetwork().eval()(torch.zeros(1, 3, 128, 128))
    maps = {name: torch.full_like(value, -9.0) for name, value in output.maps.items()}
    for j in range(2):
        row, column = targets.cell[0, j]
        maps["heat"][0, 0, row, column] = 9
        for name in targets.attribute:
            maps[name][0, targets.attribute[name][0, j], row, column] = 9
        maps["place"][0, :, row, column] = torch.from_numpy(targets.place[0, j])
    logits = torch.full((1, len(CLASSES)), -9.0)
    logits[0, CLASSES.index("red sphere")] = 9
    perfect = output._replace(maps=maps, logits=logits)
    assert evaluator_loss(perfect, targets, np.array([0])) < 0.05
    assert evaluator_loss(output, targets, np.array([0])) > 2
    (read,) = _decode(maps)
    assert [(o.shape, o.color, o.size, o.material) for o in read] == [
        (o.shape, o.color, o.size, o.material) for o in objects
    ]
