"""What limits those who ask a served study for something, and why."""

from __future__ import annotations

from .rate_limit import RateLimit

joins = RateLimit(burst=60, per_minute=60)
"""New raters from one address: a lecture hall behind one address fits."""

guesses = RateLimit(burst=5, per_minute=6)
"""Guesses of the owner's password."""

connections = RateLimit(burst=200, per_minute=200)
"""Windows of the owner's page, each of which costs memory."""

requests = RateLimit(burst=4000, per_minute=12_000)
"""Images, pages and answers: a class of 200 raters behind one address fits."""

events = RateLimit(burst=60, per_minute=1200)
"""What one rater's page asks for: faster than a person answers. The page itself stops a held key
already."""

LARGEST_EVENT = 2**16
"""Bytes of what a rater's page sends: an answer takes some three hundred, and the longest address
that opens a page is sent back with it."""

MESSAGES_AT_ONCE, MESSAGES_PER_SECOND = 60.0, 20.0
"""Messages of one window of the owner's page: faster than a person makes them."""

LARGEST_MESSAGE = 2**20
"""Bytes of a message from the owner's page."""

ANSWERING = 40
"""Threads that answer raters' pages; they mostly wait for the writer's next commit."""

WAITING_CONNECTIONS = 512
"""Connections that the system keeps until they are accepted: a class of raters that opens the
address at once."""

KEPT_BYTES = 128 * 2**20
"""Bytes of images kept in memory."""

YOUNG_OBJECTS = 20_000
"""Allocations between two collections of young objects. Python's own 700 come several times per
vote, and leave some 85 objects for a collection to find; all others go when nothing refers to
them."""

MIDDLE, FULL = 4, 1_000
"""Collections of young objects between two of what survived one, and between two full ones. What
survives is raters' windows, some 500 objects each. By Python's own measure 200 windows that open
together would be walked in one go, a stop of 0.1 s for everybody. So they are walked in smaller
parts, and all objects once in 80 million allocations, an hour and a half of 200 raters. Until then
a window that closed may keep its 85 KB."""
