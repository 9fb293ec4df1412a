from __future__ import annotations

import pytest

from study_app.making import read_scores, simulate
from study_app.owner import live_elo, status_text, votes_frame
from study_app.owner.live_elo import COLUMNS


def test_live_scores_rank_the_best_arm_first_and_keep_kinds_apart(sqlite_study, run):
    simulate(sqlite_study, read_scores(run.scores_path), raters=12, votes=None, seed=0)
    votes = votes_frame(sqlite_study)
    table = live_elo(votes, "photorealism", "simulated")
    assert tuple(table.columns) == COLUMNS
    assert table["arm"].iloc[0] == "cfg-3"
    assert table["elo"].sum() == pytest.approx(0, abs=1e-6)
    assert (table["ci_low"] < table["elo"]).all()
    assert (table["elo"] < table["ci_high"]).all()
    assert live_elo(votes, "photorealism", "person").empty, "simulated votes are not people's"


def test_one_vote_gives_no_number_without_a_reason(sqlite_study):
    token = sqlite_study.join()
    pair = sqlite_study.turn(token).current
    sqlite_study.vote(token, pair.assignment, "left", 1.0)
    table = live_elo(votes_frame(sqlite_study), pair.question.key, "person")
    assert table["ci_low"].isna().all()
    assert table["note"].str.len().gt(0).all()


def test_status_says_what_is_simulated(sqlite_study, run):
    token = sqlite_study.join()
    sqlite_study.vote(token, sqlite_study.turn(token).current.assignment, "tie", 1.0)
    simulate(sqlite_study, read_scores(run.scores_path), raters=12, votes=60, seed=0)
    text = status_text(sqlite_study)
    assert "1 people: 1 of 240 votes" in text
    assert "12 SIMULATED raters: 60 of 240 votes" in text
    assert "Live Elo, photorealism, SIMULATED raters" in text
