"""The rater's way through services and storage, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from study_app.errors import StudyUsageError, UnknownRater
from study_app.making import create_from_design, create_study
from study_app.owner import votes_frame
from study_app.rating import Study
from study_app.rules import GoldTable, RatersTable, Rules, StudyDesign, VotesTable
from study_app.rules.design import RepeatsTable
from study_app.store import AssignmentRow, VoteRow


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 5, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def answer_all(study: Study, token: str, answer: str = "left") -> int:
    """Vote until there is nothing left; how many votes that were."""
    votes = 0
    while (turn := study.turn(token)).current is not None:
        assert study.vote(token, turn.current.assignment, answer, 1.0) == "accepted"
        votes += 1
    return votes


def test_a_rater_answers_their_share_and_is_done(study):
    token = study.join()
    assert answer_all(study, token) == 8
    turn = study.turn(token)
    assert (turn.current, turn.upcoming, turn.done, turn.total) == (None, None, 8, 8)
    assert len(votes_frame(study)) == 8


def test_a_returning_rater_meets_the_same_pair_and_the_next_is_known_ahead(study):
    token = study.join()
    first = study.turn(token)
    assert first == study.turn(token), "a reload changes nothing"
    again = Study(study.database)
    assert first == again.turn(token), "nor does a restarted server"
    study.vote(token, first.current.assignment, "tie", 2.0)
    assert study.turn(token).current == first.upcoming


def test_what_comes_next_is_told_with_the_vote_as_it_is_read_afterwards(run, url):
    rules = Rules(pairs_per_rater=7, min_seconds=0.5, break_every=3)
    create_study(run, url, rules=rules, password="x")
    study = Study.open(url)
    try:
        token = study.join()
        turn, stages = study.turn(token), Counter()
        undone = False
        while turn.stage != "done":
            stages[turn.stage] += 1
            if turn.stage == "break":
                study.rested(token)
                turn = study.turn(token)
                continue
            early = study.vote_and_turn(token, turn.current.assignment, "tie", 0.1)
            assert early == ("too_early", None)
            outcome, turn = study.vote_and_turn(token, turn.current.assignment, "left", 1.0)
            assert outcome == "accepted"
            assert turn == study.turn(token)
            if turn.done == 5 and not undone:
                undone = study.undo(token)
                turn = study.turn(token)
        assert stages == {"pairs": 8, "break": 2}, "seven answers, one of them given anew"
    finally:
        study.close()


def test_an_adaptive_study_with_gold_and_repeats_goes_on_each_kind_of_database(run, url):
    design = StudyDesign(
        votes=VotesTable(scheduling="adaptive"),
        gold=GoldTable(per_rater=2),
        repeats=RepeatsTable(per_rater=1),
        raters=RatersTable(pairs=24),
    )
    create_from_design(design, url, run=run, password="x")
    study = Study.open(url)
    try:
        assert [answer_all(study, study.join()) for _ in range(2)] == [27, 27]
        votes = votes_frame(study)
        assert votes["gold"].ne("").groupby(votes["rater"]).sum().tolist() == [2, 2]
        assert votes["repeat_of"].ne("").groupby(votes["rater"]).sum().tolist() == [1, 1]
    finally:
        study.close()


def test_a_vote_during_a_pause_counts_and_hands_out_nothing(study):
    token = study.join()
    pair = study.turn(token).current
    study.pause()
    outcome, turn = study.vote_and_turn(token, pair.assignment, "left", 1.0)
    assert (outcome, turn.stage, turn.current, turn.upcoming) == ("accepted", "paused", None, None)
    with study.database.reading() as session:
        assert len(session.scalars(select(AssignmentRow.id)).all()) == 2
    study.resume()
    turn = study.turn(token)
    assert turn.done == 1
    assert None not in (turn.current, turn.upcoming)


def test_an_assignment_counts_once_and_its_first_answer_stands(study):
    token = study.join()
    pair = study.turn(token).current
    assert study.vote(token, pair.assignment, "left", 1.5) == "accepted"
    assert study.vote(token, pair.assignment, "right", 1.6) == "repeated"
    votes = votes_frame(study)
    assert votes["answer"].tolist() == ["left"]
    assert votes["seconds"].tolist() == [1.5]


def test_the_database_itself_refuses_a_second_vote(study):
    token = study.join()
    pair = study.turn(token).current
    study.vote(token, pair.assignment, "left", 1.0)

    def vote_again(session):
        same = session.scalars(
            select(AssignmentRow.id).where(AssignmentRow.uid == pair.assignment)
        ).one()
        values = {"assignment_id": same, "answer": "left", "created_at": datetime.now(UTC)}
        session.execute(insert(VoteRow), values)

    with pytest.raises(IntegrityError):
        study.database.writer.run(vote_again)
    assert len(votes_frame(study)) == 1


def test_a_click_before_the_pair_was_seen_stores_nothing(study):
    token = study.join()
    pair = study.turn(token).current
    assert study.vote(token, pair.assignment, "left", 0.1) == "too_early"
    assert votes_frame(study).empty
    assert study.turn(token).current == pair


def test_votes_need_a_known_rater_their_own_pair_and_a_real_answer(study):
    token, other = study.join(), study.join()
    pair = study.turn(token).current
    with pytest.raises(UnknownRater):
        study.turn("0" * 32)
    with pytest.raises(UnknownRater):
        study.vote(other, pair.assignment, "left", 1.0)
    with pytest.raises(StudyUsageError):
        study.vote(token, pair.assignment, "left' OR 1=1 --", 1.0)
    assert votes_frame(study).empty


def test_what_a_rater_is_shown_tells_no_arm(study):
    shown = repr(study.turn(study.join()))
    assert not [arm for arm in study.info.arms if arm in shown]


def test_each_pair_gets_exactly_the_votes_asked_for(study):
    wanted = study.progress().wanted
    while True:
        token = study.join()
        if not answer_all(study, token):
            break
    votes = votes_frame(study)
    sides = [frozenset(arms) for arms in zip(votes["arm_left"], votes["arm_right"], strict=True)]
    each = Counter(zip(votes["question"], votes["prompt_id"], sides, strict=True))
    assert set(each.values()) == {2}
    assert votes["question"].value_counts().to_dict() == wanted
    # both votes of a pair saw it in both orders, so every arm stood as often left as right
    assert Counter(votes["arm_left"]) == Counter(votes["arm_right"])
    assert not votes.duplicated(["rater", "question", "prompt_id", "arm_left", "arm_right"]).any()


def test_a_pair_abandoned_goes_to_another_and_a_late_answer_is_not_one_too_many(run, url):
    create_study(run, url, pairs_per_question=1, rules=Rules(votes_per_pair=1))
    clock = Clock()
    study = Study.open(url, clock)
    try:
        gone, patient = study.join(), study.join()
        left_open = study.turn(gone)
        assert study.turn(patient).current is None, "both pairs are out with the first rater"
        clock.now += timedelta(minutes=RatersTable().lease_minutes, seconds=1)
        assert answer_all(study, patient) == 2
        assert study.vote(gone, left_open.current.assignment, "right", None) == "lapsed"
        assert study.turn(gone).stage == "done"
        assert len(votes_frame(study)) == 2
    finally:
        study.close()


def test_a_late_answer_counts_while_nobody_else_has_the_pair(run, url):
    create_study(run, url, pairs_per_question=2, rules=Rules(votes_per_pair=1))
    clock = Clock()
    study = Study.open(url, clock)
    try:
        gone = [study.join(), study.join()]
        seen = [(token, study.turn(token)) for token in gone]
        clock.now += timedelta(minutes=RatersTable().lease_minutes, seconds=1)
        patient = study.join()
        assert study.turn(patient).upcoming is not None, "two of the four pairs, called in"
        outcomes = [
            study.vote(token, pair.assignment, "tie", None)
            for token, turn in seen
            for pair in (turn.current, turn.upcoming)
        ]
        assert sorted(outcomes) == ["accepted", "accepted", "lapsed", "lapsed"]
        assert answer_all(study, patient) == 2
        votes = votes_frame(study)
        assert not votes.duplicated(["question", "prompt_id"]).any()
        assert len(votes) == 4
    finally:
        study.close()


def test_many_raters_at_once_lose_and_double_nothing(study):
    tokens = [study.join() for _ in range(12)]
    outcomes: Counter[str] = Counter()
    errors: list[BaseException] = []
    lock = threading.Lock()

    def rate(token: str) -> None:
        try:
            while (turn := study.turn(token)).current is not None:
                for answer in ("left", "right"):  # a double click, on both sides
                    outcome = study.vote(token, turn.current.assignment, answer, 1.0)
                    with lock:
                        outcomes[outcome] += 1
        except BaseException as error:
            errors.append(error)

    # two windows a rater: the same assignments answered from two threads
    threads = [threading.Thread(target=rate, args=(token,)) for token in tokens * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    votes = votes_frame(study)
    assert len(votes) == outcomes["accepted"] == 12 * 8
    assert votes["assignment"].is_unique
    assert votes["rater"].value_counts().eq(8).all()


def test_the_owner_is_known_by_password_only(study):
    assert study.is_owner("open sesame")
    assert not study.is_owner("open Sesame")
    assert "sesame" not in study.info.password_hash
