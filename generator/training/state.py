"""The state of a training on disk: all that the next step depends on, replaced as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from generator.atomic import replacing
from generator.errors import TrainingError

from .precision import LossScale


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
        history: (step, mean loss since the one before, learning rate).
        recent: losses since the last entry of `history`.
    """

    model: nn.Module
    together: list[torch.optim.Optimizer]
    scale: LossScale
    identity: dict[str, Any]
    ema: dict[str, Tensor] = field(init=False)
    step: int = 0
    history: list[tuple[int, float, float]] = field(default_factory=list)
    recent: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ema = {k: v.detach().clone() for k, v in self.model.state_dict().items()}

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
            "history": self.history,
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
        self.history = [tuple(entry) for entry in saved["history"]]
        self.recent = saved.get("recent", [])
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
