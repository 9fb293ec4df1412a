"""One training loop for every model: EMA, warm-up and cosine decay, checkpoints that resume
exactly.

Every step draws its batch and noise from (seed, step), so a run that was stopped and resumed takes
the same steps as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from .optimiser import optimisers

# Given the step's NumPy generator and torch generator: the loss of one batch.
StepLoss = Callable[[np.random.Generator, torch.Generator], Tensor]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    Attributes:
        steps: optimiser steps.
        lr: peak learning rate.
        warmup: steps of linear rise.
        decay_from: fraction of the steps after which the rate falls (half a cosine) to 0.
        ema: decay of the exponential moving average of the weights.
        weight_decay: of matrices and convolutions.
        optimiser: `adamw` or `muon` (see `optimiser.optimisers`).
        seed: of batches and noise.
    """

    steps: int
    lr: float
    warmup: int = 100
    decay_from: float = 0.0
    ema: float = 0.998
    weight_decay: float = 0.01
    optimiser: str = "adamw"
    seed: int = 0

    def rate(self, step: int) -> float:
        """Learning rate at a step."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        done = step / self.steps
        if done < self.decay_from:
            return self.lr
        progress = (done - self.decay_from) / (1 - self.decay_from)
        return self.lr * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def train(
    model: nn.Module,
    loss: StepLoss,
    schedule: Schedule,
    checkpoint: Path,
    save_every: float = 120.0,
    log: Callable[[str], None] = print,
) -> nn.Module:
    """Train in place and return the model holding its EMA weights, in eval mode.

    Args:
        model: trained in place.
        loss: the loss of one batch.
        schedule: see `Schedule`.
        checkpoint: where the state is kept; if there already, training goes on from it.
        save_every: seconds between checkpoints.
        log: gets a line every hundred steps.
    """
    model.train()
    together = optimisers(model, schedule.optimiser, schedule.lr, schedule.weight_decay)
    ema = {name: value.detach().clone() for name, value in model.state_dict().items()}
    first, history = _resume(checkpoint, model, together, ema)
    device = next(model.parameters()).device
    saved = started = time.monotonic()
    recent: list[Tensor] = []
    for step in range(first, schedule.steps):
        for group in (group for one in together for group in one.param_groups):
            group["lr"] = schedule.rate(step) * group["share"]
        torch_rng = torch.Generator(device).manual_seed(schedule.seed * 1_000_003 + step)
        value = loss(np.random.default_rng([schedule.seed, step]), torch_rng)
        model.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for one in together:
            one.step()
        _update(ema, model, min(schedule.ema, (1 + step) / (10 + step)))
        recent.append(value.detach())
        if (step + 1) % 100 == 0 or step + 1 == schedule.steps:
            mean = float(torch.stack(recent).mean())
            recent.clear()
            history.append((step + 1, mean))
            speed = (step + 1 - first) / (time.monotonic() - started)
            left = (schedule.steps - step - 1) / speed / 60
            place = f"step {step + 1}/{schedule.steps}"
            log(f"{place} loss {mean:.4f} {speed:.2f}/s {left:.0f} min left")
        if time.monotonic() - saved > save_every or step + 1 == schedule.steps:
            _save(checkpoint, step + 1, model, together, ema, history)
            saved = time.monotonic()
    model.load_state_dict(ema)
    return model.eval()


@torch.no_grad()
def _update(ema: dict[str, Tensor], model: nn.Module, decay: float) -> None:
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            ema[name].lerp_(value, 1 - decay)
        else:
            ema[name].copy_(value)


def _save(
    path: Path, step: int, model: nn.Module, together: list[torch.optim.Optimizer],
    ema: dict[str, Tensor], history: list[tuple[int, float]],
) -> None:  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    states = [one.state_dict() for one in together]
    state = {"step": step, "model": model.state_dict(), "optimisers": states,
             "ema": ema, "history": history}  # fmt: skip
    torch.save(state, part)
    part.replace(path)


def _resume(
    path: Path, model: nn.Module, together: list[torch.optim.Optimizer], ema: dict[str, Tensor]
) -> tuple[int, list[tuple[int, float]]]:
    if not path.exists():
        return 0, []
    state = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    for one, values in zip(together, state["optimisers"], strict=True):
        one.load_state_dict(values)
    for name, value in state["ema"].items():
        ema[name].copy_(value)
    return state["step"], [tuple(pair) for pair in state["history"]]
