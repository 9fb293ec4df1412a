"""What a served study does so that a vote is cheap; each of these was found by profiling one.

Nothing here changes what a rater sees.
"""

from __future__ import annotations

import contextlib
import functools
import gc

from .limits import FULL, MIDDLE, YOUNG_OBJECTS


def tune() -> None:
    """Prepare this process for many raters; called once, before it serves."""
    _allow_many_connections()


@functools.cache
def settle(page: str) -> None:
    """Take what lives as long as the process out of the garbage collector's sight.

    A full collection walks every object there is, for a tenth of a second with all that pages
    bring in, while every rater waits.

    Args:
        page: whose first run has brought in its modules; a second time does nothing.
    """
    # Collected first, so that no garbage is frozen for good.
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, MIDDLE, FULL)


def _allow_many_connections() -> None:
    """As many open files as the system allows: a rater's window takes about six."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # where there is no such limit
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
