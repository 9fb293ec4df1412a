"""A rater passes over a pair they do not want to look at, and its owner hears of it."""

from __future__ import annotations

from study_app.owner import look_at, votes_frame
from study_app.rating import Study
from study_app.views import rate


def report(study: Study, token: str, **details: object) -> dict:
    pair = study.turn(token).current
    event = {"kind": "report", "assignment": pair.assignment} | details
    return rate.respond(study, {"query": {"rater": token}, "event": event}, "test")


def test_a_reported_pair_is_passed_over_listed_and_asked_of_others(study):
    token, wanted = study.join(), study.progress().wanted
    before = study.turn(token)
    study.instructed(token)
    shown = report(study, token)
    assert "told the people who run this study" in shown["notice"]
    assert shown["pair"]["id"] == before.upcoming.assignment
    assert (shown["progress"]["done"], shown["progress"]["total"]) == (0, 8)
    (listed,) = look_at(study).reported
    assert listed["reports"] == 1
    assert len(listed["arms"].split(", ")) == 2
    while (turn := study.turn(token)).current is not None:
        study.vote(token, turn.current.assignment, "left", 1.0)
    while study.turn(other := study.join()).current is not None:
        while (turn := study.turn(other)).current is not None:
            study.vote(other, turn.current.assignment, "left", 1.0)
    assert votes_frame(study)["question"].value_counts().to_dict() == wanted


def test_nobody_chooses_pairs_by_reporting(study):
    token = study.join()
    study.instructed(token)
    notices = [report(study, token)["notice"] for _ in range(6)]
    assert all("left that pair out" in notice for notice in notices[:5])
    assert "can't be left out" in notices[5]
    current = study.turn(token).current
    ahead = study.turn(token).upcoming.assignment
    assert not study.report(token, ahead), "only the pair on the page"
    assert study.turn(token).current == current


def test_a_report_that_is_sent_again_passes_over_one_pair(study):
    token = study.join()
    study.instructed(token)
    first = study.turn(token).current.assignment
    report(study, token)
    current = study.turn(token).current
    shown = report(study, token, assignment=first, resent=True)
    assert shown["pair"]["id"] == current.assignment
    assert "left that pair out" in shown["notice"]
