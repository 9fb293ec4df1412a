"""How a picture is sampled: one record that arms, commands and the Python API share."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import OptionError
from .sampling import SAMPLERS

STRATEGIES = ("unguided", "classifier_free", "clip")


@dataclass(frozen=True, slots=True)
class Sampling:
    """Everything but caption and seed that decides a picture.

    Attributes:
        strategy: `unguided`, `classifier_free` or `clip`.
        scale: guidance scale; ignored when unguided.
        sampler: a name in `sampling.SAMPLERS`.
        steps: base steps of 1..1000.
        upsampler_steps: 27 upsamples as GLIDE does, by DDIM on `fast27`; other counts are evenly
            spaced and sampled by `sampler`.
    """

    strategy: str = "classifier_free"
    scale: float | None = 3.0
    sampler: str = "ddpm"
    steps: int = 100
    upsampler_steps: int = 27

    def check(self) -> None:
        """Refuse what no model can do.

        Raises:
            OptionError: an unknown strategy or sampler, or an impossible scale or count of steps.
        """
        if self.strategy not in STRATEGIES:
            raise OptionError(
                f"Unknown strategy {self.strategy!r}: use one of {', '.join(STRATEGIES)}."
            )
        if self.sampler not in SAMPLERS:
            raise OptionError(
                f"Unknown sampler {self.sampler!r}: use one of {', '.join(SAMPLERS)}."
            )
        if self.strategy != "unguided" and (self.scale is None or not 0 <= self.scale < 1e4):
            raise OptionError(
                f"{self.strategy} guidance needs a scale of 0 or more; found {self.scale}."
            )
        for name in ("steps", "upsampler_steps"):
            count = getattr(self, name)
            if not 1 <= count <= 1000:
                raise OptionError(f"{name} must be between 1 and 1000; found {count}.")
