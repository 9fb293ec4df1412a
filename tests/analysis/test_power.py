"""Planning: power as textbook formulas and simulated studies have it; pilots; plain answers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import norm

from analysis.errors import AnalysisError
from analysis.planning import Design, Variation, plan_study, variation_of
from analysis.scores import win_probability
from tests.analysis.simulated import draw_ballot

NONE = Variation(0, 0, 0)


def test_two_arms_and_independent_votes_have_the_textbooks_power():
    # A sign test of p against ½: power Φ((p − ½)√N / √(p(1 − p)) − 1.96).
    votes, difference = 400, 50.0
    p = float(win_probability(difference))
    expected = norm.cdf(abs(p - 0.5) * np.sqrt(votes) / np.sqrt(p * (1 - p)) - 1.96)
    design = Design(difference, 2, None, 1, NONE)
    curve = plan_study(design, [votes], studies=1500, seed=1)
    assert curve.table["power"].iloc[0] == pytest.approx(expected, abs=0.035)
    assert curve.table["raters"].iloc[0] == votes


def test_the_planned_number_of_votes_has_the_power_asked_for():
    design = Design(80, 3, 60, 20, Variation(80, 60, 0.1), power=0.8)
    plan = plan_study(design, studies=60, seed=2)
    again = plan_study(design, [int(plan.votes)], studies=300, seed=3)
    assert 0.70 <= again.table["power"].iloc[0] <= 0.90
    assert plan.raters == plan.votes / 20
    assert f"plan {plan.votes:,.0f} votes on each question" in plan.sentence
    assert plan.table["power"].iloc[0] < plan.table["power"].iloc[-1]
    assert ((plan.table["low"] < plan.table["power"]) | (plan.table["power"] == 0)).all()


def test_more_votes_do_not_replace_prompts():
    design = Design(30, 2, 5, 20, Variation(50, 200, 0))
    plan = plan_study(design, [400], studies=20)
    assert np.isnan(plan.votes)
    assert "no number of votes is enough with 5 prompts" in plan.sentence


def test_no_study_is_planned_with_fewer_than_three_raters():
    plan = plan_study(Design(1000, 2, 60, 30), studies=10)
    assert plan.raters == 3


def test_same_seed_same_plan():
    design = Design(100, 2, 20, 10)
    first, second = (plan_study(design, [200, 400], studies=20, seed=4) for _ in range(2))
    assert first.table.equals(second.table)


def test_a_pilot_tells_how_much_raters_and_prompts_vary():
    rng = np.random.default_rng(5)
    ballot = draw_ballot(np.array([-60.0, 0, 60]), 60, 60, rng, taste=120, prompts=60,
                         prompt_effect=80)  # fmt: skip
    found = variation_of(ballot)
    # Votes show a preference flattened by all other variation, here by about an eighth.
    assert found.taste == pytest.approx(105, rel=0.2)
    assert found.prompt_effect == pytest.approx(70, rel=0.25)
    alike = variation_of(draw_ballot(np.zeros(3), 60, 60, rng))
    assert alike.taste < 35
    assert alike.tie_share == 0


def test_designs_that_make_no_sense_are_refused():
    with pytest.raises(AnalysisError, match="difference: expected between 0 and 2000, found -5"):
        plan_study(Design(-5))
    with pytest.raises(AnalysisError, match="arms: expected 2 to 100, found 1"):
        plan_study(Design(50, arms=1))
    with pytest.raises(AnalysisError, match="votes per rater: expected 1 to 10,000, found 1000000"):
        plan_study(Design(50, votes_per_rater=1_000_000))
    with pytest.raises(AnalysisError, match="taste: expected 0 to 2000, found inf"):
        plan_study(Design(50, variation=Variation(taste=np.inf)))
    tied = draw_ballot(np.zeros(2), 5, 10, np.random.default_rng(0))
    with pytest.raises(AnalysisError, match="votes are 100% ties"):
        variation_of(dataclasses.replace(tied, left_wins=np.full(50, 0.5)))
    with pytest.raises(AnalysisError, match="at least two are needed"):
        variation_of(draw_ballot(np.zeros(2), 1, 10, np.random.default_rng(0)))
