"""The stages of a rater's way, taking answers back, entry by link, on both databases."""

from __future__ import annotations

import pytest

from study_app.errors import EntryRefused, StudyError, StudyUsageError, UnknownRater
from study_app.making import create_from_design
from study_app.owner import votes_frame
from study_app.rating import Study
from study_app.rules import (
    MTurkTask,
    RatersTable,
    RaterState,
    Stages,
    StudyDesign,
    VotesTable,
    mturk_task,
    stage_of,
)
from study_app.rules.design import EntryTable, PagesTable
from study_app.store import database_url

PID = "5f0c7d2a9b3e4f1a2b3c4d5e"


@pytest.fixture
def open_study(run, url):
    """Makes a study of a design and opens it; closed at the end."""
    opened = []

    def make(**tables) -> Study:
        create_from_design(StudyDesign(**tables), url, run=run, password="x")
        opened.append(Study.open(url))
        return opened[-1]

    yield make
    for study in opened:
        study.close()


def vote(study: Study, token: str, answer: str = "left") -> str:
    pair = study.turn(token).current
    assert study.vote(token, pair.assignment, answer, 1.0) == "accepted"
    return pair.assignment


def test_the_stage_follows_from_what_is_stored():
    stages = Stages(consent=True, instructions=True, practice=2, break_every=5)
    new = RaterState(False, False, 0, 0, 0)
    assert stage_of(new, stages, "open") == "consent"
    assert stage_of(RaterState(True, False, 0, 0, 0), stages, "open") == "instructions"
    assert stage_of(RaterState(True, True, 1, 0, 0), stages, "open") == "practice"
    assert stage_of(RaterState(True, True, 2, 0, 4), stages, "open") == "pairs"
    assert stage_of(RaterState(True, True, 2, 0, 5), stages, "open") == "break"
    assert stage_of(RaterState(True, True, 2, 5, 9), stages, "open") == "pairs"
    assert stage_of(new, stages, "paused") == "paused"
    assert stage_of(new, Stages(), "open") == "pairs"


def test_a_rater_agrees_reads_rates_and_rests_and_a_restart_changes_nothing(open_study):
    study = open_study(
        pages=PagesTable(consent="I agree.", instructions="Look closely."),
        raters=RatersTable(pairs=4, break_every=2),
    )
    token = study.join()
    assert study.turn(token).stage == "consent"
    study.agree(token)
    assert Study(study.database).turn(token).stage == "instructions"
    study.instructed(token)
    for _ in range(2):
        vote(study, token)
    resting = Study(study.database).turn(token)
    assert (resting.stage, resting.current, resting.done) == ("break", None, 2)
    study.rested(token)
    assert study.turn(token).current == resting.upcoming
    for _ in range(2):
        vote(study, token)
    assert study.turn(token).stage == "done", "no break after the last pair"


def test_the_last_answer_can_be_taken_back_once_and_both_answers_are_kept(study):
    token = study.join()
    assert not study.undo(token), "of nothing"
    first, second = vote(study, token, "left"), vote(study, token, "left")
    after = study.turn(token)
    assert after.can_undo
    assert study.undo(token)
    again = study.turn(token)
    assert (again.current.assignment, again.current.again) == (second, True)
    assert again.upcoming == after.current
    assert (again.done, again.can_undo) == (1, False)
    assert not study.undo(token), "of an undo"
    assert vote(study, token, "right") == second
    assert study.turn(token).current == after.current
    assert not study.undo(token), "twice for one pair"
    votes = votes_frame(study)
    assert votes["assignment"].tolist() == [first, second, second]
    assert votes["answer"].tolist() == ["left", "left", "right"]
    assert votes["revised"].tolist() == [False, True, False]


def test_a_revision_has_one_answer_however_often_it_is_clicked(study):
    token = study.join()
    pair = vote(study, token, "left")
    assert study.vote(token, pair, "right", 1.0) == "repeated"
    study.undo(token)
    assert study.vote(token, pair, "right", 1.0) == "accepted"
    assert study.vote(token, pair, "left", 1.0) == "repeated"
    assert votes_frame(study)["answer"].tolist() == ["left", "right"]


