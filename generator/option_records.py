"""The numeric options of sampling: one record each, from which arms and commands derive theirs.

They are fields of `generator.options.Sampling`. Imports no torch, so that listing them is quick.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field

from .strategies import MOST, STRATEGIES

DEVICES = r"^(auto|cpu|mps|cuda(:\d+)?)$"  # names of devices, `auto` among them
_HOLDS = {"ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt}


@dataclass(frozen=True)
class OptionRecord:
    """One number that decides a picture.

    Attributes:
        name: its field of `Sampling`, and its key in sweep files.
        words: what values it takes, as messages say it.
        help: what it is, for the command line.
        bounds: `ge`, `gt`, `le` and `lt`, as pydantic names them.
        default: what leaves pictures as they are; None where the option is off or follows another.
    """

    name: str
    words: str
    help: str
    bounds: Mapping[str, float] = field(default_factory=dict[str, float])
    default: float | None = 0.0

    def takes(self, value: float) -> bool:
        """Return whether a value is within the bounds.

        Examples:
            >>> OPTIONS["eta"].takes(1.0), OPTIONS["momentum"].takes(1.0)
            (True, False)
        """
        return all(_HOLDS[kind](value, limit) for kind, limit in self.bounds.items())

    @property
    def strategies(self) -> tuple[str, ...]:
        """The strategies that have it; empty if every arm has it."""
        return tuple(s.name for s in STRATEGIES.values() if self.name in s.options)


_UNIT = {"ge": 0.0, "le": 1.0}
OPTIONS = {
    option.name: option
    for option in (
        OptionRecord(
            "eta", "between 0 and 1",
            "η of DDIM in the base model: 0 adds no noise, 1 as much as DDPM.", _UNIT,
        ),
        OptionRecord(
            "threshold", "a percentile above 0 and below 100, such as 99.5",
            "Percentile of dynamic thresholding in the base model, such as 99.5; else it clips.",
            {"gt": 0.0, "lt": 100.0}, None,
        ),
        OptionRecord("rescale", "between 0 and 1", "φ of guidance rescale.", _UNIT),
        OptionRecord(
            "parallel", "between 0 and 1",
            "η of APG: the share of what is parallel to the prediction.", _UNIT,
        ),
        OptionRecord(
            "momentum", "above -1 and below 1", "β of APG: the weight of earlier steps.",
            {"gt": -1.0, "lt": 1.0},
        ),
        OptionRecord(
            "norm", "finite and not negative",
            "r of APG: the greatest length of the difference; 0 does not shorten it.",
            {"ge": 0.0, "lt": float("inf")},
        ),
        OptionRecord(
            "low_scale", f"at least 1 and below {MOST:,.0f}",
            "Guidance scale of coarse detail; else half the scale, at least 1.",
            {"ge": 1.0, "lt": MOST}, None,
        ),
    )
}  # fmt: skip
