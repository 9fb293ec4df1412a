"""How a picture is sampled: one record that arms, commands and the Python API share."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import OptionError
from .option_records import OPTIONS
from .samplers import DEFAULT, SAMPLERS
from .sampling import respacing
from .schedules import kept_steps
from .strategies import MOST, STRATEGIES


@dataclass(frozen=True, slots=True)
class Sampling:
    """Everything but caption and seed that decides a picture.

    Attributes:
        strategy: a name in `strategies.STRATEGIES`.
        scale: guidance scale, at least the strategy's `least`; ignored when unguided.
        sampler: a name in `samplers.SAMPLERS`.
        steps: of the base model: a count of 1..1000, spaced as suits the sampler (evenly; for
            `dpm++2m` evenly in log SNR), or a respacing string (`schedules.kept_steps`) used
            unchanged.
        upsampler_steps: 27 or `"fast27"` spaces them as GLIDE does; else as `steps`.
        upsampler_sampler: by default DDIM where the spacing is GLIDE's, else `sampler`.
        eta: η of DDIM in the base model: 0 draws no noise, 1 as much as DDPM.
        interval: guide only where low ≤ t / 999 ≤ high; 0 is the clean end.
        rescale: φ of guidance rescale, 0..1; classifier-free only (`guidance.rescaled`).
        threshold: dynamic thresholding in the base model at this percentile, above 0 and below 100
            (`Diffusion.bounded`); None clips.
        parallel: η of APG (`mixing.Projected`).
        momentum: β of APG.
        norm: r of APG; 0 does not shorten.
        low_scale: of what is coarse (`mixing.frequency_decoupled`); None follows the scale.
    """

    strategy: str = "classifier_free"
    scale: float | None = 3.0
    sampler: str = DEFAULT.name
    steps: int | str = DEFAULT.steps
    upsampler_steps: int | str = 27
    upsampler_sampler: str | None = None
    eta: float = 0.0
    interval: tuple[float, float] = (0.0, 1.0)
    rescale: float = 0.0
    threshold: float | None = None
    parallel: float = 0.0
    momentum: float = 0.0
    norm: float = 0.0
    low_scale: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "interval", tuple(self.interval))  # a list would not hash

    @property
    def base_steps(self) -> int:
        """Steps the base model takes."""
        return len(kept_steps(respacing(self.sampler, self.steps)))

    @property
    def upsampling_steps(self) -> int:
        """Steps the upsampler takes."""
        if self.upsampler_steps == 27:
            return 27
        name = self.upsampler_sampler or self.sampler
        return len(kept_steps(respacing(name, self.upsampler_steps), "linear"))

    def check(self) -> None:
        """Refuse what no model can do.

        Raises:
            OptionError: an unknown strategy or sampler, an impossible scale, count of steps or
                spacing, or an option that would do nothing.
        """
        if self.strategy not in STRATEGIES:
            raise OptionError(
                f"Unknown strategy {self.strategy!r}: use one of {', '.join(STRATEGIES)}."
            )
        for name in (self.sampler, self.upsampler_sampler):
            if name is not None and name not in SAMPLERS:
                raise OptionError(f"Unknown sampler {name!r}: use one of {', '.join(SAMPLERS)}.")
        self._check_scale()
        _check_steps("steps", self.steps)
        _check_steps("upsampler_steps", self.upsampler_steps)
        self._check_extras()

    def _check_scale(self) -> None:
        strategy = STRATEGIES[self.strategy]
        if strategy.neutral is None:
            return
        if self.scale is None or not strategy.least <= self.scale < MOST:
            hint = " For no guidance use strategy unguided." if strategy.least else ""
            raise OptionError(
                f"{self.strategy} guidance needs a finite scale of {strategy.least:g} or more, "
                f"below {MOST:,.0f}; found {self.scale}.{hint}"
            )

    def _check_extras(self) -> None:
        for option in OPTIONS.values():
            value = getattr(self, option.name)
            if value is not None and not option.takes(value):
                raise OptionError(f"{option.name} must be {option.words}; found {value}.")
            if value and option.strategies and self.strategy not in option.strategies:
                raise OptionError(
                    f"{option.name} is an option of {', '.join(option.strategies)}; found strategy "
                    f"{self.strategy}. Leave it out."
                )
        if self.eta and self.sampler != "ddim":
            raise OptionError(
                f"eta is DDIM's; found eta {self.eta} with sampler {self.sampler}. Leave it out, "
                "or use sampler ddim."
            )
        if len(self.interval) != 2 or not 0 <= self.interval[0] <= self.interval[1] <= 1:
            raise OptionError(
                "interval must be two fractions of the noise steps, 0 <= low <= high <= 1 "
                f"(0 is the clean end); found {list(self.interval)}."
            )


def in_one_batch(sampling: Sampling | Sequence[Sampling], count: int) -> list[Sampling]:
    """Return one checked `Sampling` per row; rows may differ only in scale.

    If any row is classifier-free, unguided rows become classifier-free of scale 1, which draws the
    same pictures.

    Args:
        sampling: one for all rows, or one per row.
        count: number of rows.

    Raises:
        OptionError: impossible sampling, a wrong number of them, or a difference other than scale.
    """
    rows = [sampling] * count if isinstance(sampling, Sampling) else list(sampling)
    if len(rows) != count:
        raise OptionError(
            f"Expected one Sampling, or one per caption; found {len(rows)} for {count} captions."
        )
    for row in set(rows):
        row.check()
    if any(row.strategy == "classifier_free" for row in rows):
        rows = [
            dataclasses.replace(row, strategy="classifier_free", scale=1.0)
            if row.strategy == "unguided"
            else row
            for row in rows
        ]
    kinds = {dataclasses.replace(row, scale=None) for row in rows}
    if len(kinds) > 1:
        names = [f.name for f in dataclasses.fields(Sampling)]
        differing = [n for n in names if len({getattr(kind, n) for kind in kinds}) > 1]
        raise OptionError(
            "Rows of one batch may differ in scale only (unguided and classifier-free may mix); "
            f"found different {', '.join(differing)}. Sample them in batches of their own."
        )
    return rows


def _check_steps(name: str, steps: int | str) -> None:
    if isinstance(steps, str):
        if not steps:
            raise OptionError(f"{name} is empty: use a count such as 100, or a respacing.")
        try:
            kept_steps(steps)
        except OptionError as error:
            raise OptionError(f"{name} can't be {steps!r}. {error}") from None
    elif isinstance(steps, bool) or not math.isfinite(steps) or not 1 <= steps <= 1000:
        raise OptionError(f"{name} must be between 1 and 1000; found {steps}.")
