"""Votes read again and again: each time the whole table, though only what is new is fetched."""

from __future__ import annotations

import pandas as pd
import pytest
from sqlalchemy import event, update

from study_app.owner import delete_rater, votes_frame
from study_app.rating import Study
from study_app.store import VoteRow


def vote(study: Study, token: str, answer: str = "left") -> None:
    study.vote(token, study.turn(token).current.assignment, answer, 1.0)


def require_all(study: Study) -> pd.DataFrame:
    votes = study.votes_so_far()
    pd.testing.assert_frame_equal(votes, votes_frame(study))
    return votes


@pytest.fixture
def fetched(study):
    """The number of the first row asked for, each time that votes are fetched."""
    asked: list[int] = []

    def note(connection, cursor, statement, parameters, context, many):
        if "vote.seconds" in statement:
            values = parameters.values() if isinstance(parameters, dict) else parameters
            asked.append(max(value for value in values if isinstance(value, int)))

    event.listen(study.database.engine, "before_cursor_execute", note)
    return asked


def test_new_votes_alone_are_fetched(study, fetched):
    token = study.join()
    for answers in ("left", "tie"), ("right",), ():
        for answer in answers:
            vote(study, token, answer)
        study.votes_so_far()
    assert fetched == [0, 2, 3]
    assert require_all(study)["answer"].tolist() == ["left", "tie", "right"]
    assert study.votes_so_far() is study.votes_so_far(), "nothing new, nothing computed"


def test_an_answer_taken_back_later_is_marked(study):
    token = study.join()
    vote(study, token)
    assert require_all(study)["revised"].tolist() == [False]
    assert study.undo(token)
    assert require_all(study)["revised"].tolist() == [True]
    vote(study, token, "right")
    assert require_all(study)["revised"].tolist() == [True, False]


@pytest.mark.parametrize("keep_votes", [False, True])
def test_votes_of_a_deleted_rater_go(study, keep_votes):
    first, second = study.join(), study.join()
    vote(study, first)
    vote(study, second)
    who = require_all(study)["rater"][0]
    delete_rater(study, who, keep_votes=keep_votes)
    assert who not in set(require_all(study)["rater"])
    vote(study, second)
    require_all(study)


def test_a_vote_that_another_server_stored_late_under_an_earlier_row_is_not_missed(study):
    token = study.join()
    vote(study, token)
    vote(study, token)
    with study.database.engine.begin() as connection:  # as if the first had come much later
        connection.execute(update(VoteRow).where(VoteRow.id == 2).values(id=5))
    assert len(require_all(study)) == 2
    with study.database.engine.begin() as connection:
        connection.execute(update(VoteRow).where(VoteRow.id == 1).values(id=6))
        connection.execute(update(VoteRow).where(VoteRow.id == 6).values(id=4))
    require_all(study)
