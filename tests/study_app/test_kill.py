"""Killed processes, several at once, databases and images that go away: no vote lost or doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from study_app.errors import DatabaseError
from study_app.making import create_study
from study_app.owner import votes_frame
from study_app.rating import Study
from study_app.rules import Rules
from tests.study_app.conftest import ROOT

ACKNOWLEDGED = 150  # `benchmarks/study_kill.py` asks for thousands


def start_voter(url, threads: int, raters: int) -> subprocess.Popen[str]:
    target = url.render_as_string(hide_password=False)
    command = [sys.executable, "-W", "ignore", "-m", "tests.study_app.voter", target]
    return subprocess.Popen(
        [*command, str(threads), str(raters)], cwd=ROOT, stdout=-1, stderr=-1, text=True
    )


def test_a_process_killed_in_a_stream_of_votes_loses_and_doubles_none(run, url):
    create_study(run, url, rules=Rules(votes_per_pair=5, pairs_per_rater=30, min_seconds=0))
    voter = start_voter(url, threads=6, raters=60)
    acknowledged = [voter.stdout.readline().strip() for _ in range(ACKNOWLEDGED)]
    os.kill(voter.pid, signal.SIGKILL)
    acknowledged += voter.stdout.read().split()
    voter.wait(30)
    voter.stdout.close()
    voter.stderr.close()
    assert voter.returncode == -signal.SIGKILL
    study = Study.open(url, writable=True)
    try:
        votes = votes_frame(study)
        stored = Counter(votes["assignment"])
        assert len(acknowledged) >= ACKNOWLEDGED
        assert not [uid for uid in acknowledged if stored[uid] != 1], "lost or doubled"
        # at most one a thread was stored and not yet acknowledged
        assert len(votes) <= len(acknowledged) + 6
        token = study.join()
        pair = study.turn(token).current
        assert study.vote(token, pair.assignment, "tie", 1.0) == "accepted", "voting goes on"
    finally:
        study.close()


def test_several_processes_at_once_give_each_pair_exactly_its_votes(run, url):
    rules = Rules(votes_per_pair=3, pairs_per_rater=40, min_seconds=0)
    create_study(run, url, pairs_per_question=25, rules=rules)
    voters = [start_voter(url, threads=3, raters=6) for _ in range(2)]
    said = [voter.communicate(timeout=120) for voter in voters]
    assert [voter.returncode for voter in voters] == [0, 0], said
    assert not any(errors for _, errors in said), "no lock, no stall, no traceback"
    acknowledged = [uid for out, _ in said for uid in out.split()]
    study = Study.open(url)
    try:
        votes = votes_frame(study)
        assert sorted(acknowledged) == sorted(votes["assignment"])
        assert votes["question"].value_counts().to_dict() == study.progress().wanted
        arms = [tuple(sorted(p)) for p in zip(votes["arm_left"], votes["arm_right"], strict=True)]
        each = Counter(zip(votes["question"], votes["prompt_id"], arms, strict=True))
        assert set(each.values()) == {3}
    finally:
        study.close()


@pytest.mark.postgres
def test_a_server_that_goes_away_and_comes_back_keeps_every_accepted_vote(run, postgres):
    url = postgres.new_database()
    create_study(run, url)
    study = Study.open(url)
    try:
        token = study.join()
        pair = study.turn(token).current
        study.vote(token, pair.assignment, "left", 1.0)
        waiting = study.turn(token).current
        with psycopg.connect(postgres.server_url, autocommit=True) as owner:
            owner.execute(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS false")
            owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [url.database],
            )
            with pytest.raises(DatabaseError):
                study.vote(token, waiting.assignment, "right", 1.0)
            with pytest.raises(DatabaseError):
                study.turn(token)
            owner.execute(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS true")
        assert study.turn(token).current == waiting
        assert study.vote(token, waiting.assignment, "right", 1.0) == "accepted"
        assert votes_frame(study)["answer"].tolist() == ["left", "right"]
    finally:
        study.close()


def test_connections_dropped_between_two_votes_are_made_anew(run, postgres):
    url = postgres.new_database()
    create_study(run, url)
    study = Study.open(url)
    try:
        token = study.join()
        for answer in ("left", "right"):
            pair = study.turn(token).current
            with psycopg.connect(postgres.server_url, autocommit=True) as owner:
                owner.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                    [url.database],
                )
            assert study.vote(token, pair.assignment, answer, 1.0) == "accepted"
        assert len(votes_frame(study)) == 2
    finally:
        study.close()


class WildClock:
    """A clock that an administrator sets back and forth."""

    def __init__(self) -> None:
        self.jumps = [timedelta(0), timedelta(days=-400), timedelta(hours=5), timedelta(days=-1)]
        self.calls = 0

    def __call__(self) -> datetime:
        self.calls += 1
        return datetime(2026, 5, 1, tzinfo=UTC) + self.jumps[self.calls % len(self.jumps)]


def test_a_clock_set_back_and_forth_loses_and_doubles_nothing(run, url):
    create_study(run, url, pairs_per_question=12, rules=Rules(votes_per_pair=2))
    study = Study.open(url, WildClock())
    try:
        tokens = [study.join() for _ in range(3)]
        accepted = 0
        for _ in range(200):
            moving = False
            for token in tokens:
                pair = study.turn(token).current
                if pair is not None:
                    moving = True
                    accepted += study.vote(token, pair.assignment, "tie", None) == "accepted"
            if not moving:
                break
        votes = votes_frame(study)
        assert len(votes) == accepted
        arms = [tuple(sorted(p)) for p in zip(votes["arm_left"], votes["arm_right"], strict=True)]
        each = Counter(zip(votes["question"], votes["prompt_id"], arms, strict=True))
        assert set(each.values()) == {2}
        assert len(each) == 24
    finally:
        study.close()


@pytest.fixture
def small_study(run, url):
    create_study(run, url, pairs_per_question=10, rules=Rules(2, 8))
    study = Study.open(url)
    yield study
    study.close()


def test_a_pair_whose_image_is_gone_is_set_aside_for_everybody_until_it_is_back(small_study):
    study = small_study
    token = study.join()
    first = study.turn(token)
    missing = study.image_path(first.current.left)
    content = missing.read_bytes()
    missing.unlink()
    study.set_aside(token, first.current.assignment, "image missing")
    after = study.turn(token)
    assert after.current == first.upcoming
    assert (after.done, after.total) == (0, 8), "another pair takes its place"
    study.vote(token, after.current.assignment, "left", 1.0)

    def shown_to_a_newcomer() -> set[str]:
        newcomer, names = study.join(), set()
        while (turn := study.turn(newcomer)).current is not None:
            names |= {turn.current.left, turn.current.right}
            study.vote(newcomer, turn.current.assignment, "left", 1.0)
        return names

    seen: set[str] = set()
    while names := shown_to_a_newcomer():
        seen |= names
    assert missing.stem not in seen
    missing.write_bytes(content)
    study.resume()
    while names := shown_to_a_newcomer():
        seen |= names
    assert missing.stem in seen
    while (turn := study.turn(token)).current is not None:
        study.vote(token, turn.current.assignment, "left", 1.0)
    while shown_to_a_newcomer():
        pass
    votes = votes_frame(study)
    assert votes["question"].value_counts().to_dict() == study.progress().wanted


def test_a_pair_set_aside_whose_images_are_there_goes_to_others(small_study):
    study = small_study
    token = study.join()
    first = study.turn(token)
    study.set_aside(token, first.current.assignment, "the browser could not load it")
    study.set_aside(token, first.current.assignment, "again")  # changes nothing
    assert study.vote(token, first.current.assignment, "left", 1.0) == "lapsed"
    assert study.turn(token).current == first.upcoming
    while (turn := study.turn(token)).current is not None:
        study.vote(token, turn.current.assignment, "left", 1.0)
    while study.turn(other := study.join()).current is not None:
        while (turn := study.turn(other)).current is not None:
            study.vote(other, turn.current.assignment, "left", 1.0)
    votes = votes_frame(study)
    assert votes["question"].value_counts().to_dict() == study.progress().wanted
