"""Votes in: files, typed columns, which votes count, ballots and win matrices."""

from __future__ import annotations

from .answers import ANSWERS, DECIDED, TIED, Answer, AnswerName
from .cells import csv_of, escaped, restored, restored_column
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
from .counting import ASIDE, counted, exclusions, left_out, left_wins, on_gold, tied
from .files import FORMATS, FileFormat, frame_of, read_file
from .layouts import LAYOUTS, Layout, in_our_columns, layout_of, names_raters
from .questions import QUESTIONS, Question
from .rows import rows_of
from .votes import Ballot, ballots, read_votes
from .win_matrix import cluster_wins, one_group, reachable, strong_groups, win_matrix

__all__ = [
    "ANSWERS",
    "ASIDE",
    "COLUMNS",
    "DECIDED",
    "EXPORTED",
    "FORMATS",
    "LAYOUTS",
    "QUESTIONS",
    "RATER_KINDS",
    "TIED",
    "Answer",
    "AnswerName",
    "Ballot",
    "Column",
    "FileFormat",
    "Layout",
    "Question",
    "RaterKind",
    "ballots",
    "cluster_wins",
    "counted",
    "csv_of",
    "csv_text",
    "escaped",
    "exclusions",
    "frame_of",
    "in_our_columns",
    "layout_of",
    "left_out",
    "left_wins",
    "names_raters",
    "on_gold",
    "one_group",
    "reachable",
    "read_file",
    "read_votes",
    "restored",
    "restored_column",
    "rows_of",
    "strong_groups",
    "tied",
    "times_as_text",
    "typed",
    "win_matrix",
]
