"""Results in a notebook: a table, HTML and a picture."""

import numpy as np
import pytest

from analysis import (
    bootstrap,
    compare_arms,
    crowd_bt,
    fit_elo,
    fit_outcomes,
    goodness_of_fit,
    sandwich,
    win_matrix,
)
from tests.analysis.simulated import draw_ballot


@pytest.fixture(scope="module")
def results():
    ballot = draw_ballot(np.array([-60.0, 0, 60]), 12, 30, np.random.default_rng(0))
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    intervals = sandwich(fit, ballot)
    return {
        "scores": fit, "intervals": intervals, "resampled": bootstrap(fit, ballot, 50),
        "outcomes": fit_outcomes(ballot), "pairs": compare_arms(intervals),
        "crowd": crowd_bt(ballot), "fit": goodness_of_fit(fit, ballot),
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["scores", "intervals", "resampled", "outcomes", "pairs", "crowd", "fit"]
)
def test_every_result_is_a_table_that_a_notebook_shows(results, name):
    table = results[name].to_frame()
    shown = results[name]._repr_html_()
    assert len(table) >= 3
    assert "arm0" in shown
    assert "<table" in shown


@pytest.mark.parametrize("name", ["intervals", "resampled", "outcomes", "pairs"])
def test_results_with_intervals_are_drawn(results, name):
    drawn = results[name].plot().to_dict()  # checked against Vega-Lite's schema
    (rows,) = drawn["datasets"].values()
    assert len(rows) >= 3
    assert all(row["low"] < row["high"] for row in rows if row["low"] is not None)


def test_a_result_without_intervals_says_so(results):
    with pytest.raises(ValueError, match="EloFit has no values with intervals"):
        results["scores"].plot()
