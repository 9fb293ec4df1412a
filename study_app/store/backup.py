"""Copy a study while it is served, to an SQLite file or an empty PostgreSQL database.

A copy is a whole study: it can be served, exported from and analysed. It holds one moment; votes
that come in meanwhile are in it entirely or not at all.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from sqlalchemy import Connection, create_engine, func, insert, select, text, update
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from glide_eval.files import replacing
from study_app.errors import DatabaseError

from .database import Database, open_database, require_empty
from .limits import COPIED_AT_ONCE
from .migrations import make_tables
from .orm import Base, SchemaInfo, StudyRow, VoteRow


@dataclass(frozen=True, slots=True)
class Backup:
    """What was copied.

    Attributes:
        votes: in the copy.
        images: the folder of the images, which a copy of the database does not hold.
    """

    votes: int
    images: Path


def back_up(source: URL, target: URL) -> Backup:
    """Copy a study as it is at one moment.

    Args:
        source: the study.
        target: an SQLite file, replaced whole if it was a copy before; or an empty database.

    Raises:
        DatabaseError: there is no study at `source`, `target` holds something else, or either is
            out of reach.
        StorageError: the disk is full or read-only; an older copy is as it was.
    """
    database = open_database(source)
    try:
        if target == source:
            raise DatabaseError(
                f"{database.shown_url} can't be its own copy. Name another place with --out."
            )
        with database.explaining():
            if target.get_backend_name() == "sqlite":
                return _to_file(database, Path(str(target.database)))
            return _to_server(database, target)
    finally:
        database.close()


def _to_file(database: Database, path: Path) -> Backup:
    if path.exists():
        open_database(_file_url(path)).close()  # never over anything but a study
    with replacing(path, private=True) as temporary:
        if database.folder is not None:
            _copy_pages(Path(str(database.url.database)), temporary)
        else:
            engine = create_engine(_file_url(temporary), poolclass=NullPool)
            with engine.begin() as connection:
                _copy_rows(database, connection)
            engine.dispose()
        return _finish(temporary, database)


def _copy_pages(source: Path, target: Path) -> None:
    """SQLite's own online backup: readers and writers go on meanwhile (write-ahead log)."""
    with (
        contextlib.closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as reader,
        contextlib.closing(sqlite3.connect(target)) as writer,
    ):
        reader.backup(writer)
        writer.execute("PRAGMA journal_mode = DELETE")  # one file, nothing beside it
        (sound,) = writer.execute("PRAGMA integrity_check").fetchone()
    if sound != "ok":
        raise DatabaseError(
            f"The copy of {source} is damaged ({sound}), so it was thrown away; the study was only "
            "read. Check the disk, then try again."
        )


def _finish(path: Path, database: Database) -> Backup:
    """Make the copy find the images from wherever it lies, and count its votes."""
    engine = create_engine(_file_url(path), poolclass=NullPool)
    with engine.begin() as connection:
        found = _settle(connection, database)
    engine.dispose()
    return found


def _to_server(database: Database, target: URL) -> Backup:
    server = Database(target)
    try:
        require_empty(server)
        with server.explaining(), server.engine.begin() as connection:
            _copy_rows(database, connection)
            return _settle(connection, database)
    finally:
        server.close()


def _copy_rows(database: Database, target: Connection) -> None:
    make_tables(target)
    isolation = "REPEATABLE READ" if database.folder is None else "SERIALIZABLE"
    engine = database.engine.execution_options(isolation_level=isolation)
    if database.folder is not None:
        engine = database.engine  # SQLite's reads are of one moment anyway
    with engine.begin() as source:
        for table in Base.metadata.sorted_tables:
            if table is SchemaInfo.__table__:
                continue
            # by id: what repeats an assignment comes after it
            rows = source.execute(select(table).order_by(*table.primary_key)).yield_per(
                COPIED_AT_ONCE
            )
            for part in rows.mappings().partitions():
                target.execute(insert(table), [dict(row) for row in part])
            # Copied rows bring their own ids, which a sequence does not notice.
            if target.dialect.name == "postgresql" and "id" in table.columns:
                target.execute(
                    text(
                        f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), "
                        f"max(id)) FROM {table.name}"
                    )
                )


def _settle(connection: Connection, database: Database) -> Backup:
    session = Session(connection)
    root = session.scalars(select(StudyRow.image_root)).one()
    images = ((database.folder or Path()) / root).resolve()
    session.execute(update(StudyRow).values(image_root=os.fspath(images), log_open=False))
    session.flush()
    votes = session.scalar(select(func.count(VoteRow.id)))
    return Backup(cast(int, votes), images)


def _file_url(path: Path) -> URL:
    return URL.create("sqlite", database=os.fspath(path))
