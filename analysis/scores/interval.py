"""A confidence interval, the same type wherever this package gives one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A confidence interval; both ends NaN, with a reason, where none can be given.

    Attributes:
        low: lower end.
        high: upper end.
        level: the share of such intervals meant to hold the true value.
        reason: why there is none; empty when there is.
    """

    low: float
    high: float
    level: float = 0.95
    reason: str = ""

    @classmethod
    def undefined(cls, reason: str, level: float = 0.95) -> Interval:
        """No interval, and why."""
        return cls(float("nan"), float("nan"), level, reason)
