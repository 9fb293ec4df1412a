"""One training loop for every model: EMA, warm-up, cosine decay and exactly resumable checkpoints.

Every step draws its batch and noise from (seed, step, part), so a run that was stopped and resumed
takes the same steps as one that was not, and several processes the same as one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from generator.devices import naming_a_lost, ran_out_of_memory
from generator.errors import OptionError, TrainingError
from generator.prefetch import drawn_ahead

from .losses import DenoisingLoss
from .optimiser import optimisers
from .precision import LossScale
from .processes import ALONE, Processes
from .state import State

B = TypeVar("B")
Loss = Callable[[B, torch.Generator], Tensor | DenoisingLoss]

# Given the step's NumPy generator and torch generator: the loss of one batch.
StepLoss = Callable[[np.random.Generator, torch.Generator], Tensor | DenoisingLoss]


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
        parts: micro-batches per step, whose gradients are averaged.
        clip: largest norm of the gradient.
        loss_scaling: needed where the loss computes in fp16.
        log_every: steps between entries of the loss curve.
    """

    steps: int
    lr: float
    warmup: int = 100
    decay_from: float = 0.0
    ema: float = 0.998
    weight_decay: float = 0.01
    optimiser: str = "adamw"
    seed: int = 0
    parts: int = 1
    clip: float = 1.0
    loss_scaling: bool = False
    log_every: int = 100

    def rate(self, step: int) -> float:
        """Return the learning rate at a step."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        done = step / self.steps
        if done < self.decay_from:
            return self.lr
        progress = (done - self.decay_from) / (1 - self.decay_from)
        return self.lr * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


@dataclass(frozen=True)
class Drawn(Generic[B]):
    """A loss whose batches are drawn ahead, in background threads.

    Attributes:
        draw: from a NumPy generator and the batch's number in the whole training to a batch. Called
            from several threads.
        loss: the loss of that batch, with a torch generator on the model's device.
        workers: threads.
    """

    draw: Callable[[np.random.Generator, int], B]
    loss: Callable[[B, torch.Generator], Tensor | DenoisingLoss]
    workers: int = 0


def train(
    model: nn.Module,
    loss: StepLoss | Drawn[Any],
    schedule: Schedule,
    checkpoint: Path,
    save_every: float = 120.0,
    log: Callable[[str], None] = print,
    *,
    on_step: Callable[[State], None] = lambda state: None,
    processes: Processes = ALONE,
    identity: dict[str, Any] | None = None,
) -> nn.Module:
    """Train in place and return the model holding its EMA weights, in eval mode.

    Args:
        model: trained in place.
        loss: the loss of one batch.
        schedule: see `Schedule`.
        checkpoint: where the state is kept; if there already, training goes on from it.
        save_every: seconds between checkpoints.
        log: gets a line every `schedule.log_every` steps.
        on_step: called after resuming and after every step.
        processes: those that train together, each with its share of every step's parts.
        identity: JSON values that must be those of the state to go on from.

    Raises:
        TrainingError: the loss or the gradient is not finite (the last checkpoint stays), or the
            checkpoint is damaged or of another identity, or the device's memory is full.
        GeneratorError: the device no longer answers.
        OptionError: the parts of a step can't be shared out among the processes.
    """
    _check_shares(schedule, processes)
    model.train()
    together = optimisers(model, schedule.optimiser, schedule.lr, schedule.weight_decay)
    state = State(model, together, LossScale(schedule.loss_scaling), identity or {})
    state.resume(checkpoint)
    on_step(state)
    drawn = loss if isinstance(loss, Drawn) else Drawn(lambda rng, _: rng, loss)
    batches = drawn_ahead(
        lambda key: drawn.draw(_generator(schedule.seed, *key), key[0] * schedule.parts + key[1]),
        _keys(state.step, schedule, processes),
        drawn.workers,
    )
    device = next(model.parameters()).device
    first, saved, started = state.step, time.monotonic(), time.monotonic()
    try:
        while state.step < schedule.steps:
            with _named_failures(state, device):
                _step(state, batches, drawn.loss, schedule, processes)
            on_step(state)
            if state.history and state.history[-1].step == state.step:
                speed = (state.step - first) / (time.monotonic() - started)
                log(_progress(state, schedule.steps, speed))
            due = time.monotonic() - saved > save_every or state.step == schedule.steps
            if due and processes.rank == 0:
                state.save(checkpoint)
                saved = time.monotonic()
    finally:
        batches.close()
    processes.wait()
    model.load_state_dict(state.ema)
    return model.eval()


def _step(
    state: State, batches: Iterator[B], loss: Loss[B],
    schedule: Schedule, processes: Processes,
) -> None:  # fmt: skip
    """Take one optimiser step over all parts of a batch."""
    rate = schedule.rate(state.step)
    for group in (group for one in state.together for group in one.param_groups):
        group["lr"] = rate * group["share"]
    values = _gradient(state, batches, loss, schedule, processes)
    weights = list(state.model.parameters())
    state.scale.unscale(weights)
    norm = nn.utils.clip_grad_norm_(weights, schedule.clip)
    if state.scale.accepts(norm):
        _expect_finite(sum(values), norm, state.step, rate)
        for one in state.together:
            one.step()
        # Early averages forget fast, or the random first weights would linger in them.
        state.average(min(schedule.ema, (1 + state.step) / (10 + state.step)))
    elif state.scale.exhausted:
        _expect_finite(sum(values), norm, state.step, rate)
    state.step += 1
    state.recent.append(values)
    if state.step % schedule.log_every == 0 or state.step == schedule.steps:
        state.note(rate)


def _gradient(
    state: State, batches: Iterator[B], loss: Loss[B],
    schedule: Schedule, processes: Processes,
) -> list[float]:  # fmt: skip
    """Leave the gradient of the step's mean loss in the weights, and return that loss's terms."""
    device = next(state.model.parameters()).device
    state.model.zero_grad(set_to_none=True)
    # The sum stays on the device: reading it would wait for the GPU after every part.
    total = torch.zeros((), device=device)
    mine = _shares(schedule, processes)
    for part in mine:
        # One number per seed, step and part, so that neither a stop nor more processes change it.
        number = schedule.seed * 1_000_003 + state.step + (part << 40)
        torch.manual_seed(number)  # dropout draws from the global generator
        value = loss(next(batches), torch.Generator(device).manual_seed(number))
        terms = value if isinstance(value, DenoisingLoss) else (value,)
        whole = value.total if isinstance(value, DenoisingLoss) else value
        (whole * (state.scale.factor / len(mine))).backward()
        total = total + torch.stack([term.detach() for term in terms]) / len(mine)
    gradients = [w.grad for w in state.model.parameters() if w.grad is not None]
    processes.average([total, *gradients])
    return total.tolist()


@contextmanager
def _named_failures(state: State, device: torch.device) -> Iterator[None]:
    """Tell in one paragraph that a device's memory is full, or that it no longer answers."""
    try:
        with naming_a_lost(device):
            yield
    except RuntimeError as error:
        if not ran_out_of_memory(error):
            raise
        raise TrainingError(
            f"{device} ran out of memory at step {state.step + 1}. The state saved last is kept. "
            "Lower the micro-batch (a batch then has more parts and the same gradient), compute in "
            "bfloat16, or free memory that other processes hold there; then run the same command."
        ) from error


