"""Clocks that jump: the server's, an hour on or back; and a rater's, which says anything."""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from study_app.making import create_study
from study_app.owner import time_to_finish, votes_frame, votes_per_hour
from study_app.rating import Study
from study_app.rules import Rules, of_kind
from tests.study_app.browser import RaterWindow, chromium

HOUR = timedelta(hours=1)


class JumpingClock:
    """Goes on five seconds a look; `jump` moves it besides."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 29, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=5)
        return self.now

    def jump(self, by: timedelta) -> None:
        self.now += by


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def study(run, url, clock):
    create_study(run, url, rules=Rules(votes_per_pair=2, pairs_per_rater=100), clock=clock)
    study = Study.open(url, clock)
    yield study
    study.close()


@pytest.mark.parametrize("by", [-HOUR, HOUR, -24 * HOUR, 24 * HOUR], ids=str)
def test_a_rater_goes_on_where_they_were_when_the_servers_clock_jumps(study, clock, by):
    token = study.join()
    before = study.turn(token)
    clock.jump(by)
    assert study.turn(token).current == before.current
    assert study.vote(token, before.current.assignment, "left", 3.0) == "accepted"
    after = study.turn(token)
    assert (after.current, after.done) == (before.upcoming, 1)
    clock.jump(-by)
    assert study.undo(token)
    assert study.turn(token).current.assignment == before.current.assignment
    assert study.vote(token, before.current.assignment, "right", 2.0) == "accepted"
    assert votes_frame(study)["seconds"].tolist() == [3.0, 2.0], "no clock of the server's in it"


def test_however_often_the_clock_jumps_each_pair_gets_exactly_its_votes(study, clock):
    wanted = study.progress().wanted
    jumps = itertools.cycle([HOUR, -HOUR, timedelta(), -2 * HOUR, timedelta(), 2 * HOUR, -HOUR])
    tokens = [study.join() for _ in range(5)]
    for _ in range(10 * sum(wanted.values())):
        going = [(token, turn) for token in tokens if (turn := study.turn(token)).current]
        if not going:
            break
        clock.jump(next(jumps))
        for token, turn in going:
            study.vote(token, turn.current.assignment, "left", 1.0)
    votes = votes_frame(study)
    assert votes["question"].value_counts().to_dict() == wanted
    arms = [frozenset(pair) for pair in zip(votes["arm_left"], votes["arm_right"], strict=True)]
    each = Counter(zip(votes["question"], votes["prompt_id"], arms, strict=True))
    assert set(each.values()) == {2}


def test_what_the_owner_reads_stays_sane_when_votes_come_from_the_future(study, clock):
    token = study.join()
    clock.jump(5 * HOUR)
    for _ in range(4):
        assert study.vote(token, study.turn(token).current.assignment, "tie", 1.0) == "accepted"
    clock.jump(-5 * HOUR)
    votes = of_kind(votes_frame(study), "person")
    forecast = time_to_finish(votes, study.progress().wanted, clock())
    assert forecast.remaining > timedelta(0)
    assert 0 < forecast.per_hour < math.inf
    assert votes_per_hour(votes, "person")["votes"].sum() == 4


JUMP = """
const hours = arguments[0];
const RealDate = Date;
window.Date = class extends RealDate {
  constructor(...given) { given.length ? super(...given) : super(RealDate.now() + hours * 36e5); }
  static now() { return RealDate.now() + hours * 36e5; }
};
"""


@pytest.mark.browser
def test_a_raters_own_clock_changes_no_response_time(sqlite_study, serving, tmp_path):
    server = serving(sqlite_study.database.url)
    browser = chromium(tmp_path / "profile")
    try:
        rater = RaterWindow(browser, server.address)
        seen = rater.start()
        begun = time.monotonic()
        for hours in (0, -1, 24 * 365, -24 * 365):
            browser.execute_script(JUMP, hours)
            time.sleep(0.8)
            rater.click("left")
            seen = rater.next_after(seen)
        took = time.monotonic() - begun
    finally:
        browser.quit()
    seconds = votes_frame(sqlite_study)["seconds"]
    assert seconds.between(0.8, took).all()
    assert seconds.sum() <= took
