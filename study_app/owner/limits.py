"""What limits an owner's overview, and why."""

from __future__ import annotations

PACE_HOURS = 24.0
"""Hours back from now whose votes tell a study's pace: one round of day and night."""

SHORTEST_PACE = 0.25
"""Hours: a pace measured over less is taken as if over this, since two quick votes are no pace."""
