"""A study's database: tables, statements, migrations, the writer, backups."""

from __future__ import annotations

from .backup import back_up
from .database import Database, open_database, require_empty, upgrade_database
from .info import StudyInfo, read_info
from .limits import REPORTED
from .migrations import make_tables
from .orm import (
    ArmRow,
    AssignmentRow,
    DeletionRow,
    ImageRow,
    PairRow,
    PracticeAnswerRow,
    PracticeRow,
    QuestionRow,
    QuotaRow,
    RaterRow,
    SetAsideRow,
    StudyRow,
    UndoRow,
    VoteRow,
)
from .owner_repository import OwnerRepository
from .passwords import hash_password, hash_token, is_token, new_password, new_token, verify_password
from .repository import AnyRow, Repository
from .secret import keyed_hash, new_secret, secret_key
from .settings import (
    DATABASE_VARIABLE,
    IMAGES_VARIABLE,
    PASSWORD_VARIABLE,
    database_url,
    owner_emails,
    url_from_environment,
)
from .vote_table import GrowingVotes, vote_table

__all__ = [
    "DATABASE_VARIABLE",
    "IMAGES_VARIABLE",
    "PASSWORD_VARIABLE",
    "REPORTED",
    "AnyRow",
    "ArmRow",
    "AssignmentRow",
    "Database",
    "DeletionRow",
    "GrowingVotes",
    "ImageRow",
    "OwnerRepository",
    "PairRow",
    "PracticeAnswerRow",
    "PracticeRow",
    "QuestionRow",
    "QuotaRow",
    "RaterRow",
    "Repository",
    "SetAsideRow",
    "StudyInfo",
    "StudyRow",
    "UndoRow",
    "VoteRow",
    "back_up",
    "database_url",
    "hash_password",
    "hash_token",
    "is_token",
    "keyed_hash",
    "make_tables",
    "new_password",
    "new_secret",
    "new_token",
    "open_database",
    "owner_emails",
    "read_info",
    "require_empty",
    "secret_key",
    "upgrade_database",
    "url_from_environment",
    "verify_password",
    "vote_table",
]
