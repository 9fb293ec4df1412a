"""Copies, exports, imports, deletions: nothing is lost, and nothing stays that should go."""

from __future__ import annotations

import io
import json

import pandas as pd
import pytest

from analysis.ballots import EXPORTED
from study_app.errors import DatabaseError, StudyUsageError, UnknownRater
from study_app.making import create_from_design, create_study, import_votes
from study_app.owner import (
    delete_rater,
    live_elo,
    to_csv,
    to_jsonl,
    to_parquet,
    votes_frame,
    write_votes,
)
from study_app.rating import Study
from study_app.rules import GoldTable, RatersTable, Rules, StudyDesign
from study_app.rules.design import EntryTable, RepeatsTable
from study_app.store import back_up, database_url

PID = "5f0c7d2a9b3e4f1a2b3c4d5e"


def vote(study: Study, token: str, answers: str) -> None:
    for letter in answers:
        answer = {"l": "left", "r": "right", "t": "tie"}[letter]
        pair = study.turn(token).current
        assert study.vote(token, pair.assignment, answer, 1.25) == "accepted"


@pytest.fixture
def full_study(run, url):
    """Votes of every kind: gold, repeated, taken back; three people, one known elsewhere."""
    design = StudyDesign(
        entry=EntryTable(by="open"),
        raters=RatersTable(pairs=4),
        gold=GoldTable(per_rater=1),
        repeats=RepeatsTable(per_rater=1),
    )
    create_from_design(design, url, run=run, password="x")
    study = Study.open(url)
    for token in (study.admit({"PROLIFIC_PID": PID}), study.join(), study.join()):
        vote(study, token, "lrt")
        study.undo(token)
        vote(study, token, "rlr")
    yield study
    study.close()


def test_a_copy_made_while_votes_come_in_is_a_whole_study(full_study, tmp_path):
    target = database_url(str(tmp_path / "elsewhere" / "copy.db"))
    copied = back_up(full_study.database.url, target)
    before = votes_frame(full_study)
    assert copied.votes == len(before)
    vote(full_study, full_study.join(), "l")
    copy = Study.open(target, writable=True)
    try:
        pd.testing.assert_frame_equal(votes_frame(copy), before)
        assert copy.image_path(copy.turn(copy.join()).current.left).is_file()
        vote(copy, copy.join(), "l")
    finally:
        copy.close()


@pytest.mark.postgres
def test_a_study_moves_to_postgresql_and_goes_on_there(sqlite_study, postgres):
    vote(sqlite_study, sqlite_study.join(), "lrt")
    target = postgres.new_database()
    assert back_up(sqlite_study.database.url, target).votes == 3
    moved = Study.open(target, writable=True)
    try:
        pd.testing.assert_frame_equal(votes_frame(moved), votes_frame(sqlite_study))
        vote(moved, moved.join(), "lr")
    finally:
        moved.close()


def test_a_copy_replaces_an_older_copy_and_nothing_else(sqlite_study, tmp_path):
    target = database_url(str(tmp_path / "copy.db"))
    back_up(sqlite_study.database.url, target)
    vote(sqlite_study, sqlite_study.join(), "l")
    assert back_up(sqlite_study.database.url, target).votes == 1
    (tmp_path / "notes.db").write_text("my notes\n" * 1000)
    with pytest.raises(DatabaseError, match="not an SQLite database"):
        back_up(sqlite_study.database.url, database_url(str(tmp_path / "notes.db")))
    assert (tmp_path / "notes.db").read_text().startswith("my notes")
    with pytest.raises(DatabaseError, match="its own copy"):
        back_up(sqlite_study.database.url, sqlite_study.database.url)


def test_all_formats_hold_the_same_votes(full_study, tmp_path):
    votes = votes_frame(full_study)
    assert tuple(votes.columns) == EXPORTED
    assert votes["revised"].sum() == 3
    pd.testing.assert_frame_equal(
        pd.read_parquet(io.BytesIO(to_parquet(votes))), votes, check_dtype=False
    )
    lines = [json.loads(line) for line in to_jsonl(votes).decode().splitlines()]
    assert [line["answer"] for line in lines] == votes["answer"].tolist()
    assert [line["revised"] for line in lines] == votes["revised"].tolist()
    for name in ("csv", "parquet", "jsonl"):
        assert write_votes(full_study, tmp_path / f"votes.{name}", name) == len(votes)


