from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from analysis import read_votes, study_conduct
from study_app.errors import StudyError, StudyUsageError, UnknownRater
from study_app.making import create_from_design, create_study, read_scores, simulate
from study_app.making.simulate import SimulatedRater, simulated_answer
from study_app.owner import to_csv, votes_frame
from study_app.rating import Study
from study_app.rules import GoldTable, StudyDesign
from study_app.store import database_url


@pytest.fixture
def scores(run):
    return read_scores(run.scores_path)


def test_simulated_raters_are_marked_and_leave_peoples_votes_to_people(study, scores):
    person = study.join()
    study.vote(person, study.turn(person).current.assignment, "left", 1.0)
    wanted = sum(study.progress().wanted.values())
    assert simulate(study, scores, raters=10, votes=None, seed=0) == wanted
    votes = votes_frame(study)
    assert Counter(votes["rater_kind"]) == {"simulated": wanted, "person": 1}
    assert (
        votes["rater"].str.startswith("simulated-") == (votes["rater_kind"] == "simulated")
    ).all()
    assert study.turn(person).current is not None
    assert study.progress().raters == {"person": 1, "simulated": 10}


def test_nobody_can_vote_as_a_simulated_rater(study, scores):
    simulate(study, scores, raters=2, votes=4, seed=0)
    with pytest.raises(UnknownRater):
        study.turn("simulated-0-0000")


def test_the_same_seed_gives_the_same_votes_file(run, scores, tmp_path):
    def votes_file(place: str, seed: int) -> bytes:
        url = database_url(str(tmp_path / place))
        create_study(run, url, seed=4)
        study = Study.open(url)
        simulate(study, scores, raters=7, votes=60, seed=seed)
        content = to_csv(votes_frame(study))
        study.close()
        return content

    assert votes_file("a.db", 1) == votes_file("b.db", 1)
    assert votes_file("c.db", 2) != votes_file("a2.db", 1)


def test_a_simulation_stopped_midway_is_completed_not_repeated(run, scores, tmp_path):
    def open_new(place: str) -> Study:
        url = database_url(str(tmp_path / place))
        create_study(run, url)
        return Study.open(url)

    whole, stopped = open_new("whole.db"), open_new("stopped.db")
    simulate(whole, scores, raters=5, votes=50, seed=0)
    simulate(stopped, scores, raters=5, votes=20, seed=0)
    assert simulate(stopped, scores, raters=5, votes=50, seed=0) == 30
    assert simulate(stopped, scores, raters=5, votes=50, seed=0) == 0
    assert to_csv(votes_frame(whole)) == to_csv(votes_frame(stopped))
    whole.close()
    stopped.close()


def test_answers_follow_the_scores(sqlite_study, scores):
    simulate(sqlite_study, scores, raters=20, votes=None, seed=0)
    votes = votes_frame(sqlite_study)
    votes = votes[votes["question"] == "caption_similarity"]
    won = Counter(votes["arm_left"][votes["answer"] == "left"])
    won += Counter(votes["arm_right"][votes["answer"] == "right"])
    # cfg-3 is the best arm of the fake run by its scores, unguided the worst
    assert won["cfg-3"] > 1.5 * won["unguided"]
    assert 0 < (votes["answer"] == "tie").mean() < 0.4
    assert votes["seconds"].between(0.6, 60).all()


def test_simulated_raters_mostly_know_gold_pairs(run, sqlite_url, scores):
    gold = GoldTable(per_rater=4)
    create_from_design(StudyDesign(gold=gold), sqlite_url, run=run, password="x")
    study = Study.open(sqlite_url)
    simulate(study, scores, raters=10, votes=150, seed=0)
    conduct = study_conduct(read_votes(votes_frame(study)))
    study.close()
    gold = conduct[conduct["measure"] == "gold_accuracy"]
    assert len(gold) == 2
    assert gold["n"].sum() > 8
    assert gold["value"].min() > 0.8


def test_a_rater_with_a_side_bias_prefers_that_side_of_equal_images():
    rater = SimulatedRater(0, 5.0, 1.5, 0.1, {"a": 0.0, "b": 0.0}, 4.0)
    rng = np.random.default_rng(0)
    answers = Counter(simulated_answer(rater, (0.5, "a"), (0.5, "b"), rng)[0] for _ in range(2000))
    # P(left) = P(logistic > 0.1 - 1.5) = 1 / (1 + e^-1.4) = 0.802
    assert answers["left"] / 2000 == pytest.approx(0.802, abs=0.03)


def test_scores_that_are_missing_are_named(study, run, scores):
    key = next(iter(scores))
    with pytest.raises(StudyError, match=f"no image_quality for the sample {key[0]}/{key[1]}-0"):
        simulate(study, {**scores, key: {"caption_accuracy": 1.0}}, raters=2, votes=4, seed=0)
    run.scores_path.unlink()
    with pytest.raises(StudyError, match="glide-eval metrics RUN"):
        read_scores(run.scores_path)
    run.scores_path.write_text("arm,metric\nx,image_quality\n")
    with pytest.raises(StudyError, match="not a table of scores"):
        read_scores(run.scores_path)
    assert votes_frame(study).empty


def test_fewer_votes_than_raters_make_no_sense(study, scores):
    with pytest.raises(StudyUsageError, match="3 votes from 4 raters"):
        simulate(study, scores, raters=4, votes=3, seed=0)


def test_simulated_times_are_nobodys_real_times(study, scores):
    simulate(study, scores, raters=3, votes=9, seed=0)
    assert (votes_frame(study)["created_at"] < pd.Timestamp("2001-01-01", tz="UTC")).all()
