"""Where a study's database is: what its owner typed, and how the pages learn of it."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from study_app.errors import StudyUsageError

DATABASE_VARIABLE = "GLIDE_EVAL_STUDY_DB"
IMAGES_VARIABLE = "GLIDE_EVAL_STUDY_IMAGES"
PASSWORD_VARIABLE = "GLIDE_EVAL_OWNER_PASSWORD"
EMAILS_VARIABLE = "GLIDE_EVAL_OWNER_EMAILS"


def database_url(text: str) -> URL:
    """Return a database URL, given one or the path of an SQLite file.

    Raises:
        StudyUsageError: not a URL, or of a database other than SQLite and PostgreSQL.
    """
    if "://" not in text:
        return URL.create("sqlite", database=str(Path(text).absolute()))
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise StudyUsageError(
            "The database URL can't be read. Expected sqlite:////absolute/path/study.db or "
            "postgresql://USER:PASSWORD@HOST:PORT/DATABASE."
        ) from error
    backend = url.get_backend_name()
    if backend == "sqlite" and url.database not in (None, "", ":memory:"):
        return url.set(drivername="sqlite", database=str(Path(str(url.database)).absolute()))
    if backend in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    raise StudyUsageError(
        f"Studies are kept in an SQLite file or in PostgreSQL; found {url.drivername!r}. "
        "Expected sqlite:////absolute/path/study.db or "
        "postgresql://USER:PASSWORD@HOST:PORT/DATABASE."
    )


def url_from_environment() -> URL:
    """The database that `study serve` chose for the pages of this process."""
    text = os.environ.get(DATABASE_VARIABLE)
    if not text:
        raise StudyUsageError(
            f"{DATABASE_VARIABLE} is not set, so these pages know no study. "
            "Start them with `glide-eval study serve RUN`."
        )
    return database_url(text)


def images_from_environment() -> Path | None:
    """Where the images are on this machine; None: where the study was created."""
    text = os.environ.get(IMAGES_VARIABLE)
    return Path(text) if text else None


def owner_emails() -> frozenset[str]:
    """Who may see the owner's page by an OpenID Connect login; empty: it has a password."""
    text = os.environ.get(EMAILS_VARIABLE, "")
    return frozenset(email.strip().lower() for email in text.split(",") if email.strip())
