"""Votes in: files, typed columns, ballots and win matrices."""

from __future__ import annotations

from .answers import ANSWERS, DECIDED, Answer, AnswerName
from .columns import (
    COLUMNS,
    EXPORTED,
    RATER_KINDS,
    Column,
    RaterKind,
    csv_text,
    times_as_text,
    typed,
)
from .rows import rows_of
from .votes import ASIDE, Ballot, ballots, counted, left_out, read_votes
from .win_matrix import cluster_wins, one_group, reachable, strong_groups, win_matrix

__all__ = [
    "ANSWERS",
    "ASIDE",
    "COLUMNS",
    "DECIDED",
    "EXPORTED",
    "RATER_KINDS",
    "Answer",
    "AnswerName",
    "Ballot",
    "Column",
    "RaterKind",
    "ballots",
    "cluster_wins",
    "counted",
    "csv_text",
    "left_out",
    "one_group",
    "reachable",
    "read_votes",
    "rows_of",
    "strong_groups",
    "times_as_text",
    "typed",
    "win_matrix",
]
