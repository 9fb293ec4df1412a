"""What a browser says of an answer is bounded by what the server saw."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from study_app.making import create_study
from study_app.owner import look_at, votes_frame
from study_app.rating import Study
from study_app.rules import Ballot, Rules
from study_app.store import OwnerRepository


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = datetime(2026, 5, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def study(run, url, clock):
    create_study(run, url, rules=Rules(2, 12, 0.6))
    study = Study.open(url, clock)
    yield study
    study.close()


def cast(study: Study, token: str, seconds: float | None) -> str:
    pair = study.turn(token).current
    ballot = Ballot(pair.assignment, "left", seconds, again=pair.again)
    return study.cast(token, ballot)[0]


def implausible(study: Study) -> list[int]:
    with study.database.reading() as session:
        return [row.implausible for row in OwnerRepository(session).raters()]


def test_a_script_that_claims_more_time_than_passed_is_stored_with_the_servers(study, clock):
    token = study.join()
    study.turn(token)
    for _ in range(3):
        clock.wait(0.4)
        assert cast(study, token, 4.2) == "accepted"
    assert votes_frame(study)["seconds"].round(6).tolist() == [0.4] * 3
    assert implausible(study) == [3]
    (row,) = look_at(study).raters.to_dict("records")
    assert (row["answered"], row["implausible"]) == (3, 3), "the owner's table tells"


def test_a_persons_times_are_stored_as_measured_and_nothing_is_held_against_them(study, clock):
    token = study.join()
    study.turn(token)
    for claimed, passed in ((1.5, 1.7), (3.0, 2.9), (None, 60.0), (2.0, 86_400.0)):
        clock.wait(passed)
        assert cast(study, token, claimed) == "accepted"
    seconds = votes_frame(study)["seconds"].round(6)
    assert seconds.dropna().tolist() == [1.5, 2.9, 2.0]
    assert seconds.isna().sum() == 1, "after a reload nobody knows"
    assert implausible(study) == [0]


def test_the_time_that_bounds_a_claim_survives_a_restart(study, clock, url):
    token = study.join()
    study.turn(token)
    clock.wait(1.0)
    assert cast(study, token, 1.0) == "accepted"
    again = Study.open(url, clock)
    try:
        clock.wait(0.4)
        assert cast(again, token, 5.0) == "accepted"
    finally:
        again.close()
    assert votes_frame(study)["seconds"].round(6).tolist() == [1.0, 0.4]


def test_a_clock_that_is_set_back_refuses_nothing_and_bounds_nothing(study, clock):
    token = study.join()
    study.turn(token)
    clock.wait(-3600)
    assert cast(study, token, 2.0) == "accepted"
    assert votes_frame(study)["seconds"].tolist() == [2.0]
    assert implausible(study) == [0]


def test_an_answer_at_a_pace_that_no_page_has_is_refused(study, clock):
    token = study.join()
    study.turn(token)
    clock.wait(0.2)
    assert cast(study, token, 2.0) == "too_early"
    assert votes_frame(study).empty


def test_a_pair_that_is_not_on_the_raters_page_yet_cannot_be_answered(study, clock):
    token = study.join()
    turn = study.turn(token)
    clock.wait(2.0)
    ahead = Ballot(turn.upcoming.assignment, "left", 1.0, again=False)
    assert study.cast(token, ahead) == ("not_shown", None)
    assert study.turn(token) == turn
    assert cast(study, token, 1.0) == "accepted"
    clock.wait(2.0)
    assert study.cast(token, ahead)[0] == "accepted", "in its turn it can"


def test_a_late_duplicate_of_an_answer_taken_back_is_no_new_answer(study, clock):
    token = study.join()
    pair = study.turn(token).current
    clock.wait(2.0)
    late = Ballot(pair.assignment, "left", 1.0, again=False)
    assert study.cast(token, late)[0] == "accepted"
    assert study.undo(token, done=1)
    clock.wait(2.0)
    assert study.cast(token, late)[0] == "repeated"
    assert study.turn(token).current.again, "it still waits for its second answer"


def test_a_late_duplicate_of_an_undo_takes_nothing_more_back(study, clock):
    token = study.join()
    for _ in range(2):
        study.turn(token)
        clock.wait(2.0)
        cast(study, token, 1.0)
    assert not study.undo(token, done=1)
    assert study.undo(token, done=2)
    assert not study.undo(token, done=2)
    assert study.turn(token).done == 1


def test_a_stranger_let_in_twice_by_one_page_is_one_rater(study):
    visit = "5a" * 16
    assert study.admit({}, visit) == study.admit({}, visit)
    assert study.admit({}, "5b" * 16) != study.admit({}, visit)
    assert study.progress().raters == {"person": 2}
