"""Does one score per arm describe the votes: rare false alarms, circles found and named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.ballots import win_matrix
from analysis.report.inputs import ReportInputs
from analysis.report.words.goodness import fit_words, misfit
from analysis.scores import fit_elo, goodness_of_fit
from benchmarks.goodness import Setting, alarms, draw
from tests.analysis.reports import page_of
from tests.analysis.simulated import ballot_frame, draw_ballot

CIRCLE = Setting("80% in a circle", (0.0,) * 3, 0.8, raters=40)  # 1,200 votes
LABELS = {name: name for name in "0123"}


def fitted(ballot):
    return goodness_of_fit(fit_elo(win_matrix(ballot), ballot.arms), ballot)


def test_votes_on_one_scale_raise_a_false_alarm_in_one_study_of_twenty():
    rejected, named = alarms(Setting("", taste=100), 150)
    assert 0.01 <= rejected <= 0.1
    assert named == 0


def test_a_circle_of_60_percent_is_found_in_600_votes():
    rejected, _ = alarms(Setting("", (0.0,) * 3, 0.6, raters=20), 40)
    assert rejected >= 0.8


def test_a_circle_is_named_with_its_shares():
    found = fitted(draw(CIRCLE, np.random.default_rng(0)))
    assert found.p < 1e-6
    (circle,) = found.certain_circles().itertuples(index=False)
    assert {circle.first, circle.second, circle.third} == {"0", "1", "2"}
    assert min(circle.first_second, circle.second_third, circle.third_first) > 0.7
    worst = found.pairs.iloc[0]
    assert abs(worst["observed"] - worst["fitted"]) > 0.2
    assert worst["p_adjusted"] < 0.001
    text = fit_words(found, LABELS)
    assert "does not describe these votes" in text
    assert "In a circle: " in text


def test_pairs_observed_and_fitted_add_up_to_the_votes():
    ballot = draw_ballot(np.array([-80.0, 0, 30, 60]), 20, 30, np.random.default_rng(1))
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    found = goodness_of_fit(fit, ballot)
    assert found.pairs["n"].sum() == ballot.votes
    for row in found.pairs.itertuples():
        i, j = fit.arms.index(row.arm), fit.arms.index(row.against)
        assert row.observed == pytest.approx(fit.wins[i, j] / row.n)
        assert row.fitted == pytest.approx(fit.win_probabilities()[i, j])
        assert row.low <= row.deviation <= row.high
    assert misfit(found, {}) == []


def test_a_chain_of_arms_has_nothing_to_test():
    rng = np.random.default_rng(2)
    ballot = draw_ballot(np.array([0.0, 30]), 10, 20, rng)
    found = fitted(ballot)
    assert np.isnan(found.p)
    assert "any votes fit" in found.reason
    one = draw_ballot(np.zeros(3), 1, 60, rng)
    assert "one rater" in fitted(one).reason


def test_a_report_on_a_circle_says_that_scores_mislead(tmp_path):
    votes = ballot_frame(draw(CIRCLE, np.random.default_rng(0)))
    arms = pd.DataFrame({"name": list("012"), "label": list("012"), "strategy": "imported",
                         "scale": np.nan})  # fmt: skip
    inputs = ReportInputs(
        title="Circle", arms=arms, metrics=None, votes=votes, samples=None, root=tmp_path,
        provenance={}, command="",
    )  # fmt: skip
    page = page_of(inputs)
    top = page[: page.index("<section")]
    assert "do not lie on one scale" in top
    assert "no ranking of the three holds" in top
    assert 'class="odd"' in page
