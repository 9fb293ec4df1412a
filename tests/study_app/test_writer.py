from __future__ import annotations

import sqlite3
import threading

import pytest
from sqlalchemy import event, func, insert, select

from study_app.errors import DatabaseError
from study_app.rating import Study, utc_now
from study_app.store import RaterRow, new_token, open_database
from study_app.store.limits import GROUP


def add_rater(session) -> None:
    values = {"public_id": new_token(), "token_hash": new_token(), "kind": "person"}
    session.execute(insert(RaterRow), values | {"share": 1, "joined_at": utc_now()})


def test_work_that_fails_in_a_group_takes_nobody_else_along(study):
    writer = study.database.writer
    gate, entered = threading.Event(), threading.Event()
    outcomes: list[str] = []

    def hold(_session) -> None:
        entered.set()
        gate.wait(10)

    def fail(session) -> None:
        add_rater(session)
        raise ValueError("not this one")

    def attempt(work) -> None:
        try:
            writer.run(work)
            outcomes.append("stored")
        except ValueError:
            outcomes.append("failed")

    holder = threading.Thread(target=attempt, args=(hold,))
    holder.start()
    entered.wait(10)
    # all of these queue up behind it, more than one group of them
    works = [fail if number % 3 == 0 else add_rater for number in range(GROUP + 10)]
    threads = [threading.Thread(target=attempt, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in [holder, *threads]:
        thread.join()
    added = works.count(add_rater)
    assert outcomes.count("stored") == added + 1
    assert outcomes.count("failed") == works.count(fail)
    with study.database.reading() as session:
        assert session.scalar(select(func.count(RaterRow.id))) == added


def test_a_group_that_finds_the_database_locked_is_told_at_once_not_one_by_one(sqlite_study):
    path = str(sqlite_study.database.url.database)
    hasty = Study(open_database(sqlite_study.database.url, busy_seconds=0.3))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    failed: list[Exception] = []

    def join() -> None:
        try:
            hasty.join()
        except DatabaseError as error:
            failed.append(error)

    begins: list[object] = []
    event.listen(hasty.database.engine, "begin", begins.append)
    threads = [threading.Thread(target=join) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    holder.close()
    hasty.join()
    hasty.close()
    assert len(failed) == 30
    assert len(begins) < 10, "groups, not thirty waits one after the other"


def test_a_result_is_only_told_after_others_can_read_it(study):
    def work(session) -> str:
        add_rater(session)
        return "done"

    assert study.database.writer.run(work) == "done"
    with study.database.reading() as session:
        assert session.scalar(select(func.count(RaterRow.id))) == 1


def test_closing_finishes_what_was_asked_for(study):
    for _ in range(5):
        study.database.writer.run(add_rater)
    study.close()
    with study.database.reading() as session:
        assert session.scalar(select(func.count(RaterRow.id))) == 5


def test_sqlite_keeps_a_committed_vote_through_a_power_cut(sqlite_study):
    with sqlite_study.database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_an_error_of_the_work_reaches_who_asked(study):
    with pytest.raises(ZeroDivisionError):
        study.database.writer.run(lambda _session: 1 / 0)
