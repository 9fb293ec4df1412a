"""People whom a recruiting site lists are found again, though the study keeps no ids of theirs."""

from __future__ import annotations

import csv
import io

import pytest
from click.testing import CliRunner

from study_app.commands.study import command
from study_app.errors import StudyUsageError
from study_app.making import create_from_design
from study_app.owner import read_list
from study_app.rating import Study
from study_app.rules import StudyDesign

ANN, BOB, EVE = (f"5f0c7d2a9b3e4f1a2b3c4d5{letter}" for letter in "abc")
DESIGN = {
    "raters": {"pairs": 3},
    "entry": {"by": "prolific"},
    "completion": {"code": "ONE4ALL"},
    "exclude": {"median_seconds_below": 2.0, "min_answers": 3},
}
EXPORT = f"Submission id,Participant id,Status\n1,{ANN},AWAITING REVIEW\n2,{EVE},RETURNED\n"


@pytest.fixture
def study(run, sqlite_url):
    create_from_design(StudyDesign.model_validate(DESIGN), sqlite_url, run=run, password="x")
    study = Study.open(sqlite_url)
    for person, answers, seconds in ((ANN, 3, 1.0), (BOB, 1, 3.0)):
        token = study.admit({"PROLIFIC_PID": person})
        for _ in range(answers):
            study.vote(token, study.turn(token).current.assignment, "left", seconds)
    yield study
    study.close()


def look_up(study: Study, path) -> list[dict[str, str]]:
    found = CliRunner().invoke(
        command, ["codes", "--db", study.database.url.database, "--ids", str(path)]
    )
    assert found.exit_code == 0, found.output
    return list(csv.DictReader(io.StringIO(found.output)))


def test_with_one_code_for_all_each_person_is_told_from_the_others(study, tmp_path):
    path = tmp_path / "export.csv"
    path.write_text(EXPORT)
    ann, eve = look_up(study, path)
    assert ann["id"] == ANN
    assert (ann["answered"], ann["asked"], ann["done"], ann["code"]) == ("3", "3", "yes", "ONE4ALL")
    assert ann["excluded"] == "median time 1.00 s < 2 s (n = 3)"
    assert (eve["rater"], eve["done"], eve["code"]) == ("", "no", ""), "Eve never came"


def test_a_plain_list_of_ids_does_as_well(study, tmp_path):
    path = tmp_path / "ids.txt"
    path.write_text(f"{BOB}\n\n{BOB}\n")
    (bob,) = look_up(study, path)
    assert (bob["answered"], bob["asked"], bob["done"]) == ("1", "3", "no")


@pytest.mark.parametrize("content", [b"name,age\nann,3\n", b"\xff\xfe\x00\x00"])
def test_a_file_that_is_no_list_of_ids_says_what_was_expected(tmp_path, content):
    path = tmp_path / "other.csv"
    path.write_bytes(content)
    with pytest.raises(StudyUsageError, match="one id per line"):
        read_list(path)
