"""What limits an owner's overview, and why."""

from __future__ import annotations

PACE_HOURS = 24.0
"""Hours back from now whose votes tell a study's pace: one round of day and night."""

SHORTEST_PACE = 0.25
"""Hours: a pace measured over less is taken as if over this, since two quick votes are no pace."""

LOOK_EVERY = 5.0
"""Seconds between two looks at a study for the owner's page, if looking is quick."""

LOOKING_SHARE = 20
"""A large study takes longer to look at: a processor looks for at most one part in so many."""

PATIENCE = 60.0
"""Seconds to wait for the first look, in which a process starts."""

SHOWN_COMMENTS = 50
"""Comments in the owner's table, the last ones; `study export --comments` writes all of them."""

SHOWN_RATERS = 200
"""Raters in the owner's table; votes.csv has all of them."""
