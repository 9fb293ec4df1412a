"""What an owner sees and takes away: overview, live Elo, status, export, deletion."""

from __future__ import annotations

from .deletion import delete_rater
from .export import Format, to_csv, to_jsonl, to_parquet, votes_frame, write_votes
from .live_elo import live_elo
from .overview import (
    agreement,
    gold_accuracy,
    median_seconds,
    rater_table,
    repeat_agreement,
    response_times,
    side_bias,
    time_to_finish,
    votes_by_question,
    votes_per_hour,
)
from .status import status_text

__all__ = [
    "Format",
    "agreement",
    "delete_rater",
    "gold_accuracy",
    "live_elo",
    "median_seconds",
    "rater_table",
    "repeat_agreement",
    "response_times",
    "side_bias",
    "status_text",
    "time_to_finish",
    "to_csv",
    "to_jsonl",
    "to_parquet",
    "votes_by_question",
    "votes_frame",
    "votes_per_hour",
    "write_votes",
]