def _check_shares(schedule: Schedule, processes: Processes) -> None:
    if schedule.parts % processes.count:
        raise OptionError(
            f"A step of {schedule.parts} parts can't be shared out among {processes.count} "
            "processes. Start a number of processes that divides it, or lower micro_batch so that "
            "a batch has more parts."
        )


def _shares(schedule: Schedule, processes: Processes) -> range:
    """Return the parts of every step that this process computes."""
    return range(processes.rank, schedule.parts, processes.count)


def _keys(first: int, schedule: Schedule, processes: Processes) -> Iterator[tuple[int, int]]:
    for step in range(first, schedule.steps):
        for part in _shares(schedule, processes):
            yield step, part


def _generator(seed: int, step: int, part: int) -> np.random.Generator:
    # Part 0 has the key of an undivided step, so one part draws what no parts would.
    return np.random.default_rng([seed, step, part] if part else [seed, step])


def _expect_finite(loss: float, norm: Tensor, step: int, rate: float) -> None:
    if math.isfinite(loss) and norm.isfinite():
        return
    what = f"loss is {loss}" if not math.isfinite(loss) else f"gradient's norm is {float(norm)}"
    raise TrainingError(
        f"Training broke down at step {step + 1}, learning rate {rate:.3g}: the {what}, expected a "
        "finite number. The state saved last is kept. Lower the learning rate or lengthen the "
        "warm-up (with float16, try bfloat16), and run the same command to go on from there."
    )


def _progress(state: State, steps: int, speed: float) -> str:
    place = f"step {state.step}/{steps}"
    left = (steps - state.step) / speed / 60
    return f"{place} {state.history[-1].words} {speed:.2f}/s {left:.0f} min left"
