"""Open a study's database, or say in one paragraph why it can't be opened.

An engine exists only where a function here made it; nothing connects at import.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session

from study_app.errors import DatabaseError, NoStudyError

from .limits import BUSY_SECONDS
from .orm import APPLICATION, SCHEMA_VERSION, SchemaInfo
from .whole import MISSING, log_of, mark
from .writer import Writer


class Database:
    """One study's storage: reads on any thread, writes through one.

    Args:
        url: as `settings.database_url` gives it.
        busy_seconds: how long to wait for another process's lock or for a server's answer.
    """

    def __init__(self, url: URL, busy_seconds: float = BUSY_SECONDS) -> None:
        self.url = url
        self.engine = _make_engine(url, busy_seconds)
        # a server answers each statement by itself, without the trips that begin and end a
        # transaction; under READ COMMITTED, its default, what is read is the same
        self._reader = self.engine
        if self.folder is None:
            self._reader = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._writer: Writer | None = None
        self._log_open = False  # the file says so, and its log is there
        self.warning = ""  # what is wrong with the file, though it can be used

    @property
    def shown_url(self) -> str:
        """The URL for people to read; the password is starred out."""
        return self.url.render_as_string(hide_password=True)

    @property
    def folder(self) -> Path | None:
        """The folder of an SQLite file; None for a server."""
        if self.url.get_backend_name() != "sqlite":
            return None
        return Path(str(self.url.database)).parent

    @contextlib.contextmanager
    def reading(self) -> Generator[Session, None, None]:
        """Open a session that only reads.

        Raises:
            DatabaseError: the database can't answer.
        """
        with self.explaining(), Session(self._reader) as session:
            yield session

    @property
    def writer(self) -> Writer:
        """The one thread that writes; started when first needed."""
        if self._writer is None:
            self._writer = Writer(self.engine.execution_options(writes=True))
        return self._writer

    @contextlib.contextmanager
    def explaining(self) -> Generator[None, None, None]:
        """Turn a driver's error into a paragraph for people.

        Raises:
            DatabaseError: always when the block failed on the database.
        """
        try:
            yield
        except (SQLAlchemyError, self.engine.dialect.loaded_dbapi.Error) as error:
            raise DatabaseError(self._explain(error)) from error

    def checkpoint(self) -> None:
        """Empty SQLite's write-ahead log into the file: nothing deleted lingers in it."""
        if self.folder is not None:
            with self.explaining(), self.engine.connect() as connection:
                connection.rollback()
                raw = connection.connection.dbapi_connection
                assert raw is not None
                # On the driver: in a transaction, which SQLAlchemy opens, it would fail.
                raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Finish what is being written, and close every connection.

        The last one to leave an SQLite file puts everything into it; then the file says so.
        """
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self.engine.dispose()
        if self._log_open and self._path is not None and not log_of(self._path).exists():
            with contextlib.suppress(sqlite3.Error):  # read-only: it says what it said before
                mark(self._path, log_open=False)
        self._log_open = False

    @property
    def _path(self) -> Path | None:
        """The SQLite file; None for a server."""
        return None if self.folder is None else Path(str(self.url.database))

    def note_log(self, *, had_log: bool, writable: bool) -> None:
        """Find out whether the file is whole; one opened for writing says that its log is open.

        Args:
            had_log: there was a log beside it before this process opened it.
            writable: votes will come.
        """
        if self._path is None:
            return
        with self.engine.connect() as connection:
            said = bool(connection.exec_driver_sql("SELECT log_open FROM study").scalar_one())
        if said and not had_log:
            self.warning = MISSING.format(path=self._path, log=log_of(self._path).name)
        self._log_open = writable or (said and had_log)
        if writable and not said:
            mark(self._path, log_open=True)

    def _explain(self, error: Exception) -> str:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        where = self.shown_url
        if "database is locked" in reason:
            return (
                f"{where} is locked by another program for longer than this one waits. Close "
                "what holds it (an open database browser, a backup), then try again; "
                "no vote that was accepted is lost."
            )
        if "not a database" in reason:
            return (
                f"{where} is not an SQLite database, so not a study; it was left as it is. "
                "Name the file that `glide-eval study create` made, or another place with --db."
            )
        if "is full" in reason or "disk I/O" in reason or "readonly" in reason:
            return (
                f"{where} can't be written ({reason}). Every vote accepted so far is kept. "
                "Free space or fix the permissions, then try again."
            )
        if self.folder is not None:
            return (
                f"The file {self.url.database} can't be used: {reason.rstrip('.')}. Check that its "
                "folder is there and that you may write in it, then try again."
            )
        return (
            f"The database {where} can't be used: {reason.rstrip('.')}. Check that it is "
            "running, that the address, user and password are right, and try again."
        )


def require_empty(database: Database) -> None:
    """Make sure a database holds nothing yet.

    Raises:
        DatabaseError: it holds a study, or tables of something else.
    """
    with database.explaining(), database.engine.connect() as connection:
        found = _inspect(connection)
    if found == "empty":
        return
    if found == "study":
        raise DatabaseError(
            f"{database.shown_url} holds a study already, and creating another would endanger its "
            "votes. See it with `glide-eval study status`; to start afresh, move the file away "
            "or name an empty database with --db."
        )
    raise DatabaseError(_foreign(database, found))


def open_database(
    url: URL, busy_seconds: float = BUSY_SECONDS, *, writable: bool = False
) -> Database:
    """Open a database that holds a study of this program's version.

    Args:
        url: as `settings.database_url` gives it.
        busy_seconds: how long to wait for a lock.
        writable: make sure now that it can be written, rather than at the first vote.

    Raises:
        DatabaseError: missing, locked, foreign, of another version, or out of reach.
    """
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        raise NoStudyError(
            f"There is no study at {url.database}. Create one with `glide-eval study create RUN`, "
            "or name its database with --db."
        )
    database = Database(url, busy_seconds)
    had_log = database.folder is not None and log_of(Path(str(url.database))).exists()
    try:
        with database.explaining():
            with database.engine.connect() as connection:
                found = _inspect(connection)
            if found == "study" and writable:
                with database.engine.execution_options(writes=True).begin() as connection:
                    # It deletes nothing, but needs all that a real write needs.
                    connection.exec_driver_sql("DELETE FROM vote WHERE 1 = 0")
            if found == "study":
                database.note_log(had_log=had_log, writable=writable)
        if found != "study":
            kind = NoStudyError if found == "empty" else DatabaseError
            raise kind(_foreign(database, found))
    except DatabaseError:
        database.close()
        raise
    return database


def upgrade_database(url: URL) -> tuple[int, int]:
    """Bring a study's tables up to this program's version; the versions before and after.

    Raises:
        DatabaseError: it holds no study, or one of a later version; or it can't be changed, and
            is as it was.
    """
    from .migrations import upgrade

    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        open_database(url)  # says so
    database = Database(url)
    try:
        with database.explaining():
            with database.engine.connect() as connection:
                found = _inspect(connection)
            if found == "study":
                return SCHEMA_VERSION, SCHEMA_VERSION
            if found not in {f"a study of schema version {n}" for n in range(1, SCHEMA_VERSION)}:
                raise DatabaseError(_foreign(database, found))
            return upgrade(url)
    finally:
        database.close()


def _inspect(connection: Connection) -> str:
    """`empty`, `study`, or what was found instead."""
    tables = set(inspect(connection).get_table_names())
    if not tables:
        return "empty"
    if SchemaInfo.__tablename__ not in tables:
        return "the tables " + ", ".join(sorted(tables)[:6])
    rows = connection.execute(select(SchemaInfo.application, SchemaInfo.version)).all()
    if [row.application for row in rows] != [APPLICATION]:
        return f"tables of {', '.join(row.application for row in rows) or 'an unknown program'}"
    if rows[0].version != SCHEMA_VERSION:
        return f"a study of schema version {rows[0].version}"
    return "study"


def _foreign(database: Database, found: str) -> str:
    what = "nothing" if found == "empty" else found
    older = any(found == f"a study of schema version {n}" for n in range(1, SCHEMA_VERSION))
    if older:
        return (
            f"{database.shown_url} holds {found}; this program's is version {SCHEMA_VERSION}. "
            "Bring it up to date with `glide-eval study upgrade`, which keeps every vote; take a "
            "copy first."
        )
    return (
        f"{database.shown_url} does not hold a study this program can read: found {what}, "
        f"expected a study of schema version {SCHEMA_VERSION}. It was left as it is. Name another "
        "database with --db, or create a study with `glide-eval study create RUN`."
    )


def _make_engine(url: URL, busy_seconds: float) -> Engine:
    try:
        if url.get_backend_name() == "sqlite":
            engine = create_engine(
                url, connect_args={"timeout": busy_seconds}, pool_size=8, max_overflow=32
            )
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        return create_engine(
            url,
            connect_args={"connect_timeout": max(1, round(busy_seconds))},
            # Servers close idle connections; a ping finds that before a vote does.
            pool_pre_ping=True,
            pool_size=8,
            max_overflow=32,
        )
    except (ImportError, NoSuchModuleError) as error:
        raise DatabaseError(
            f"PostgreSQL needs the psycopg package, which is not installed ({error}). "
            "Run `pip install 'glide-eval[postgres]'`."
        ) from error


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """WAL with synchronous FULL: a committed vote survives a power cut."""
    connection.isolation_level = None  # we say BEGIN ourselves, below
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes the write lock at once: asking later, mid-read, could only fail."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
