"""The exception family of `analysis`.

    AnalysisError           anything this package reports in one paragraph (exit status 1)
    ├── VotesError          votes that can't be counted: the rows are named
    └── ReportError         a report that can't be made or written

Each message names the thing, what was found, what was expected and what to do.
"""

from __future__ import annotations


class AnalysisError(Exception):
    """A failure the user can act on; its text is one paragraph."""

    exit_status = 1


class VotesError(AnalysisError):
    """Votes with missing columns, unknown labels, self-pairs or duplicates."""


class ReportError(AnalysisError):
    """A report whose inputs are missing or whose folder can't be written."""
