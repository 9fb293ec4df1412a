"""Scores by category of prompt: each its own fit, and a test that finds real differences only."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.ballots import ballots, read_votes, win_matrix
from analysis.errors import AnalysisError
from analysis.scores import by_category, fit_elo
from tests.analysis.simulated import ballot_frame, draw_ballot

CATEGORIES = {f"p{i:04d}": ("people" if i % 2 else "places") for i in range(40)}


def votes_on(people: np.ndarray, places: np.ndarray, seed: int) -> pd.DataFrame:
    """Forty raters who vote on prompts of both categories."""
    rng = np.random.default_rng(seed)
    parts = []
    for scores, odd in ((places, 0), (people, 1)):
        ballot = draw_ballot(scores, 40, 20, rng, taste=60, prompts=20)
        frame = ballot_frame(ballot)
        frame["prompt_id"] = [f"p{2 * i + odd:04d}" for i in ballot.prompt]
        parts.append(frame.assign(assignment=[f"{odd}-{i}" for i in range(len(frame))]))
    return read_votes(pd.concat(parts))


def test_each_category_is_the_fit_of_its_own_votes():
    votes = votes_on(np.array([0, 100.0, 50]), np.array([0, -100.0, 50]), 0)
    found = by_category(votes, CATEGORIES, "photorealism")
    mine = votes[votes["prompt_id"].astype(str).map(CATEGORIES) == "people"]
    (ballot,) = ballots(mine)
    expected = fit_elo(win_matrix(ballot), ballot.arms).scores
    of_people = found.table[found.table["category"] == "people"]
    np.testing.assert_allclose(of_people["elo"], expected, atol=1e-6)
    assert of_people["arm"].tolist() == ["arm0", "arm1", "arm2"]
    assert (of_people["low"] < of_people["elo"]).all()
    assert found.p < 1e-3
    assert (found.clearest["arm"], found.spread > 40) == ("arm1", True)
    assert ((of_people["shrunk"] - of_people["elo"]).abs() < 25).all()


def test_categories_alike_are_seldom_told_apart():
    scores = np.array([-50.0, 0, 50])
    p = [by_category(votes_on(scores, scores, seed), CATEGORIES, "photorealism").p
         for seed in range(60)]  # fmt: skip
    assert np.mean(np.array(p) < 0.05) <= 0.1


MANY = {f"p{i:04d}": f"kind{i % 4}" for i in range(60)}


def many_arms(deviation: float, seed: int):
    """Twelve arms, four categories, forty raters and sixty prompts; one arm does better in one."""
    rng = np.random.default_rng(seed)
    parts = []
    for kind in range(4):
        scores = np.linspace(-80, 80, 12)
        scores[5] += deviation * (kind == 0)
        ballot = draw_ballot(scores, 40, 15, rng, taste=60, prompts=15)
        frame = ballot_frame(ballot)
        frame["prompt_id"] = [f"p{4 * i + kind:04d}" for i in ballot.prompt]
        parts.append(frame.assign(assignment=[f"{kind}-{i}" for i in range(len(frame))]))
    return by_category(read_votes(pd.concat(parts)), MANY, "photorealism")


def test_many_arms_and_categories_have_a_test_too():
    found = many_arms(300, 0)
    assert found.p < 0.05
    assert (found.clearest["arm"], found.clearest["category"]) == ("arm5", "kind0")
    nothing = many_arms(0, 1)
    assert nothing.p > 0.05
    assert nothing.table["shrunk"].std() < nothing.table["elo"].std()


def test_what_can_not_be_compared_says_why():
    votes = votes_on(np.zeros(3), np.zeros(3), 1)
    one = by_category(votes, {"p0001": "people", "p0003": "people"}, "photorealism")
    assert "two categories" in one.reason
    with pytest.raises(AnalysisError, match="No vote on photorealism is on a prompt"):
        by_category(votes, {"other": "x"}, "photorealism")
    with pytest.raises(AnalysisError, match="No vote on photorealism is on a prompt"):
        by_category(votes.assign(excluded="rule"), CATEGORIES, "photorealism")
    with pytest.raises(AnalysisError, match="need votes with a prompt_id"):
        by_category(votes.drop(columns="prompt_id"), CATEGORIES, "photorealism")
