"""Whether sampling stays finite: noted on the device at each step, asked once at the end."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .errors import SamplingError
from .sampling import Denoiser
from .steps import beside

_NEVER = -1


class Watch:
    """Notes for each picture of a batch the first step at which a prediction is not finite.

    A clamped prediction hides an infinity, and a NaN becomes a grey or black pixel, so a finished
    picture does not show what happened. A note costs one look at the prediction and makes no
    transfer; the only one is at the end.
    """

    def __init__(self, network: str, count: int, device: torch.device) -> None:
        """Watch `count` pictures that the network of this name draws."""
        self._network = network
        self._first = torch.full((count,), _NEVER, dtype=torch.int64, device=device)

    def looking(self, denoiser: Denoiser) -> Denoiser:
        """Return the denoiser, its predictions watched."""

        def watched(x: Tensor, t: Tensor) -> Tensor:
            prediction = denoiser(x, t)
            self._note(prediction, t)
            return prediction

        return watched

    def require_finite(self, x: Tensor, captions: Sequence[str], seeds: Sequence[int]) -> Tensor:
        """Return the finished pictures, if they and all predictions were finite.

        Args:
            x: (n, …), what the sampler returned.
            captions: one for each picture.
            seeds: likewise.

        Raises:
            SamplingError: names the first picture that was not, and the step.
        """
        self._note(x, torch.zeros_like(self._first))
        first: list[int] = self._first.tolist()
        bad = [number for number, step in enumerate(first) if step != _NEVER]
        if bad:
            one = bad[0]
            raise SamplingError(
                f"The {self._network} gave numbers that are not finite for {len(bad)} of "
                f"{len(first)} pictures, first at step t = {first[one]} (of 999 to 0) for "
                f"{captions[one]!r}, seed {seeds[one]}: expected finite numbers. Its weights are "
                "damaged, or too large for the precision: check them with `glide-eval models "
                "verify`, or draw in float32 or bfloat16 instead of float16."
            )
        return x

    def _note(self, values: Tensor, t: Tensor) -> None:
        new = ~values.isfinite().flatten(1).all(1) & (self._first == _NEVER)
        self._first = torch.where(new, beside(t, values), self._first)
