"""What limits a rater's habits: from where a screen flags them."""

from __future__ import annotations

TOO_FAST = 1.0
"""Seconds in which nobody compares two images."""

ONE_SIDED = 0.9
"""Share of decided votes for one side, or of votes for none, from which a rater is flagged."""

GOLD_RIGHT = 0.5
"""Share of right answers on gold pairs below which a rater is flagged."""

FEWEST_VOTES = 10
"""Votes before a rater's sides and ties say anything."""
