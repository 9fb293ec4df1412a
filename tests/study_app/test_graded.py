"""Questions answered in five grades: asked, stored, counted as sides, and checked."""

from __future__ import annotations

import time

import pytest

from analysis.ballots import ANSWERS, Question, left_wins, read_votes
from analysis.raters import gold_answers, repeats
from study_app.errors import StudyUsageError
from study_app.making import create_from_design, simulate
from study_app.making.simulate import read_scores
from study_app.owner import votes_frame
from study_app.rating import Study
from study_app.rules import Rules, StudyDesign
from study_app.views import stages
from study_app.words import words
from tests.study_app.accessibility import violations
from tests.study_app.browser import RaterWindow, chromium, look_as
from tests.study_app.conftest import PASSWORD

GRADES = ["left_strongly", "left_slightly", "tie", "right_slightly", "right_strongly"]
DESIGN = {
    "questions": [
        {"key": "photorealism", "graded": True},
        {"key": "caption_similarity"},
    ],
    "votes": {"per_pair": 2, "min_seconds": 0.3},
    "raters": {"pairs": 16},
}


def created(run, url, **changes) -> Study:
    design = StudyDesign.model_validate(DESIGN | changes)
    create_from_design(design, url, run=run, password=PASSWORD)
    return Study.open(url)


def test_a_graded_question_offers_five_answers_with_the_keys_1_to_5():
    question = Question("beauty", "Which?", graded=True)
    offered = stages.offered(Rules().answers_to(question), words("en"))
    assert [one["name"] for one in offered] == GRADES
    assert [one["key"] for one in offered] == ["1", "2", "3", "4", "5"]
    both = Rules(extra_answers=("both_bad",)).answers_to(question)
    assert [(one["name"], one["sign"]) for one in stages.offered(both, words("en"))] == [
        ("left_strongly", "1"), ("left_slightly", "2"), ("tie", "3"), ("both_bad", "↓"),
        ("right_slightly", "4"), ("right_strongly", "5"),
    ]  # fmt: skip


def test_grades_are_mirrored_and_count_as_the_side_they_name():
    for name in GRADES:
        answer = ANSWERS[name]
        assert ANSWERS[answer.mirrored].grade == -answer.grade
        assert answer.left_wins == (0.5 if name == "tie" else float(answer.grade > 0))


def test_each_question_takes_its_own_answers_and_stores_the_grade(run, url):
    study = created(run, url)
    try:
        for _ in range(2):  # the second rater begins with the other question
            token = study.join()
            while (pair := study.turn(token).current) is not None:
                graded = pair.question.graded
                assert pair.answers == (
                    ("tie", *GRADES[:2], *GRADES[3:]) if graded else ("left", "right", "tie")
                )
                with pytest.raises(StudyUsageError, match="expected one of"):
                    study.vote(token, pair.assignment, "left" if graded else "left_slightly", 1.0)
                answer = "right_strongly" if graded else "right"
                assert study.vote(token, pair.assignment, answer, 1.0) == "accepted"
        votes = votes_frame(study)
        of_question = votes.groupby("question")["answer"].unique().map(list).to_dict()
        assert of_question == {"photorealism": ["right_strongly"], "caption_similarity": ["right"]}
        assert (left_wins(read_votes(votes)) == 0).all()
    finally:
        study.close()


def test_gold_and_repeated_pairs_look_at_the_side_and_not_at_the_grade(run, sqlite_url):
    study = created(
        run, sqlite_url, questions=[{"key": "photorealism", "graded": True}],
        gold={"per_rater": 3}, repeats={"per_rater": 2},
    )  # fmt: skip
    try:
        token, grades = study.join(), iter(["left_strongly", "left_slightly"] * 20)
        while (pair := study.turn(token).current) is not None:
            study.vote(token, pair.assignment, next(grades), 1.0)
        votes = read_votes(votes_frame(study))
        asked, right = gold_answers(votes)
        assert right.tolist() == (asked["gold"].astype(str) == "left").tolist()
        assert len(right) == 3
        again = repeats(votes)
        assert len(again) == 2
        assert not again["alike"].any(), "the sides were swapped and the answers were not"
    finally:
        study.close()


def test_a_practice_pair_takes_either_grade_of_its_right_side(run, sqlite_url):
    practice = [{"question": "photorealism", "twin": "blur 6"}] * 2
    study = created(run, sqlite_url, practice=practice)
    try:
        token = study.join()
        for item in study.info.practice:
            (side,) = item.expected
            other = ANSWERS[side].mirrored
            shown = item.shown.assignment
            assert not study.practise(token, shown, f"{other}_slightly").right
            assert study.practise(token, shown, f"{side}_slightly").right
            assert study.practise(token, shown, f"{side}_strongly").right
    finally:
        study.close()


def test_simulated_raters_grade_and_prefer_as_they_do_without_grades(run, sqlite_url, tmp_path):
    plain = {"questions": [{"key": "photorealism"}]}
    graded = {"questions": [{"key": "photorealism", "graded": True}]}
    found = []
    for number, questions in enumerate((plain, graded)):
        url = sqlite_url.set(database=str(tmp_path / f"{number}.db"))
        study = created(run, url, name="same", **questions)
        try:
            simulate(study, read_scores(run.scores_path), raters=6, votes=60, seed=3)
            votes = votes_frame(study)
        finally:
            study.close()
        found.append(votes)
    plain, graded = found
    assert set(graded["answer"]) == set(GRADES)
    assert [ANSWERS[answer].plain for answer in graded["answer"]] == plain["answer"].tolist()


def test_grades_are_no_extra_answers():
    with pytest.raises(ValueError, match=r"graded = true"):
        StudyDesign.model_validate({"votes": {"extra_answers": ["left_slightly"]}})


@pytest.mark.browser
def test_a_rater_grades_by_key_and_by_button_at_every_size(run, sqlite_url, serving, tmp_path):
    created(
        run, sqlite_url, questions=[{"key": "photorealism", "graded": True}],
        pages={"instructions": "Look at both images."},
    ).close()  # fmt: skip
    browser = chromium(tmp_path / "profile")
    window = RaterWindow(browser, serving(sqlite_url).address)
    try:
        browser.get(window.address)
        window.wait(lambda: window.says("the left image is much better"))
        assert not violations(browser)
        seen = window.wait(window.first_pair)
        for size in ((1280, 800), (812, 375), (640, 400), (375, 720)):
            look_as(browser, *size, dark=False)
            assert not violations(browser), size
            inside = browser.execute_script(
                "return [...document.querySelectorAll('.answers button')].map(one => {"
                " const b = one.getBoundingClientRect();"
                " return b.left >= 0 && b.right <= innerWidth && b.bottom <= innerHeight"
                " && one.scrollWidth <= one.clientWidth + 1; })"
            )
            assert inside == [True] * 5, size
        look_as(browser, 1280, 800, dark=False)
        time.sleep(0.4)
        window.press("2")
        seen = window.next_after(seen)
        time.sleep(0.4)
        window.click("right_strongly")
        window.next_after(seen)
        study = Study.open(sqlite_url)
        assert votes_frame(study)["answer"].tolist() == ["left_slightly", "right_strongly"]
        study.close()
    finally:
        browser.quit()
