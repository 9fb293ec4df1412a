"""What an owner sees and takes away: overview, live Elo, status, export, deletion."""

from __future__ import annotations

from .deletion import delete_rater
from .export import Format, to_csv, to_jsonl, to_parquet, votes_frame, write_comments, write_votes
from .live_elo import live_elo
from .look import Look, Observer, Watcher, look_at
from .overview import (
    TimeToFinish,
    rater_table,
    time_to_finish,
    votes_by_question,
    votes_per_hour,
)
from .pay import Payment, payment_text, write_payments
from .people import SiteList, people_of, read_list
from .status import status_record, status_text

__all__ = [
    "Format",
    "Look",
    "Observer",
    "Payment",
    "SiteList",
    "TimeToFinish",
    "Watcher",
    "delete_rater",
    "live_elo",
    "look_at",
    "payment_text",
    "people_of",
    "rater_table",
    "read_list",
    "status_record",
    "status_text",
    "time_to_finish",
    "to_csv",
    "to_jsonl",
    "to_parquet",
    "votes_by_question",
    "votes_frame",
    "votes_per_hour",
    "write_comments",
    "write_payments",
    "write_votes",
]