def test_both_bad_is_an_answer_only_where_it_is_offered(study):
    token = study.join()
    with pytest.raises(StudyUsageError, match="left, right, tie"):
        study.vote(token, study.turn(token).current.assignment, "both_bad", 1.0)


def test_both_bad_is_stored_where_it_is_offered(open_study):
    study = open_study(votes=VotesTable(extra_answers=["both_bad"]))
    token = study.join()
    assert study.turn(token).current.answers == ("left", "right", "tie", "both_bad")
    vote(study, token, "both_bad")
    assert votes_frame(study)["answer"].tolist() == ["both_bad"]


def test_a_paused_study_keeps_answers_to_pairs_already_shown_and_hands_out_none(study):
    token = study.join()
    pair = study.turn(token).current
    study.pause()
    assert (study.turn(token).stage, study.turn(token).current) == ("paused", None)
    assert study.vote(token, pair.assignment, "left", 1.0) == "accepted"
    study.resume()
    assert study.turn(token).done == 1


def test_a_closed_study_takes_no_vote_and_stays_closed(study):
    token = study.join()
    pair = study.turn(token).current
    study.close_voting()
    assert study.vote(token, pair.assignment, "left", 1.0) == "closed"
    assert study.turn(token).stage == "closed"
    with pytest.raises(EntryRefused) as refused:
        study.admit({})
    assert refused.value.reason == "closed"
    with pytest.raises(StudyUsageError, match="fork"):
        study.resume()
    assert votes_frame(study).empty


def test_the_same_person_gets_the_same_place_on_every_device(open_study):
    study = open_study(entry=EntryTable(by="prolific"))
    link = {"PROLIFIC_PID": PID, "STUDY_ID": "s", "SESSION_ID": "1"}
    token = study.admit(link)
    vote(study, token)
    elsewhere = Study(study.database).admit(link | {"SESSION_ID": "2"})
    assert study.turn(elsewhere) == study.turn(token)
    assert study.turn(study.admit(link | {"PROLIFIC_PID": PID[::-1]})).done == 0
    assert study.progress().raters == {"person": 2}


@pytest.mark.parametrize(
    ("by", "parameters", "reason"),
    [
        ("prolific", {}, "missing"),
        ("prolific", {"PROLIFIC_PID": "{{%PROLIFIC_PID%}}"}, "forged"),
        ("prolific", {"PROLIFIC_PID": PID, "STUDY_ID": "another"}, "forged"),
        ("prolific", {"PROLIFIC_PID": "x" * 100_000, "STUDY_ID": "mine"}, "forged"),
        ("mturk", {"assignmentId": "ASSIGNMENT_ID_NOT_AVAILABLE", "hitId": "H"}, "preview"),
        ("mturk", {"workerId": "'; DROP TABLE vote; --"}, "forged"),
        ("invite", {}, "missing"),
        ("invite", {"invite": "0" * 32}, "forged"),
        ("invite", {"invite": "\x00' OR 1=1 --"}, "forged"),
    ],
)
def test_a_link_that_leads_nowhere_says_why(open_study, by, parameters, reason):
    study = open_study(entry=EntryTable(by=by, study_id="mine" if by == "prolific" else None))
    with pytest.raises(EntryRefused) as refused:
        study.admit(parameters)
    assert refused.value.reason == reason
    assert len(str(refused.value)) < 300, "what was sent is not sent back"
    assert study.progress().raters == {}


