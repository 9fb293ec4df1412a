"""Bring a study's tables up to date, with Alembic.

`versions/` holds one script per schema version. Studies made before there were migrations are of
version 1 and say so in `schema_info`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, create_engine, event, insert, inspect, select, update
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from study_app.store.orm import APPLICATION, SCHEMA_VERSION, Base, SchemaInfo

if TYPE_CHECKING:
    from alembic.config import Config


def make_tables(connection: Connection) -> None:
    """Make every table of this program's version in an empty database."""
    from alembic import command

    Base.metadata.create_all(connection)
    values = {"application": APPLICATION, "version": SCHEMA_VERSION}
    connection.execute(insert(SchemaInfo), values)
    command.stamp(alembic_config(connection), "head")


def upgrade(url: URL) -> tuple[int, int]:
    """Bring a study's tables up to date, all or nothing; return the versions before and after.

    Raises:
        SQLAlchemyError: the database can't be changed; it is as it was.
    """
    from alembic import command

    engine = create_engine(url, poolclass=NullPool)
    if url.get_backend_name() == "sqlite":
        # Alembic rebuilds tables there: foreign keys are looked at once, at the end
        event.listen(engine, "connect", _plain_sqlite)
        event.listen(engine, "begin", _begin_at_once)
    try:
        with engine.begin() as connection:
            before = connection.execute(select(SchemaInfo.version)).scalar_one()
            config = alembic_config(connection)
            if "alembic_version" not in inspect(connection).get_table_names():
                command.stamp(config, f"{before:04d}")
            command.upgrade(config, "head")
            connection.execute(update(SchemaInfo).values(version=SCHEMA_VERSION))
            _require_sound(connection)
    finally:
        engine.dispose()
    return before, SCHEMA_VERSION


def alembic_config(connection: Connection) -> Config:
    """Return what Alembic needs to run the scripts in `versions/` on this connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


def _plain_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves: SQLite's tables change in one go
    connection.execute("PRAGMA synchronous = FULL")


def _begin_at_once(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")  # nobody writes between our reads and writes


def _require_sound(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        assert not broken, f"the upgrade left rows that lead nowhere: {broken[:3]}"
