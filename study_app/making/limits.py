"""What limits the making of studies and votes, and why."""

from __future__ import annotations

RATERS_AT_ONCE = 50
"""Simulated raters served in one transaction: fewer make more commits, more hold the writer longer
from people who vote meanwhile."""

STRONG = 1.5
"""Logits beyond a simulated rater's threshold of a tie from which an answer is a strong one."""
