"""What limits the pages, and why; the page's own script has its limits at the top of `pair.js`."""

from __future__ import annotations

REFRESH_SECONDS = 5.0
"""Seconds after which the owner's page shows the latest look at the study."""

WRONG_GUESS_SECONDS = 1.0
"""Seconds that a wrong guess of the owner's password takes, whoever made it."""

SHOWN_HOURS = 72
"""Hours in the chart of votes per hour."""

SHOWN_REPORTS = 50
"""Reported pairs on the owner's page, those with most reports first."""
