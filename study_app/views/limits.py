"""What limits the pages, and why; the page's own script has its limits at the top of `pair.js`."""

from __future__ import annotations

REFRESH_SECONDS = 5.0
"""Seconds between two looks of the owner's page at the study, if looking is quick."""

LOOKING_SHARE = 20
"""A large study takes longer to look at: the page looks for at most one part in so many."""

WRONG_GUESS_SECONDS = 1.0
"""Seconds that a wrong guess of the owner's password takes, whoever made it."""

SHOWN_RATERS = 200
"""Raters in the owner's table; votes.csv has all of them."""

SHOWN_HOURS = 72
"""Hours in the chart of votes per hour."""
