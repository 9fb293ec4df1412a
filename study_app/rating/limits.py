"""What limits a rater's turn, and why."""

from __future__ import annotations

MOST_REPORTS = 5
"""Pairs that one rater may report and pass over: enough for what is truly bad, and too few to
choose pairs by."""

RENEW_EVERY, RENEW_SHARE = 20, 0.05
"""Advice is renewed after so many more pairs, or after this share of those handed out if more."""

SHARPNESS = 4
"""Arm pairs are drawn with probability ∝ gain⁴: mostly the best, and never one alone, since many
raters are handed pairs before the first of them answers."""
