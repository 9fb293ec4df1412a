"""Values drawn in background threads, so that reading pictures or drawing noise overlaps with
computing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

K = TypeVar("K")
B = TypeVar("B")


def drawn_ahead(
    draw: Callable[[K], B], keys: Iterable[K], workers: int
) -> Generator[B, None, None]:
    """Yield `draw(key)` of each key in order; each worker draws up to two values in advance.

    An error in `draw` is raised where its value would have come.
    """
    if workers == 0:
        yield from map(draw, keys)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="drawn-ahead")
    waiting: deque[Future[B]] = deque()
    try:
        for key in keys:
            waiting.append(pool.submit(draw, key))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