def test_an_export_read_in_again_is_the_same_votes(full_study, tmp_path, run):
    write_votes(full_study, tmp_path / "votes.csv")
    url = database_url(str(tmp_path / "imported.db"))
    made = import_votes(tmp_path / "votes.csv", url, name=full_study.info.name)
    again = Study.open(url)
    try:
        assert made.votes == len(votes_frame(full_study))
        assert to_csv(votes_frame(again)) == (tmp_path / "votes.csv").read_bytes()
        assert again.state == "closed"
    finally:
        again.close()


def test_votes_made_elsewhere_are_read_by_the_names_they_have(tmp_path, url):
    path = tmp_path / "theirs.csv"
    path.write_text("A,B,choice,who\nx,y,1,ann\ny,x,2,bob\nx,y,0,ann\nx,z,-,bob\n")
    made = import_votes(
        path,
        url,
        columns={"arm_left": "A", "arm_right": "B", "answer": "choice", "rater": "who"},
        answers={"1": "left", "2": "right", "0": "tie", "-": "both_bad"},
        question="beauty",
    )
    assert (made.votes, made.raters, made.arms) == (4, 2, 3)
    study = Study.open(url)
    try:
        votes = votes_frame(study)
        assert votes["answer"].tolist() == ["left", "right", "tie", "both_bad"]
        assert live_elo(votes, "beauty", "person")["arm"].tolist()[-1] == "y"
    finally:
        study.close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("arm_left,arm_right,answer,rater,question\na,b,perhaps,r,q\n", "row 1"),
        ("arm_left,arm_right,answer,rater,question\na,a,left,r,q\n", "itself"),
        ("arm_left,arm_right,answer,rater\na,b,left,r\n", "question"),
        ("arm_left,arm_right,answer,rater,question,created_at\na,b,tie,r,q,soon\n", "ISO 8601"),
        ("", "CSV of votes"),
    ],
)
def test_a_file_that_holds_no_votes_says_what_is_wrong_and_makes_nothing(tmp_path, text, message):
    path, place = tmp_path / "bad.csv", tmp_path / "bad.db"
    path.write_text(text)
    with pytest.raises(StudyUsageError, match=message):
        import_votes(path, database_url(str(place)))


def test_a_raters_data_are_deleted_and_their_pairs_wanted_again(full_study):
    mine, wanted = full_study.admit({"PROLIFIC_PID": PID}), full_study.progress().wanted
    before = votes_frame(full_study)
    deleted = delete_rater(full_study, PID)
    assert deleted.votes == 6
    assert len(votes_frame(full_study)) == len(before) - 6
    with pytest.raises(UnknownRater):
        full_study.turn(mine)
    with pytest.raises(StudyUsageError, match="Nobody"):
        delete_rater(full_study, PID)
    while (turn := full_study.turn(token := full_study.join())).current is not None:
        while turn.current is not None:
            full_study.vote(token, turn.current.assignment, "left", 1.0)
            turn = full_study.turn(token)
    votes = votes_frame(full_study)
    plain = votes[(votes["gold"] == "") & (votes["repeat_of"] == "") & ~votes["revised"]]
    open_pairs = 2 * 2 * 2  # two others hold two pairs each, which nobody else may answer yet
    assert sum(wanted.values()) - open_pairs <= len(plain) <= sum(wanted.values())


def test_deleted_data_are_gone_from_the_files_bytes(run, sqlite_url):
    create_study(run, sqlite_url, rules=Rules(votes_per_pair=1))
    study = Study.open(sqlite_url)
    token = study.join()
    vote(study, token, "lr")
    rater = votes_frame(study)["rater"].iloc[0]
    delete_rater(study, rater)
    files = [path.read_bytes() for path in run.root.glob("study.db*")]
    study.close()
    assert not any(rater.encode() in content for content in files)


def test_votes_can_be_kept_without_anything_that_leads_to_their_rater(full_study):
    mine, before = full_study.admit({"PROLIFIC_PID": PID}), votes_frame(full_study)
    assert delete_rater(full_study, PID, keep_votes=True).kept
    after = votes_frame(full_study)
    assert after["answer"].tolist() == before["answer"].tolist()
    assert before["rater"].iloc[0] not in set(after["rater"])
    with pytest.raises(UnknownRater):
        full_study.turn(mine)
    assert full_study.turn(full_study.admit({"PROLIFIC_PID": PID})).done == 0
