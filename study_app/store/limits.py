"""What limits a study's database, and why."""

from __future__ import annotations

BUSY_SECONDS = 5.0
"""Seconds to wait for another process's lock, or for a server's answer, before a rater is told."""

GROUP = 64
"""Jobs that the writer commits together: one durable commit serves as many raters."""

COPIED_AT_ONCE = 2000
"""Rows in memory while a study is copied."""

REPORTED = "reported by the rater"
"""Why a pair was set aside whose rater did not want to look at it."""

LONGEST_COMMENT = 1000
"""Characters of what a rater writes about a pair; what is longer is cut."""

LONGEST_REASON = 200
"""Characters of the reason why a pair was set aside; the column holds no more."""
