"""How often one address may ask for what is costly or could be guessed.

A token bucket an address: `burst` at once, then `per_minute`. Addresses that ask for nothing are
forgotten, so memory stays small whoever knocks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

REMEMBERED = 10_000  # addresses, at most; the longest quiet are forgotten first


class RateLimit:
    """At most `burst` at once and `per_minute` on the long run, for each address.

    Args:
        burst: how many at once.
        per_minute: how fast what was used comes back.
        clock: monotonic seconds.
    """

    def __init__(
        self, burst: float, per_minute: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.burst = burst
        self.per_second = per_minute / 60
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}  # address → left, when; oldest first
        self._lock = threading.Lock()

    def allow(self, address: str) -> bool:
        """Whether this address may go on now; counts as one use if so."""
        with self._lock:
            now = self._clock()
            left, then = self._buckets.pop(address, (self.burst, now))
            left = min(self.burst, left + (now - then) * self.per_second)
            allowed = left >= 1
            self._buckets[address] = (left - 1 if allowed else left, now)
            if len(self._buckets) > REMEMBERED:
                del self._buckets[next(iter(self._buckets))]
        return allowed


joins = RateLimit(burst=60, per_minute=60)  # a lecture hall behind one address fits
guesses = RateLimit(burst=5, per_minute=6)  # of the owner's password
connections = RateLimit(burst=200, per_minute=200)  # browser windows, each of which costs memory
requests = RateLimit(burst=4000, per_minute=12_000)  # images and pages
