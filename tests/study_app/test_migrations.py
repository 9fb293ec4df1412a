"""A study of the first schema version, brought up to date with everything kept."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect, text

from study_app.errors import DatabaseError
from study_app.making import create_study
from study_app.owner import votes_frame
from study_app.rating import Study
from study_app.store import open_database, upgrade_database
from study_app.store.migrations import alembic_config
from study_app.store.orm import Base

OLD = Path(__file__).with_name("data") / "schema_1.sql"  # made by the program of that time
ORDER = (
    *("schema_info", "study", "question", "arm", "image"),
    *("pair", "quota", "rater", "assignment", "vote"),
)
TOKEN = "4e793f9592a8b354dff8573cf71da66b"  # of its person with three votes


@pytest.fixture
def old_url(url):
    """A study of schema version 1 with 13 votes, on each kind of database."""
    if url.get_backend_name() == "sqlite":
        with sqlite3.connect(url.database) as file:
            file.executescript(OLD.read_text())
        file.close()
    else:
        engine = create_engine(url)
        with engine.begin() as connection:
            make_first_tables(connection)
            copy_old_rows(connection)
        engine.dispose()
    return url


def make_first_tables(connection: Connection) -> None:
    from alembic import command

    command.upgrade(alembic_config(connection), "0001")
    connection.execute(text("DROP TABLE alembic_version"))  # studies of then had none


def copy_old_rows(connection: Connection) -> None:
    old = sqlite3.connect(":memory:")
    old.executescript(OLD.read_text())
    old.row_factory = sqlite3.Row
    kinds = {
        (table, column["name"]): str(column["type"])
        for table in inspect(connection).get_table_names()
        for column in inspect(connection).get_columns(table)
    }
    for table in ORDER:
        for row in old.execute(f"SELECT * FROM {table}"):
            values = dict(row)
            for name, value in values.items():
                if kinds[table, name] == "BOOLEAN":
                    values[name] = bool(value)
                elif kinds[table, name] == "TIMESTAMP":
                    values[name] = datetime.fromisoformat(f"{value}+00:00")
            names = ", ".join(values)
            places = ", ".join(f":{name}" for name in values)
            connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), values)
        if table in ("rater", "assignment", "vote"):
            connection.execute(
                text(f"SELECT setval('{table}_id_seq', (SELECT max(id) FROM {table}))")
            )
    old.close()


def test_an_old_study_says_which_command_brings_it_up_to_date(old_url):
    with pytest.raises(DatabaseError, match="glide-eval study upgrade"):
        open_database(old_url)


def test_an_upgrade_keeps_every_vote_and_rater_and_voting_goes_on(old_url):
    assert upgrade_database(old_url) == (1, 4)
    study = Study.open(old_url, writable=True)
    try:
        votes = votes_frame(study)
        assert votes["rater_kind"].value_counts().to_dict() == {"simulated": 9, "person": 4}
        people = votes[votes["rater_kind"] == "person"]
        assert people["answer"].tolist() == ["left", "tie", "right", "left"]
        assert people["seconds"].tolist() == [1.5] * 4
        assert not votes["revised"].any()
        assert set(votes["gold"]) == {""}
        assert study.info.rules.votes_per_pair == 2
        assert study.info.rules.min_seconds == 0.5
        assert study.is_owner("open sesame")
        turn = study.turn(TOKEN)
        assert (turn.done, turn.total) == (3, 5)
        assert study.vote(TOKEN, turn.current.assignment, "left", 1.0) == "accepted"
        assert study.undo(TOKEN)
        assert study.progress().wanted == {"photorealism": 12, "beauty": 12}
    finally:
        study.close()


def test_upgraded_tables_are_those_a_new_study_has(old_url, run, tmp_path):
    upgrade_database(old_url)
    assert differences(old_url) == []
    assert upgrade_database(old_url) == (4, 4), "again changes nothing"


def test_a_new_studys_tables_are_those_of_the_migrations(study):
    assert differences(study.database.url) == []


def test_an_upgraded_sqlite_study_refuses_what_a_new_one_refuses(run, sqlite_url, tmp_path):
    create_study(run, sqlite_url)
    new = constraints(sqlite_url.database)
    old = tmp_path / "old.db"
    with sqlite3.connect(old) as file:
        file.executescript(OLD.read_text())
    file.close()
    upgrade_database(sqlite_url.set(database=str(old)))
    assert constraints(str(old)) == new


def test_an_upgrade_that_fails_leaves_the_study_as_it_was(tmp_path, sqlite_url):
    with sqlite3.connect(sqlite_url.database) as file:
        file.executescript(OLD.read_text())
        file.execute("CREATE TABLE undo (id INTEGER)")  # in the way of the last step
    file.close()
    with pytest.raises(DatabaseError):
        upgrade_database(sqlite_url)
    with sqlite3.connect(sqlite_url.database) as file:
        assert file.execute("SELECT version FROM schema_info").fetchone() == (1,)
        assert file.execute("SELECT votes_per_pair FROM study").fetchone() == (2,)
        assert file.execute("SELECT count(*) FROM vote").fetchone() == (13,)
    file.close()


def test_a_database_without_a_study_is_not_upgraded(tmp_path, sqlite_url):
    with pytest.raises(DatabaseError, match="There is no study"):
        upgrade_database(sqlite_url)
    assert not Path(sqlite_url.database).exists()
    with sqlite3.connect(sqlite_url.database) as file:
        file.execute("CREATE TABLE orders (id INTEGER)")
    file.close()
    with pytest.raises(DatabaseError, match="the tables orders"):
        upgrade_database(sqlite_url)


def differences(url) -> list[object]:
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = compare_metadata(context, Base.metadata)
    engine.dispose()
    return found


def constraints(path: str) -> dict[str, list[str]]:
    """The CHECK clauses of each table, whatever they are called."""
    with sqlite3.connect(path) as file:
        tables = file.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
    file.close()
    return {
        name: sorted(
            line.split("CHECK", 1)[1].strip(" ,") for line in sql.splitlines() if "CHECK" in line
        )
        for name, sql in tables
    }
