from __future__ import annotations

import pytest

from analysis.ballots import QUESTIONS
from study_app.errors import StudyUsageError
from study_app.rules import (
    Rules,
    a_on_left,
    check_answer,
    parse_questions,
    preferred_question,
    too_early,
)
from study_app.rules.limits import QUESTION_BLOCK

USUAL = Rules().answers_to(QUESTIONS["photorealism"])


def test_two_votes_on_a_pair_see_both_orders():
    assert [a_on_left(True, draw) for draw in range(4)] == [True, False, True, False]
    assert [a_on_left(False, draw) for draw in range(4)] == [False, True, False, True]


def test_a_question_stays_for_a_block_and_raters_start_with_different_ones():
    first = [preferred_question(0, given, 2) for given in range(2 * QUESTION_BLOCK)]
    assert first == [0] * QUESTION_BLOCK + [1] * QUESTION_BLOCK
    assert preferred_question(1, 0, 2) == 1


def test_a_click_before_the_pair_could_be_seen_does_not_count():
    rules = Rules(min_seconds=0.6)
    assert too_early(0.59, rules)
    assert not too_early(0.6, rules)
    assert not too_early(None, rules), "after a restart nobody knows: the click counts"


@pytest.mark.parametrize("answer", ["left", "right", "tie"])
def test_the_three_answers_are_answers(answer):
    assert check_answer(answer, USUAL) == answer


@pytest.mark.parametrize("answer", ["Left", "both", "", "left; DROP TABLE vote"])
def test_anything_else_is_refused(answer):
    with pytest.raises(StudyUsageError, match="left, right, tie"):
        check_answer(answer, USUAL)


@pytest.mark.parametrize(
    "values",
    [{"votes_per_pair": 0}, {"pairs_per_rater": -1}, {"min_seconds": float("nan")}],
)
def test_impossible_rules_are_refused(values):
    with pytest.raises(StudyUsageError, match=next(iter(values))):
        Rules(**values)


def test_questions_default_to_the_papers_two_and_only_one_shows_the_caption():
    assert parse_questions(()) == tuple(QUESTIONS.values())
    assert [(q.key, q.shows_caption) for q in QUESTIONS.values()] == [
        ("photorealism", False),
        ("caption_similarity", True),
    ]


def test_an_owner_can_ask_their_own_question_and_reword_a_known_one():
    own, known = parse_questions(("beauty = Which is prettier?", "photorealism=Which is a photo?"))
    assert (own.key, own.text, own.shows_caption) == ("beauty", "Which is prettier?", True)
    assert (known.text, known.shows_caption) == ("Which is a photo?", False)


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (("beauty",), "needs its words"),
        (("Not A Key=x",), "KEY or KEY=TEXT"),
        (("photorealism", "photorealism"), "twice"),
    ],
)
def test_malformed_questions_are_refused_by_name(specs, message):
    with pytest.raises(StudyUsageError, match=message):
        parse_questions(specs)
