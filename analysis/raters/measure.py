"""One number about how a study was conducted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64
from numpy.typing import NDArray

from analysis.scores import Interval, clustered_share


@dataclass(frozen=True)
class Measure:
    """One number about a study's conduct.

    Attributes:
        name: a short stable name, `side_bias`.
        value: NaN where undefined, with `reason`.
        n: what the value was made of (votes, raters or pairs).
        interval: None for plain counts.
        reason: why the value is missing; empty when it isn't.
    """

    name: str
    value: float
    n: int
    interval: Interval | None = None
    reason: str = ""

    @classmethod
    def undefined(cls, name: str, reason: str) -> Measure:
        """No value, and why."""
        return cls(name, np.nan, 0, reason=reason)


def share_of(
    name: str,
    yes: Bool[NDArray[np.bool_], "votes"],
    raters: Int64[NDArray[np.int64], "votes"],
    if_none: str,
) -> Measure:
    """Return the share of (N,) votes that say yes, with its interval clustered by rater.

    Args:
        name: of the measure.
        yes: (N,) which votes do.
        raters: (N,) codes ≥ 0 of who gave them.
        if_none: why there is no share where N is 0.

    Examples:
        >>> share_of("tie_share", np.array([True, False]), np.array([0, 1]), "no votes").value
        0.5
    """
    if not len(yes):
        return Measure.undefined(name, if_none)
    bounds = clustered_share(yes.astype(np.float64), raters)
    return Measure(name, float(yes.mean()), len(yes), bounds)
