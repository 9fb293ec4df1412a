"""Publishing a run at a URL, and fetching it: whole, checked by SHA-256, and resumable."""

from __future__ import annotations

from .far_end import FarEnd
from .listing import LISTING, Listed, Listing, list_run
from .transfer import Moved, pull, push

__all__ = ["LISTING", "FarEnd", "Listed", "Listing", "Moved", "list_run", "pull", "push"]
