"""The owner's page looks at a study in a process of its own, no oftener than it costs."""

from __future__ import annotations

import time

import pandas as pd
import pytest

from study_app.errors import StudyError
from study_app.owner import Observer, Watcher, live_elo, look_at, votes_frame
from study_app.rating import Study


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def vote(study: Study, times: int) -> None:
    token = study.join()
    for _ in range(times):
        study.vote(token, study.turn(token).current.assignment, "left", 1.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watcher(study, clock):
    url = study.database.url.render_as_string(hide_password=False)
    found = Watcher(url, clock)
    yield found
    found.close()


def require_soon(watcher: Watcher, votes: int) -> None:
    """Wait until the latest look has so many votes."""
    for _ in range(1200):
        if watcher.latest().votes["person"] == votes:
            return
        time.sleep(0.05)
    raise AssertionError("no look came")


def test_a_look_says_what_the_study_holds_and_is_renewed_when_it_is_due(study, watcher, clock):
    vote(study, 3)
    first = watcher.latest()
    assert first.votes == {"person": 3, "simulated": 0}
    assert first.done["person"].total() == 3
    vote(study, 2)
    clock.now += 0.5
    assert watcher.latest() is first, "it is not due yet"
    clock.now += 100_000
    assert watcher.latest().votes["person"] in (3, 5), "nobody waits for the next one"
    require_soon(watcher, 5)


def test_a_study_that_goes_away_is_told_and_found_again(sqlite_study, clock):
    vote(sqlite_study, 1)
    path = sqlite_study.info.image_root.parent / "study.db"
    watcher = Watcher(str(sqlite_study.database.url.set(database=f"{path}-elsewhere")), clock)
    try:
        with pytest.raises(StudyError, match="There is no study"):
            watcher.latest()
    finally:
        watcher.close()


def test_a_look_has_what_the_owner_is_shown_of_each_rater(study):
    vote(study, 3)
    (row,) = look_at(study).raters.to_dict("records")
    assert (row["answered"], row["asked"], row["votes"]) == (3, 8, 3)


def test_looks_follow_the_votes_and_hold_the_scores_of_each_question(study):
    observer = Observer(study)
    empty = observer.look()
    assert {kind for kind, _ in empty.elo} == {"person", "simulated"}
    assert all(table.empty for table in empty.elo.values())
    vote(study, 8)
    vote(study, 8)  # the next rater is asked the other question
    for look in (observer.look(), observer.look()):  # the second computes nothing anew
        assert look.votes == {"person": 16, "simulated": 0}
        of_people = {question: table for (kind, question), table in look.elo.items()
                     if kind == "person"}  # fmt: skip
        for question in study.progress().wanted:
            expected = live_elo(votes_frame(study), question, "person")
            pd.testing.assert_frame_equal(of_people.pop(question), expected)
            assert len(expected) >= 2, question
        assert of_people == {}
        assert look.progress.raters["person"] == 2
    study.join()
    assert observer.look().progress.raters["person"] == 3, "who came is told before they vote"
