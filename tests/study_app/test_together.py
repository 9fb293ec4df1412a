"""Several questions about the same two images, one after the other."""

from __future__ import annotations

import itertools
import time

import pytest

from study_app.making import create_from_design, simulate
from study_app.making.simulate import read_scores
from study_app.owner import look_at, votes_frame
from study_app.rating import Study
from study_app.rules import Rules, StudyDesign, slots
from tests.study_app.browser import RaterWindow, chromium
from tests.study_app.conftest import PASSWORD

DESIGN = {
    "votes": {"per_pair": 2, "min_seconds": 0.3},
    "raters": {"pairs": 16, "questions": "together"},
}


def created(run, url, **changes) -> Study:
    design = StudyDesign.model_validate(DESIGN | changes)
    create_from_design(design, url, run=run, password=PASSWORD)
    return Study.open(url)


def shown(study: Study, answer: str = "left") -> list[tuple[str, str, str]]:
    """Answer all there is for a new rater: question, left and right image of each pair."""
    token, seen = study.join(), []
    while (pair := study.turn(token).current) is not None:
        seen.append((pair.question.key, pair.left, pair.right))
        assert study.vote(token, pair.assignment, answer, 1.0) == "accepted"
    return seen


def test_each_pair_of_images_is_asked_about_every_question_before_the_next(run, url):
    study = created(run, url)
    try:
        orders = set()
        for _ in range(4):
            seen = shown(study)
            assert len(seen) == 16
            pairs = [seen[place : place + 2] for place in range(0, 16, 2)]
            assert all(one[1:] == other[1:] for one, other in pairs), "sides stay where they are"
            assert all(one[0] != other[0] for one, other in pairs)
            assert len({one[1:] for one, _ in pairs}) == 8
            orders.add(tuple(question for question, *_ in seen[:2]))
            assert len({tuple(q for q, *_ in pair) for pair in pairs}) == 1, "one order for a rater"
        assert len(orders) == 2, "raters begin with different questions"
        votes = votes_frame(study)
        keys = ["prompt_id", "arm_left", "arm_right", "rater"]
        assert (votes.groupby(keys)["question"].nunique() == 2).all()
    finally:
        study.close()


def test_the_study_ends_with_every_vote_that_was_wanted(run, sqlite_url):
    study = created(run, sqlite_url, raters={"pairs": 60, "questions": "together"})
    try:
        while shown(study):
            pass
        counts = votes_frame(study).groupby(["question", "prompt_id", "arm_left", "arm_right"])
        assert study.progress().wanted == {"photorealism": 120, "caption_similarity": 120}
        assert len(votes_frame(study)) == 240
        assert counts.size().max() == 1, "each pair stood both ways round"
    finally:
        study.close()


def test_an_answer_taken_back_and_a_rater_who_left_break_nothing(run, sqlite_url):
    study = created(run, sqlite_url)
    try:
        token = study.join()
        first = study.turn(token).current
        study.vote(token, first.assignment, "left", 1.0)
        assert study.undo(token)
        again = study.turn(token).current
        assert (again.assignment, again.again) == (first.assignment, True)
        study.vote(token, again.assignment, "right", 1.0)
        second = study.turn(token).current
        assert (second.left, second.right) == (first.left, first.right)
        assert second.question != first.question
        study.set_aside(token, second.assignment, "an image file is missing")
        third = study.turn(token).current
        assert {third.left, third.right} != {first.left, first.right}
    finally:
        study.close()


def test_gold_and_repeated_pairs_stand_between_pairs_and_not_within_one():
    rules = Rules(pairs_per_rater=9, gold_per_rater=3, repeats_per_rater=2, together=2)
    for rater in range(30):
        order = slots(5, rater, rules)
        assert len(order) == rules.share == 14
        groups = [(kind, len(list(same))) for kind, same in itertools.groupby(order)]
        odd = [size for kind, size in groups if kind == "plain" and size % 2]
        assert len(odd) == 1, "nine plain pairs are four of both questions and one of one"
        assert sorted(order).count("gold") == 3
        assert order.count("repeat") == 2
    assert rules.looks == 5 + 3 + 2


def test_simulated_raters_are_asked_together_too(run, sqlite_url):
    study = created(run, sqlite_url)
    try:
        simulate(study, read_scores(run.scores_path), raters=5, votes=40, seed=1)
        votes = votes_frame(study)
        keys = ["rater", "prompt_id", "arm_left", "arm_right"]
        assert (votes.groupby(keys)["question"].nunique() == 2).all()
    finally:
        study.close()


@pytest.mark.browser
def test_the_next_question_about_the_same_images_is_told_apart(run, sqlite_url, serving, tmp_path):
    created(run, sqlite_url).close()
    browser = chromium(tmp_path / "profile")
    window = RaterWindow(browser, serving(sqlite_url).address)
    try:
        seen = window.start()
        asked = browser.find_element("css selector", "h1.question").text
        time.sleep(0.4)
        window.press("ArrowLeft")
        after = window.next_after(seen)
        assert (after.left, after.right) == (seen.left, seen.right)
        question = browser.find_element("css selector", "h1.question")
        assert question.text != asked
        assert "changed" in question.get_attribute("class").split()
        said = browser.find_element("css selector", ".spoken[aria-live]")
        assert question.text in said.get_attribute("textContent")
    finally:
        browser.quit()


def test_after_a_report_no_other_question_about_its_images_is_asked(run, url):
    study = created(run, url)
    try:
        token, seen = study.join(), []
        first = study.turn(token)
        assert (first.current.left, first.current.right) == (
            first.upcoming.left, first.upcoming.right,
        )  # fmt: skip
        assert study.report(token, first.current.assignment)
        while (pair := study.turn(token).current) is not None:
            seen.append({pair.left, pair.right})
            study.vote(token, pair.assignment, "left", 1.0)
        assert {first.current.left, first.current.right} not in seen
        assert len(seen) == 16, "other pairs take their place"
        (listed,) = look_at(study).reported
        assert listed["reports"] == 1
        while shown(study):
            pass
        wanted = study.progress().wanted
        assert votes_frame(study)["question"].value_counts().to_dict() == wanted
    finally:
        study.close()
