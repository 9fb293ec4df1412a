"""Answers: one record each, from which pages, rules and tables are derived."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.ballots import ANSWERS, Question
from study_app.errors import StudyUsageError
from study_app.rules import Rules, VotesTable
from study_app.views import stages
from study_app.words import languages, words

ROOT = Path(__file__).parents[2]


def test_the_page_offers_answers_as_the_images_stand_each_with_its_key():
    answers = Rules(extra_answers=("both_bad",)).answers_to(Question("beauty", "Which?"))
    offered = stages.offered(answers, words("en"))
    assert [one["name"] for one in offered] == ["left", "tie", "both_bad", "right"]
    assert [one["key"] for one in offered] == ["ArrowLeft", " ", "ArrowDown", "ArrowRight"]
    assert [one["sign"] for one in offered] == ["←", "space", "↓", "→"]


@pytest.mark.parametrize("language", languages())
def test_every_answer_has_its_words_in_every_language(language):
    text = words(language)
    for name in ANSWERS:
        assert text["pair"][name]
        assert text["instructions"][f"how_{name}"]


@pytest.mark.parametrize("said", [{"both_bad": True}, {"extra_answers": ["both_bad"]}])
def test_a_study_file_may_say_both_bad_as_it_always_could(said):
    votes = VotesTable.model_validate(said)
    assert votes.extra_answers == ["both_bad"]
    assert VotesTable.model_validate({"both_bad": False}) == VotesTable()


def test_a_study_file_that_says_both_bad_in_two_ways_is_refused():
    with pytest.raises(ValueError, match="stands beside `extra_answers`"):
        VotesTable.model_validate({"both_bad": True, "extra_answers": ["both_bad"]})
    with pytest.raises(ValueError, match="expected true or false"):
        VotesTable.model_validate({"both_bad": "yes"})


def test_an_answer_is_one_of_those_offered(sqlite_study):
    token = sqlite_study.join()
    pair = sqlite_study.turn(token).current
    with pytest.raises(StudyUsageError, match="expected one of left, right, tie"):
        sqlite_study.vote(token, pair.assignment, "both_bad", 1.0)


# What an answer costs: these four files, and no other.

RECORD = 'Answer("unsure", TIED, "unsure", "Unsure", "unsure", "ArrowUp", "↑", usual=False),\n'
END_OF_RECORDS = "    )\n}  # fmt: skip\n"
MIGRATION = '''"""Raters may be unsure."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Take the new answer among those that a vote may have."""
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint("known_answer", "vote")
    with op.batch_alter_table("vote") as table:
        table.create_check_constraint(
            "known_answer",
            "answer IN ('left', 'right', 'tie', 'both_bad', 'left_strongly', 'left_slightly',"
            " 'right_slightly', 'right_strongly', 'unsure')",
        )
'''
ASK_AND_ANSWER = """
import sys
from pathlib import Path
from analysis import ballots, read_votes
from glide_eval.files import RunFolder
from study_app.making import create_study
from study_app.owner import status_text, write_votes
from study_app.rating import Study
from study_app.rules import Rules
from study_app.store import database_url, upgrade_database
from study_app.views import stages
from study_app.words import words

run, old = RunFolder(Path(sys.argv[1])), database_url(sys.argv[2])
url = database_url(str(run.study_path))
create_study(run, url, rules=Rules(extra_answers=("unsure",)), password="x")
study = Study.open(url)
page = stages.instructions(study, words("de"))
assert "unsicher" in page and "↑" in page
token = study.join()
for answer in ("unsure", "left", "unsure"):
    pair = study.turn(token).current
    print([one["name"] for one in stages.offered(pair.answers, words("en"))])
    assert study.vote(token, pair.assignment, answer, 1.0) == "accepted"
write_votes(study, run.votes_path)
(ballot,) = ballots(read_votes(run.votes_path))
print(ballot.left_wins.tolist())
assert "3 of" in status_text(study)
study.close()
print(upgrade_database(old))
Study.open(old).close()
"""


def test_another_answer_touches_four_files(run, tmp_path, sqlite_url):
    """A copy of the packages, with the four files changed, asks, stores, exports and reads it."""
    code = tmp_path / "code"
    for package in ("analysis", "glide_eval", "study_app"):
        shutil.copytree(
            ROOT / package, code / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    answers = code / "analysis" / "ballots" / "answers.py"
    text = answers.read_text("utf-8")
    assert text.count(END_OF_RECORDS) == 1
    text = text.replace(END_OF_RECORDS, f"        {RECORD}{END_OF_RECORDS}")
    assert text.count('"right_strongly",\n]') == 1
    text = text.replace('"right_strongly",\n]', '"right_strongly", "unsure",\n]')
    answers.write_text(text, "utf-8")
    for language, (how, label) in {"en": ("you are unsure", "Unsure"),
                                   "de": ("Sie sind unsicher", "Unsicher")}.items():  # fmt: skip
        file = code / "study_app" / "words" / f"{language}.toml"
        text = file.read_text("utf-8")
        text = text.replace("\nhow_both_bad", f'\nhow_unsure = "{how}"\nhow_both_bad')
        file.write_text(text.replace("\nboth_bad", f'\nunsure = "{label}"\nboth_bad'), "utf-8")
    scripts = code / "study_app" / "store" / "migrations" / "versions"
    (scripts / "v0005_unsure.py").write_text(MIGRATION, "utf-8")

    old = tmp_path / "old.db"
    shutil.copy(Path(__file__).with_name("data") / "study_2.db", old)
    done = subprocess.run(
        [sys.executable, "-c", ASK_AND_ANSWER, run.root, old],
        env=os.environ | {"PYTHONPATH": str(code)},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    offered, *_, counted, versions = done.stdout.splitlines()
    assert offered == "['left', 'tie', 'unsure', 'right']"
    assert counted == "[0.5, 1.0, 0.5]"
    assert versions == "(2, 5)"
