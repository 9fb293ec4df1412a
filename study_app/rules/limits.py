"""What limits a study by itself, whatever its owner chose, and why."""

from __future__ import annotations

QUESTION_BLOCK = 10
"""Pairs that a rater answers for one question before the question changes: switching at each pair
invites answering the wrong one."""

FIRST_GOLD = 2
"""A rater's first pairs are plain: nobody should be judged on finding their way."""

SIDES_NEEDED = 10
"""Decided votes before a rule looks at sides: of fair raters with three votes a quarter have all on
one side, with ten one in 500."""

LONGEST_SECONDS = 1e6
"""No look at a pair takes so long (eleven days): a time beyond it is a clock's mistake."""

FORGIVEN_SECONDS = 2.0
"""Seconds by which a browser's time may exceed what the server saw: the network's delay."""

MOST_MIN_SECONDS = 60
"""Seconds for which an owner may refuse early clicks."""

PAIR_SECONDS = 5.0
"""Seconds that a pair takes, for estimates where the owner names none: people take 4 to 6."""

READING_SECONDS = 60.0
"""Seconds for the pages before the first pair and after the last, for estimates."""

LONGEST_TEXT = 20_000
"""Characters of a text in a study file."""

LONGEST_KEY = 40
"""Characters of a question's key."""