@pytest.mark.parametrize(
    ("parameters", "task"),
    [
        (
            {"assignmentId": "3ABCDEFGH", "turkSubmitTo": "https://workersandbox.mturk.com/"},
            MTurkTask("3ABCDEFGH", "https://workersandbox.mturk.com/mturk/externalSubmit"),
        ),
        ({"assignmentId": "3ABCDEFGH"}, None),
        ({"assignmentId": "3ABCDEFGH", "turkSubmitTo": "https://www.mturk.com.evil.net"}, None),
        ({"assignmentId": "3ABCDEFGH", "turkSubmitTo": "https://["}, None),
        ({"assignmentId": "3AB'><b>", "turkSubmitTo": "https://www.mturk.com"}, None),
        ({"assignmentId": "3A" * 10_000, "turkSubmitTo": "https://www.mturk.com"}, None),
    ],
)
def test_a_task_is_handed_in_to_mechanical_turk_and_nobody_else(parameters, task):
    assert mturk_task(parameters) == task


@pytest.mark.parametrize(
    "token", ["", "x" * 1_000_000, "' OR 1=1 --", "\x00", "\ud800", "0" * 32, "../../etc/passwd"]
)
def test_a_hostile_token_is_an_unknown_rater(study, token):
    known = study.join()
    for attempt in (
        lambda: study.turn(token),
        lambda: study.undo(token),
        lambda: study.agree(token),
        lambda: study.vote(known, token, "left", 1.0),
        lambda: study.practise(known, token, "left"),
    ):
        with pytest.raises(UnknownRater):
            attempt()


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -3.0, 1e9])
def test_a_time_no_clock_can_have_measured_is_stored_as_unknown(study, seconds):
    token = study.join()
    pair = study.turn(token).current
    assert study.vote(token, pair.assignment, "left", seconds) == "accepted"
    assert votes_frame(study)["seconds"].isna().all()


def test_a_hostile_reason_sets_a_pair_aside_and_harms_nothing(study):
    token = study.join()
    first = study.turn(token)
    reason = "\x00'; DROP TABLE vote; --\ud800" + "x" * 100_000
    study.set_aside(token, first.current.assignment, reason)
    assert study.turn(token).current == first.upcoming


def test_two_devices_of_one_person_answer_each_pair_once(open_study):
    study = open_study(entry=EntryTable(by="prolific"))
    phone = study.admit({"PROLIFIC_PID": PID})
    laptop = Study(study.database).admit({"PROLIFIC_PID": PID})
    pair = study.turn(phone).current
    assert study.turn(laptop).current == pair
    assert study.vote(phone, pair.assignment, "left", 1.0) == "accepted"
    assert study.vote(laptop, pair.assignment, "right", 1.0) == "repeated"
    assert votes_frame(study)["answer"].tolist() == ["left"]


def test_an_outside_id_is_nowhere_in_the_database(run, sqlite_url):
    create_from_design(StudyDesign(), sqlite_url, run=run, password="x")
    study = Study.open(sqlite_url)
    study.admit({"PROLIFIC_PID": PID, "SESSION_ID": "5e55105e55105e55105e5510"})
    study.close()
    content = b"".join(path.read_bytes() for path in run.root.glob("study.db*"))
    assert PID.encode() not in content
    assert b"5e55105e55105e55105e5510" not in content


def test_a_secret_kept_outside_is_needed_to_recognise_people(run, sqlite_url, monkeypatch):
    monkeypatch.setenv("GLIDE_EVAL_STUDY_SECRET", "a secret of more than sixteen letters")
    create_from_design(StudyDesign(), sqlite_url, run=run, password="x")
    study = Study.open(sqlite_url)
    token = study.admit({"PROLIFIC_PID": PID})
    study.close()
    assert b"sixteen letters" not in run.study_path.read_bytes()
    again = Study.open(sqlite_url)
    assert again.admit({"PROLIFIC_PID": PID}) == token
    again.close()
    monkeypatch.setenv("GLIDE_EVAL_STUDY_SECRET", "another secret of more than sixteen")
    other = Study.open(sqlite_url)
    with pytest.raises(StudyError, match="found another one"):
        other.admit({"PROLIFIC_PID": PID})
    other.close()
    monkeypatch.setenv("GLIDE_EVAL_STUDY_SECRET", "short")
    with pytest.raises(StudyUsageError, match="at least 16"):
        create_from_design(StudyDesign(), database_url(str(run.root / "other.db")), run=run)
    assert not (run.root / "other.db").exists()
