"""Databases that are missing, locked, foreign or out of reach: one paragraph, nothing touched."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy import URL, event

from study_app.errors import DatabaseError, StudyUsageError
from study_app.making import create_study
from study_app.rating import Study
from study_app.store import database_url, open_database
from study_app.store.orm import SCHEMA_VERSION
from tests.study_app.conftest import free_port


def one_paragraph(error: pytest.ExceptionInfo[Exception]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


def test_a_missing_study_names_the_command_that_makes_one(tmp_path):
    url = database_url(str(tmp_path / "none.db"))
    with pytest.raises(DatabaseError) as error:
        open_database(url)
    assert "glide-eval study create RUN" in one_paragraph(error)
    assert not (tmp_path / "none.db").exists(), "looking must not create it"


def test_a_file_that_is_no_database_is_left_as_it_was(tmp_path, run):
    path = tmp_path / "notes.db"
    path.write_text("my notes, which are not a database at all\n" * 100)
    before = path.read_bytes()
    for attempt in (open_database, lambda url: create_study(run, url)):
        with pytest.raises(DatabaseError) as error:
            attempt(database_url(str(path)))
        assert "not an SQLite database" in one_paragraph(error)
    assert path.read_bytes() == before


def test_a_database_of_something_else_is_refused_by_what_it_holds(tmp_path, run):
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
    connection.close()
    for attempt in (open_database, lambda url: create_study(run, url)):
        with pytest.raises(DatabaseError) as error:
            attempt(database_url(str(path)))
        assert "the tables orders" in one_paragraph(error)


def test_a_study_of_another_schema_version_says_both_versions(study):
    study.database.writer.run(
        lambda session: session.connection().exec_driver_sql("UPDATE schema_info SET version = 7")
    )
    with pytest.raises(DatabaseError) as error:
        open_database(study.database.url)
    assert "schema version 7" in one_paragraph(error)
    assert f"schema version {SCHEMA_VERSION}" in str(error.value)


def test_a_second_study_never_overwrites_the_first(study, run):
    token = study.join()
    study.vote(token, study.turn(token).current.assignment, "left", 1.0)
    with pytest.raises(DatabaseError, match="holds a study already"):
        create_study(run, study.database.url)
    assert study.turn(token).done == 1


def test_a_locked_database_says_so_after_waiting(sqlite_study):
    holder = sqlite3.connect(str(sqlite_study.database.url.database), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(DatabaseError) as error:
            open_database(sqlite_study.database.url, busy_seconds=0.05, writable=True)
        assert "locked by another program" in one_paragraph(error)
    finally:
        holder.close()
    open_database(sqlite_study.database.url, writable=True).close()


def test_a_vote_while_the_database_is_locked_is_refused_and_can_be_cast_later(sqlite_study):
    patient = sqlite_study
    token = patient.join()
    pair = patient.turn(token).current
    hasty = Study(open_database(patient.database.url, busy_seconds=0.05))
    holder = sqlite3.connect(str(patient.database.url.database), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseError):
        hasty.vote(token, pair.assignment, "left", 1.0)
    holder.close()
    assert hasty.vote(token, pair.assignment, "left", 1.0) == "accepted"
    hasty.close()


def test_a_full_disk_loses_no_accepted_vote(sqlite_study):
    token = sqlite_study.join()
    sqlite_study.vote(token, sqlite_study.turn(token).current.assignment, "left", 1.0)
    event.listen(
        sqlite_study.database.engine,
        "connect",
        # as many pages as there are now: nothing can be added, as on a full disk
        lambda connection, _record: connection.execute("PRAGMA max_page_count = 1"),
    )
    sqlite_study.database.engine.dispose()

    def fill() -> None:
        for _ in range(2000):
            sqlite_study.join()

    with pytest.raises(DatabaseError) as error:
        fill()
    assert "Every vote accepted so far is kept" in one_paragraph(error)
    assert sqlite_study.turn(token).done == 1


@pytest.mark.postgres
def test_a_server_out_of_reach_is_told_without_the_password():
    url = database_url(f"postgresql://rater:hunter2@127.0.0.1:{free_port()}/study")
    with pytest.raises(DatabaseError) as error:
        open_database(url, busy_seconds=1)
    assert "hunter2" not in one_paragraph(error)
    assert "can't be used" in str(error.value)


@pytest.mark.postgres
def test_a_server_without_the_database_says_which(postgres):
    url = database_url(postgres.server_url).set(database="nowhere")
    with pytest.raises(DatabaseError, match='"nowhere" does not exist'):
        open_database(url)


def test_paths_and_urls_both_name_databases(tmp_path):
    assert database_url(str(tmp_path / "a.db")) == URL.create(
        "sqlite", database=str(tmp_path / "a.db")
    )
    assert database_url(f"sqlite:///{tmp_path}/a.db") == database_url(str(tmp_path / "a.db"))
    assert database_url("postgresql://h/d").drivername == "postgresql+psycopg"


@pytest.mark.parametrize("text", ["mysql://h/d", "sqlite://", "postgresql://h:port/d", "://"])
def test_other_urls_are_wrong_usage_and_their_password_is_not_repeated(text):
    with pytest.raises(StudyUsageError, match=r"postgresql://USER:PASSWORD@HOST"):
        database_url(text)
