"""Whether sampling stays finite: noted on the device at each step, asked once at the end."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .errors import SamplingError
from .sampling import Denoiser

_NEVER = -1


class Watch:
    """Notes for each picture of a batch the first step at which a prediction is not finite.

    A clamped prediction hides an infinity, and a NaN becomes a grey or black pixel, so a finished
    picture does not show what happened. A note is one sum of the prediction and makes no transfer;
    the only one is at the end.
    """

    def __init__(self, network: str) -> None:
        """Watch the pictures that the network of this name draws."""
        self._network = network
        self._notes: list[tuple[int, Tensor]] = []  # t, and a sum per picture

    def looking(self, denoiser: Denoiser) -> Denoiser:
        """Return the denoiser, its predictions watched."""

        def watched(x: Tensor, t: Tensor) -> Tensor:
            prediction = denoiser(x, t)
            self._note(prediction, int(t[0]))
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
        self._note(x, 0)
        first = self._first()
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

    def _note(self, values: Tensor, t: int) -> None:
        # A sum is finite only if all its terms are, and one kernel computes it.
        self._notes.append((t, values.sum(tuple(range(1, values.dim())), dtype=torch.float32)))

    def _first(self) -> list[int]:
        """Each picture's first step that was not finite, or `_NEVER`; waits for the device."""
        finite = torch.stack([sums for _, sums in self._notes]).isfinite().cpu().numpy()
        steps = [t for t, _ in self._notes]
        return [_NEVER if column.all() else steps[int(column.argmin())] for column in finite.T]
