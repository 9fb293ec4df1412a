"""Progress of long work: a bar on a terminal, and elsewhere one line per minute."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Generator

from tqdm import tqdm

EVERY = 60.0  # seconds between two lines where there is no terminal


@contextlib.contextmanager
def progress(
    total: int,
    what: str,
    *,
    initial: int = 0,
    unit: str = "image",
    clock: Callable[[], float] = time.monotonic,
) -> Generator[Callable[[int], None]]:
    """Show how far some work is; the block gets a function that takes the number of items done.

    Args:
        total: how many items there are.
        what: the work, such as `Measuring`.
        initial: how many of them were done before.
        unit: what an item is, in the singular.
        clock: seconds.
    """
    said = clock()
    done = initial
    with tqdm(total=total, initial=initial, desc=what, unit=unit, disable=None) as bar:

        def update(number: int) -> None:
            nonlocal said, done
            done += number
            bar.update(number)
            if bar.disable and clock() - said >= EVERY:
                said = clock()
                print(f"{what}: {done:,} of {total:,} {unit}s", file=sys.stderr, flush=True)

        yield update
