"""Elo over guidance scale: exact on points, the best scale covered, equal curves left equal."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.ballots import ballots, read_votes, win_matrix
from analysis.errors import AnalysisError
from analysis.scores import fit_elo, sandwich, scale_curves
from tests.analysis.simulated import draw_ballot, votes_of

SCALES = np.array([1.0, 2, 4, 8, 16])


def study(scores: np.ndarray, seed: int, raters: int = 40, votes_each: int = 40, **draw):
    rng = np.random.default_rng(seed)
    ballot = draw_ballot(scores, raters, votes_each, rng, **draw)
    return sandwich(fit_elo(win_matrix(ballot), ballot.arms), ballot)


def arms_of(*strategies: tuple[str, np.ndarray]) -> pd.DataFrame:
    rows = [(name, scale) for name, scales in strategies for scale in scales]
    frame = pd.DataFrame(rows, columns=["strategy", "scale"])
    return frame.assign(arm=[f"arm{i}" for i in range(len(rows))])


def hill(scales: np.ndarray, peak: float, top: float = 100.0) -> np.ndarray:
    """A parabola in log(scale)."""
    return top - 40 * np.log(scales / peak) ** 2


def test_two_or_three_scales_are_met_exactly():
    intervals = study(np.array([0.0, 60, 20, 30, 90]), 0)
    arms = arms_of(("a", SCALES[:3]), ("b", SCALES[:2]))
    found = scale_curves(intervals, arms)
    scores = intervals.fit.scores
    curve = found.table[found.table["strategy"] == "a"]
    at = [np.abs(np.log(curve["scale"] / s)).argmin() for s in SCALES[:3]]
    np.testing.assert_allclose(curve["elo"].iloc[at], scores[:3], atol=1e-6)
    own = intervals.score(0)
    np.testing.assert_allclose(curve[["low", "high"]].iloc[0], [own.low, own.high], atol=1e-6)
    line = found.table[found.table["strategy"] == "b"]["elo"].to_numpy()
    np.testing.assert_allclose(np.diff(line, 2), 0, atol=1e-9)  # straight in log(scale)


def test_curves_measured_from_an_anchor_have_its_intervals():
    intervals = study(np.array([0.0, 60, 20]), 1)
    found = scale_curves(intervals, arms_of(("a", SCALES[1:3])).assign(arm=["arm1", "arm2"]),
                         anchor="arm0")  # fmt: skip
    against = intervals.difference(1, 0)
    first = found.table.iloc[0]
    np.testing.assert_allclose([first["low"], first["high"]], [against.low, against.high])


def test_the_best_scales_interval_holds_it():
    truth, held = 4.0, []
    for seed in range(120):
        intervals = study(hill(SCALES, truth), seed, 30, 30, taste=60)
        best = scale_curves(intervals, arms_of(("a", SCALES)), draws=800).best.iloc[0]
        held.append(best["low"] <= truth <= best["high"])
    assert 0.90 <= np.mean(held) <= 1


def test_the_interval_between_scales_holds_a_best_scale_that_nobody_tried():
    scales, held = np.array([1.0, 2, 3, 4, 6]), []
    arms = arms_of(("a", scales))
    for seed in range(60):
        scores = -60 * np.log2(scales / 2.2) ** 2
        best = scale_curves(study(scores, seed, 40, 50, taste=60), arms, draws=500).best.iloc[0]
        assert best["peak_low"] <= best["scale"] <= best["peak_high"]
        held.append(best["peak_low"] <= 2.2 <= best["peak_high"] and best["low"] <= 2)
    assert np.mean(held) >= 0.93  # the spline's own intervals held it in 70%


def test_many_votes_do_not_hide_the_error_of_interpolating():
    scales = np.array([1.0, 2, 3, 4, 6])
    skewed = 200 * (np.log(scales / 2.2) - scales / 2.2)
    best = scale_curves(study(skewed, 0, 40, 4000), arms_of(("a", scales))).best.iloc[0]
    assert best["peak_low"] < 2.2 < best["peak_high"]
    assert best["peak_high"] - best["peak_low"] > 0.2
    assert (best["scale"], best["low"], best["high"]) == (2, 2, 2)


def test_fewer_than_five_scales_claim_nothing_between_them():
    found = scale_curves(study(np.array([0.0, 60, 40, 0]), 0), arms_of(("a", SCALES[:4])))
    assert found.best["peak_low"].isna().all()
    assert found.smooth().empty


def test_curves_compare_the_arms_that_lead():
    intervals = study(np.r_[hill(SCALES, 4), hill(SCALES, 4, 0)], 0)
    found = scale_curves(intervals, arms_of(("a", SCALES), ("b", SCALES)))
    tops = [int(np.argmax(intervals.fit.scores[:5])), 5 + int(np.argmax(intervals.fit.scores[5:]))]
    bounds = intervals.difference(*tops)
    row = found.tests.iloc[0]
    assert (row["low"], row["high"]) == (bounds.low, bounds.high)


def test_a_best_scale_at_the_edge_says_so():
    intervals = study(np.array([0.0, 40, 80, 120, 160]), 2)
    best = scale_curves(intervals, arms_of(("a", SCALES))).best.iloc[0]
    assert best["scale"] == pytest.approx(16)
    assert "largest scale tried" in best["reason"]


def test_equal_curves_pass_the_test_and_shifted_ones_fail_it():
    rejected = 0
    both = np.r_[hill(SCALES, 4), hill(SCALES, 4)]
    arms = arms_of(("a", SCALES), ("b", SCALES))
    for seed in range(120):
        found = scale_curves(study(both, seed, 30, 50, taste=80), arms, draws=10)
        rejected += found.tests["p"].iloc[0] < 0.05
    assert rejected / 120 <= 0.1
    apart = study(np.r_[hill(SCALES, 4), hill(SCALES, 4, 0)], 0)
    row = scale_curves(apart, arms).tests.iloc[0]
    assert row["p"] < 1e-4
    assert row["low"] < 100 < row["high"]
    assert (row["strategy"], row["against"], row["df1"]) == ("a", "b", 3)


def test_strategies_without_common_scales_and_single_points_have_plain_answers():
    intervals = study(np.zeros(5), 3)
    arms = arms_of(("a", SCALES[:2]), ("b", SCALES[2:4]), ("lone", SCALES[4:]))
    found = scale_curves(intervals, arms)
    assert set(found.best["strategy"]) == {"a", "b"}
    assert found.tests["reason"].tolist() == ["the strategies have no range of scales in common"]


def test_one_rater_leaves_curves_without_intervals():
    found = scale_curves(study(np.zeros(3), 4, 1, 90), arms_of(("a", SCALES[:3])))
    assert found.table["low"].isna().all()
    assert found.best["reason"].str.contains("one rater").all()


def test_bad_tables_of_arms_are_refused():
    intervals = study(np.zeros(3), 5)
    with pytest.raises(AnalysisError, match="lacks scale; found strategy, arm"):
        scale_curves(intervals, arms_of(("a", SCALES[:3])).drop(columns="scale"))
    with pytest.raises(AnalysisError, match="not positive"):
        scale_curves(intervals, arms_of(("a", np.array([0.0, 1, 2]))))


def test_raters_who_all_vote_alike_leave_no_curve_to_compare():
    games = [(x, y, answer) for x, y in (("a2", "b2"), ("a8", "b8"), ("a2", "a8"), ("b2", "b8"))
             for answer in ("left", "right")]  # fmt: skip
    frame = pd.concat([votes_of(games, rater=f"r{i}") for i in range(5)], ignore_index=True)
    (ballot,) = ballots(read_votes(frame))
    intervals = sandwich(fit_elo(win_matrix(ballot), ballot.arms), ballot)
    arms = pd.DataFrame({"arm": ["a2", "a8", "b2", "b8"], "strategy": list("aabb"),
                         "scale": [2.0, 8, 2, 8]})  # fmt: skip
    found = scale_curves(intervals, arms, anchor="a2")
    assert np.isnan(found.tests["p"][0])
    assert found.tests["reason"][0] == "raters or prompts are too few, or too alike, for a test"
    assert found.best["low"].isna().all()
    assert found.best["reason"].str.contains("no variation").all()
    of_anchor = found.table[(found.table["strategy"] == "a") & (found.table["scale"] == 2.0)].iloc[
        0
    ]
    assert (of_anchor["elo"], of_anchor["low"], of_anchor["high"]) == (0, 0, 0)
