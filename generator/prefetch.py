"""Values drawn in background threads, so that reading pictures or drawing noise overlaps with
computing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar, cast

K = TypeVar("K")
B = TypeVar("B")


def drawn_ahead(
    draw: Callable[[K], B], keys: Iterable[K], workers: int
) -> Generator[B, None, None]:
    """Return `draw(key)` of each key in order; each worker draws up to two values in advance.

    An error in `draw` is raised where its value would have come.
    """
    if workers == 0:
        return (draw(key) for key in keys)
    drawn = _from_pool(draw, keys, workers)
    next(drawn)  # the first values are begun now, not when the first is asked for
    return cast(Generator[B, None, None], drawn)


def _from_pool(
    draw: Callable[[K], B], keys: Iterable[K], workers: int
) -> Generator[B | None, None, None]:
    """Yield None once the first draws are under way, then their values and the others'."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="drawn-ahead")
    left = iter(keys)
    try:
        waiting = deque(pool.submit(draw, key) for key in islice(left, 2 * workers))
        yield None
        for key in left:
            waiting.append(pool.submit(draw, key))
            yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
