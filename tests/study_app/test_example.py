"""The example study file and the words that its raters read."""

from __future__ import annotations

import shutil

import pytest
from click.testing import CliRunner

from study_app.commands.study import command
from study_app.making import create_from_design
from study_app.rating import Study
from study_app.rules import StudyDesign, load_study_file
from study_app.store import database_url
from study_app.views import rate, stages
from study_app.words import languages, words
from tests.fakes import make_fake_run
from tests.study_app.conftest import ROOT

EXAMPLE = ROOT / "examples" / "study.toml"


@pytest.fixture
def beside(tmp_path):
    """The example beside a run as large as that of `examples/guidance.toml`."""
    make_fake_run(tmp_path / "runs" / "guidance", prompts=48, size=32)
    (tmp_path / "examples").mkdir()
    return shutil.copy(EXAMPLE, tmp_path / "examples")


def test_the_first_command_that_the_example_names_makes_its_study(beside, tmp_path):
    made = CliRunner().invoke(command, ["create", "--study", str(beside)], catch_exceptions=False)
    assert made.exit_code == 0, made.output
    study = Study.open(database_url(str(tmp_path / "runs" / "guidance" / "study.db")))
    try:
        assert len(study.info.practice) == 2
    finally:
        study.close()


def test_the_example_names_no_key_of_before():
    assert "both_bad =" not in EXAMPLE.read_text("utf-8")
    assert load_study_file(EXAMPLE).design.votes.extra_answers == []


DESIGN = {
    "raters": {"pairs": 5},
    "gold": {"per_rater": 2},
    "repeats": {"per_rater": 1},
    "practice": [{"question": "photorealism"}, {"question": "photorealism"}],
}


@pytest.fixture
def made(run, sqlite_url):
    studies = []

    def make(**tables) -> Study:
        design = StudyDesign.model_validate(DESIGN | tables)
        create_from_design(design, sqlite_url, run=run, password="x")
        studies.append(Study.open(sqlite_url))
        return studies[-1]

    yield make
    for study in studies:
        study.close()


def test_raters_are_told_how_many_pairs_there_are_gold_repeats_and_practice_included(made):
    study = made()
    token = study.join()
    told = stages.instructions(study, words())
    for number in (0, 1):
        item = study.info.practice[number]
        study.practise(token, item.shown.assignment, item.expected[0])
    assert study.turn(token).total == 8
    assert "8 pairs" in told
    assert "practice before that: 2" in told


@pytest.mark.parametrize("language", languages())
def test_the_usual_questions_are_asked_in_the_study_s_language(made, language):
    study = made(pages={"language": language}, practice=[])
    token = study.join()
    study.instructed(token)
    shown = rate.respond(study, {"query": {"rater": token}}, "test")
    asked = words(language)["questions"]
    assert shown["pair"]["question"] in asked.values()
    told = stages.instructions(study, words(language))
    assert all(question in told for question in asked.values())


def test_a_question_of_the_owner_s_own_words_stays_as_it_is(made):
    text = "Which one would you hang up?"
    study = made(
        pages={"language": "de"}, practice=[], questions=[{"key": "photorealism", "text": text}]
    )
    assert text in stages.instructions(study, words("de"))
