"""How often one address may ask for what is costly or could be guessed.

A token bucket for each address: `burst` at once, then `per_minute`. Addresses that ask for nothing
are forgotten, so memory stays small however many addresses ask.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class RateLimit:
    """At most `burst` at once and `per_minute` on the long run, for each address.

    Args:
        burst: how many at once.
        per_minute: how fast what was used comes back.
        clock: monotonic seconds.
        remembered: addresses, at most; the longest quiet are forgotten first.
    """

    def __init__(
        self,
        burst: float,
        per_minute: float,
        clock: Callable[[], float] = time.monotonic,
        remembered: int = 10_000,
    ) -> None:
        self.burst = burst
        self.per_second = per_minute / 60
        self._clock = clock
        self._remembered = remembered
        self._buckets: dict[str, tuple[float, float]] = {}  # address → left, when; oldest first
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return how many addresses are remembered."""
        return len(self._buckets)

    def allow(self, address: str) -> bool:
        """Whether this address may go on now; counts as one use if so."""
        with self._lock:
            now = self._clock()
            # Popped and put back, which keeps the dictionary in the order of last use.
            left, then = self._buckets.pop(address, (self.burst, now))
            left = min(self.burst, left + (now - then) * self.per_second)
            allowed = left >= 1
            self._buckets[address] = (left - 1 if allowed else left, now)
            if len(self._buckets) > self._remembered:
                del self._buckets[next(iter(self._buckets))]
        return allowed
