"""What a served study does so that a vote is cheap; each of these was found by profiling one.

Nothing here changes what a rater sees, and a Streamlit in which something is named otherwise is
served as it is.
"""

from __future__ import annotations

import contextlib
import functools
import gc
from collections.abc import Callable
from typing import Any

from .limits import FULL, MIDDLE, YOUNG_OBJECTS


def tune() -> None:
    """Prepare this process for many raters; called once, before it serves."""
    _allow_many_connections()
    with contextlib.suppress(ImportError, AttributeError):
        _keep_theme_messages()


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


def _keep_theme_messages() -> None:
    """Let Streamlit make the messages of its theme once.

    It makes them at every run of a script, walking all of its options for each of the theme's six
    sections: a sixth of all that a vote cost.
    """
    from streamlit.runtime import app_session

    make: Callable[..., None] = app_session._populate_theme_msg  # pyright: ignore[reportPrivateUsage]
    kept: dict[str, Any] = {}

    def populate(message: Any, section: str = "theme") -> None:
        if section not in kept:
            fresh = type(message)()
            make(fresh, section)
            kept[section] = fresh
        # Merging an empty message would still mark the section as set.
        if kept[section].ByteSize():
            message.MergeFrom(kept[section])

    app_session._populate_theme_msg = populate  # pyright: ignore[reportPrivateUsage]
