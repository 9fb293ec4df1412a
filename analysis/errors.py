"""The exception family of `analysis`, and the lists in its messages.

    AnalysisError           anything this package reports in one paragraph (exit status 1)
    ├── VotesError          votes that can't be counted: the rows are named
    │   └── NoVotesError    there is no file at the path that was named (exit status 2)
    └── ReportError         a report that can't be made or written

Each message names the thing, what was found, what was expected and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable


class AnalysisError(Exception):
    """A failure the user can act on; its text is one paragraph."""

    exit_status = 1


class VotesError(AnalysisError):
    """Votes with missing columns, unknown labels, self-pairs or duplicates."""


class NoVotesError(VotesError):
    """No file lies at the path that was named as one of votes."""

    exit_status = 2


class ReportError(AnalysisError):
    """A report whose inputs are missing or whose folder can't be written."""


class AnalysisWarning(UserWarning):
    """Votes are counted as they are, but may not mean what they say; its text is one paragraph."""


def some_of(values: Iterable[object], most: int = 5) -> str:
    """Return the values as a list for a message, and how many more there are.

    Examples:
        >>> some_of(range(4), most=2)
        '0, 1 and 2 more'
    """
    found = list(values)
    more = f" and {len(found) - most:,} more" if len(found) > most else ""
    return ", ".join(map(str, found[:most])) + more
