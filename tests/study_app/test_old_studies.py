"""Studies made by the program as it was at commit 5669935 export as they did then, once upgraded.

`data/study_2.db` was made there, of a run of five arms and three prompts: three people, one of
whom left early, one answer of each taken back, gold and repeated pairs, two people excluded, and
four simulated raters. `data/study_2_votes.csv` is what `study export` wrote of it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from study_app.owner import status_text, to_csv, votes_frame, write_votes
from study_app.rating import Study
from study_app.store import database_url, upgrade_database

DATA = Path(__file__).with_name("data")
UNFINISHED = "b711478d5027c550784a06571916a58f"  # token of the person who left after five pairs


@pytest.fixture
def old_study(tmp_path):
    url = database_url(shutil.copy(DATA / "study_2.db", tmp_path))
    assert upgrade_database(url) == (2, 4)
    study = Study.open(url)
    yield study
    study.close()


def test_an_old_study_exports_the_bytes_it_exported_then(old_study, tmp_path):
    assert write_votes(old_study, tmp_path / "votes.csv") == 79
    then = (DATA / "study_2_votes.csv").read_bytes()
    assert (tmp_path / "votes.csv").read_bytes() == then


def test_an_old_study_is_brought_up_to_date_once(old_study):
    assert upgrade_database(old_study.database.url) == (4, 4)
    assert to_csv(votes_frame(old_study)) == (DATA / "study_2_votes.csv").read_bytes()


def test_an_old_studys_rater_goes_on_where_they_were(old_study):
    turn = old_study.turn(UNFINISHED)
    assert (turn.done, turn.total) == (4, 16)
    assert turn.current.answers == ("left", "right", "tie", "both_bad")
    assert old_study.vote(UNFINISHED, turn.current.assignment, "both_bad", 2.0) == "accepted"
    assert len(votes_frame(old_study)) == 80


def test_an_old_studys_owner_sees_its_state(old_study):
    assert old_study.is_owner("open sesame")
    told = status_text(old_study)
    assert "3 people: 3 of 120 votes" in told, "of 23, 20 are of the two who are excluded"
    assert "gold accuracy 0.00 < 0.2 (n = 3)" in told
    assert "repeat agreement 0.33 < 0.5 (n = 3)" in told
