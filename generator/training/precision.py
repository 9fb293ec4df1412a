"""Loss scaling for fp16 (Micikevicius et al. 2018, §3.2): small gradients would round to zero."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

DTYPES = ("float32", "bfloat16", "float16")


class LossScale:
    """A factor on the loss, halved when gradients overflow and doubled after many good steps.

    torch's `GradScaler` does the same for optimisers that hold the model's own parameters; Muon
    holds views of them.
    """

    def __init__(self, active: bool):
        self.active = active
        self.factor = 2.0**16 if active else 1.0
        self._good = 0

    def unscale(self, weights: Iterable[nn.Parameter]) -> None:
        """Divide the factor out of the gradients."""
        if self.active:
            gradients = [weight.grad for weight in weights if weight.grad is not None]
            torch._foreach_div_(gradients, self.factor)  # pyright: ignore

    def accepts(self, norm: Tensor) -> bool:
        """Return whether a step may be taken, given the unscaled gradient's norm; adapt the factor.

        Without scaling every step is taken: a gradient that is not finite is then an error of its
        own.
        """
        if not self.active:
            return True
        if not norm.isfinite():
            self.factor, self._good = self.factor / 2, 0
            return False
        self._good += 1
        if self._good == 2000:
            self.factor, self._good = self.factor * 2, 0
        return True

    @property
    def exhausted(self) -> bool:
        """Return whether the factor is so small that scaling can't be the cause."""
        return self.factor < 2.0**-10

    def state(self) -> dict[str, float]:
        """Return what `restore` needs."""
        return {"factor": self.factor, "good": self._good}

    def restore(self, state: dict[str, float]) -> None:
        """Go on from an earlier `state`."""
        if self.active:
            self.factor, self._good = state["factor"], int(state["good"])
