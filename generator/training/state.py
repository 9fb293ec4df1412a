"""The state of a training on disk: all that the next step depends on, replaced as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from generator.atomic import replacing
from generator.errors import TrainingError

from .precision import LossScale


class Entry(NamedTuple):
    """A point of the loss curve: means since the one before.

    Attributes:
        step: steps taken.
        loss: what tells how far a training is: the square error of ε of a UNet, whose bound is
            apart; in entries that version 0.1 made, their sum.
        rate: learning rate.
        bound: see `losses.DenoisingLoss`; None of other networks, and in older entries.
    """

    step: int
    loss: float
    rate: float
    bound: float | None = None

    @property
    def words(self) -> str:
        """The loss as a line of news tells it."""
        if self.bound is None:
            return f"loss {self.loss:.4f}"
        return f"MSE {self.loss:.4f} bound {self.bound:.4f}"


@dataclass
class State:
    """What changes from step to step.

    Attributes:
        model: the network in training.
        together: its optimisers.
        scale: on the loss.
        identity: what must be the same when training goes on; JSON values.
        ema: the exponential moving average of the model's entries.
        step: steps taken.
        history: the loss curve.
        recent: losses since its last entry, each as its terms.
    """

    model: nn.Module
    together: list[torch.optim.Optimizer]
    scale: LossScale
    identity: dict[str, Any]
    ema: dict[str, Tensor] = field(init=False)
    step: int = 0
    history: list[Entry] = field(default_factory=list[Entry])
    recent: list[list[float]] = field(default_factory=list[list[float]])

    def __post_init__(self) -> None:
        self.ema = {k: v.detach().clone() for k, v in self.model.state_dict().items()}

    def note(self, rate: float) -> None:
        """Add an entry to the loss curve, of the steps since the last one."""
        # A training that version 0.1 began has sums among its recent losses: they are left out.
        terms = max(map(len, self.recent))
        whole = [values for values in self.recent if len(values) == terms]
        means = [sum(values) / len(whole) for values in zip(*whole, strict=True)]
        self.history.append(Entry(self.step, means[0], rate, *means[1:]))
        self.recent.clear()

    @torch.no_grad()
    def average(self, decay: float) -> None:
        """Move the average one step towards the model's weights."""
        now = self.model.state_dict()
        moving = [name for name, value in now.items() if value.is_floating_point()]
        # All at once: one kernel on a GPU, not one for each of hundreds of weights.
        averages, values = [self.ema[name] for name in moving], [now[name] for name in moving]
        torch._foreach_lerp_(averages, values, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]
        for name in now.keys() - set(moving):
            self.ema[name].copy_(now[name])

    def save(self, path: Path) -> None:
        """Write the state; a kill leaves the old one or the new one."""
        saved = {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimisers": [one.state_dict() for one in self.together],
            "ema": self.ema,
            "history": [tuple(entry) for entry in self.history],
            "recent": self.recent,
            "scale": self.scale.state(),
            "identity": self.identity,
        }
        with replacing(path) as part:
            torch.save(saved, part)

    def resume(self, path: Path) -> None:
        """Go on from a saved state, if there is one.

        Raises:
            TrainingError: the file is damaged, or belongs to a training of another identity.
        """
        if not path.exists():
            return
        saved = read_state(path)
        _expect(saved.get("identity", {}), self.identity, path)
        self.model.load_state_dict(saved["model"])
        for one, values in zip(self.together, saved["optimisers"], strict=True):
            one.load_state_dict(values)
        for name, value in saved["ema"].items():
            self.ema[name].copy_(value)
        self.step = saved["step"]
        self.history = [Entry(*entry) for entry in saved["history"]]
        recent: list[float | list[float]] = saved.get("recent", [])
        self.recent = [values if isinstance(values, list) else [values] for values in recent]
        self.scale.restore(saved.get("scale", {"factor": self.scale.factor, "good": 0}))


def read_state(path: Path) -> dict[str, Any]:
    """Return a saved state's values on the CPU; no code in the file is run.

    Raises:
        TrainingError: the file is damaged or something else.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged pickles fail in every way there is
        raise TrainingError(
            f"The training state {path} can't be read: expected one written by this toolkit, found "
            f"{path.stat().st_size:,} bytes that are not ({error}). Delete it to begin again, or "
            "put the whole file back."
        ) from error


def _expect(found: dict[str, Any], wanted: dict[str, Any], path: Path) -> None:
    differing = [key for key in wanted if found.get(key) != wanted[key]]
    if differing:
        listed = "; ".join(f"{key} {found.get(key)} there, {wanted[key]} now" for key in differing)
        raise TrainingError(
            f"{path} is the state of another training: {listed}. Steps taken under other settings "
            "can't be gone on from. Name another output folder, or delete that file to begin again."
        )
