"""A study's file that is carried home: whole, or it says what is missing."""

from __future__ import annotations

import shutil
import signal

import pytest
from click.testing import CliRunner

from study_app.commands.study import command
from study_app.owner import votes_frame
from study_app.rating import Study
from study_app.store import back_up, database_url

SAID = "the last votes may be missing"


def vote(study: Study, times: int) -> None:
    token = study.join()
    for _ in range(times):
        pair = study.turn(token).current
        assert study.vote(token, pair.assignment, "left", 1.0) == "accepted"


def status(path) -> str:
    found = CliRunner().invoke(command, ["status", "--db", str(path)])
    assert found.exit_code == 0
    return " ".join(found.output.split())


@pytest.fixture
def voting(sqlite_study):
    """The study, as a server has it open."""
    study = Study.open(sqlite_study.database.url, writable=True)
    sqlite_study.close()
    yield study
    study.close()


@pytest.fixture
def path(voting):
    return voting.info.image_root.parent / "study.db"


def copied(path, folder, *, log: bool):
    folder.mkdir()
    shutil.copy(path, folder)
    if log:
        shutil.copy(f"{path}-wal", folder)
    return folder / path.name


def test_a_copy_without_the_last_votes_says_so(voting, path, tmp_path):
    vote(voting, 5)
    home = copied(path, tmp_path / "home", log=False)
    assert SAID in status(home)
    assert SAID in status(home), "and again"


def test_a_copy_with_its_log_is_whole_and_says_nothing(voting, path, tmp_path):
    vote(voting, 5)
    home = copied(path, tmp_path / "home", log=True)
    told = status(home)
    assert SAID not in told
    assert "5 of" in told
    assert SAID not in status(home), "the log is in the file by now"


def test_a_file_that_was_closed_is_whole_by_itself(voting, path, tmp_path):
    vote(voting, 5)
    voting.close()
    told = status(copied(path, tmp_path / "home", log=False))
    assert SAID not in told
    assert "5 of" in told


def test_looking_at_a_study_that_is_served_does_not_make_its_file_look_whole(
    voting, path, tmp_path
):
    vote(voting, 2)
    assert SAID not in status(path)
    CliRunner().invoke(command, ["pause", "--db", str(path)])
    CliRunner().invoke(command, ["resume", "--db", str(path)])
    vote(voting, 2)
    assert SAID in status(copied(path, tmp_path / "home", log=False))


def test_closing_a_study_that_is_served_puts_every_vote_into_the_file(voting, path, tmp_path):
    vote(voting, 5)
    CliRunner().invoke(command, ["close", "--db", str(path)])
    assert "5 of" in status(copied(path, tmp_path / "home", log=False))


def test_a_backup_of_a_study_that_is_served_is_whole(voting, path, tmp_path):
    vote(voting, 5)
    back_up(voting.database.url, database_url(str(tmp_path / "backup.db")))
    told = status(tmp_path / "backup.db")
    assert SAID not in told
    assert "5 of" in told


def test_after_a_crash_nothing_is_missing_and_nothing_is_said(sqlite_study, serving, run, tmp_path):
    url = sqlite_study.database.url
    server = serving(url)
    vote(sqlite_study, 5)
    sqlite_study.close()
    server.end(signal.SIGKILL)
    assert run.study_path.with_name("study.db-wal").exists()
    for _ in range(2):
        assert SAID not in status(run.study_path)
    home = Study.open(database_url(str(copied(run.study_path, tmp_path / "home", log=False))))
    assert len(votes_frame(home)) == 5
    assert home.database.warning == ""
    home.close()


def test_a_copy_that_is_served_once_is_a_study_like_any_other(voting, path, tmp_path):
    vote(voting, 5)
    home = copied(path, tmp_path / "home", log=False)
    served = Study.open(database_url(str(home)), writable=True)
    assert SAID in served.database.warning
    served.close()
    assert SAID not in status(home)
