"""Graded answers: the ordinal model against a general optimiser, the truth, and plain answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import logistic

from analysis.ballots import ANSWERS, Ballot, ballots, read_votes
from analysis.claims.robustness import robustness_of
from analysis.errors import AnalysisError
from analysis.scores import ELO_PER_NAT, analyse, fit_graded, fit_outcomes
from tests.analysis.simulated import draw_ballot, votes_of

SCORES = np.array([-120.0, -20.0, 30.0, 110.0])
TIE, STRONG = 60.0, 250.0
NAMES = {answer.grade: answer.name for answer in ANSWERS.values() if answer.grade is not None}


def graded_ballot(seed: int, side: float = 0.0, **draw) -> Ballot:
    rng = np.random.default_rng(seed)
    ballot = draw_ballot(SCORES, rng=rng, **draw)
    taste = 0.0
    eta = (SCORES[ballot.left] - SCORES[ballot.right] + side + taste) / ELO_PER_NAT
    latent = (eta + rng.logistic(size=ballot.votes)) * ELO_PER_NAT
    grade = np.sign(latent) * ((abs(latent) > TIE).astype(int) + (abs(latent) > STRONG))
    grade = grade.astype(np.int64)
    return replace(ballot, left_wins=(np.sign(grade) + 1) / 2, grade=grade)


def test_the_fit_is_the_maximum_a_general_optimiser_finds():
    ballot = graded_ballot(0, side=40, raters=15, votes_each=40)

    def loss(theta):
        scores, side, a, b = np.append(theta[:3], -theta[:3].sum()), theta[3], theta[4], theta[5]
        eta = scores[ballot.left] - scores[ballot.right] + side
        cuts = np.array([-np.inf, -b, -a, a, b, np.inf])
        upper, lower = cuts[ballot.grade + 3] - eta, cuts[ballot.grade + 2] - eta
        return -np.log(logistic.cdf(upper) - logistic.cdf(lower)).sum()

    found = minimize(
        loss,
        [0, 0, 0, 0, 0.5, 1.5],
        method="Nelder-Mead",
        options={"maxiter": 20000, "maxfev": 20000, "xatol": 1e-9, "fatol": 1e-11},
    )
    fit = fit_graded(ballot)
    scores = np.append(found.x[:3], -found.x[:3].sum()) * ELO_PER_NAT
    np.testing.assert_allclose(fit.scores, scores, atol=0.01)
    np.testing.assert_allclose([fit.side, *fit.thresholds], found.x[3:] * ELO_PER_NAT, atol=0.01)


def test_scores_side_and_thresholds_are_found_again_and_sharper_than_without_grades():
    ballot = graded_ballot(1, side=40, raters=60, votes_each=60)
    fit, plain = fit_graded(ballot), fit_outcomes(replace(ballot, grade=None))
    table = fit.to_frame().set_index("parameter")
    assert fit.plot().to_dict()["layer"], "it draws itself in a notebook"
    expected = dict(zip(ballot.arms, SCORES, strict=True))
    expected |= {"left side": 40, "tie threshold": TIE, "strong threshold": STRONG}
    for name, value in expected.items():
        row = table.loc[name]
        assert row["low"] < row["high"]
        assert abs(row["value"] - value) < 1.5 * (row["high"] - row["low"]), name
    ours, theirs = fit.difference(3, 0), plain.difference(3, 0)
    assert ours.high - ours.low < theirs.high - theirs.low


def test_intervals_hold_the_truth_as_often_as_stated():
    held = []
    for seed in range(120):
        bounds = fit_graded(graded_ballot(seed, raters=20, votes_each=20)).difference(3, 0)
        held.append(bounds.low <= SCORES[3] - SCORES[0] <= bounds.high)
    assert 0.89 <= np.mean(held) <= 0.99


def test_exchanging_the_sides_of_every_vote_changes_the_side_alone():
    ballot = graded_ballot(2, side=40, raters=10, votes_each=40)
    turned = replace(
        ballot, left=ballot.right, right=ballot.left, left_wins=1 - ballot.left_wins,
        grade=-ballot.grade,
    )  # fmt: skip
    one, other = fit_graded(ballot), fit_graded(turned)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)
    np.testing.assert_allclose(one.thresholds, other.thresholds, atol=1e-6)
    assert one.side == pytest.approx(-other.side, abs=1e-6)


def votes_with(ballot: Ballot, **columns):
    rows = [
        (ballot.arms[left], ballot.arms[right], NAMES[int(grade)])
        for left, right, grade in zip(ballot.left, ballot.right, ballot.grade, strict=True)
    ]
    return read_votes(votes_of(rows, rater=[f"r{n}" for n in ballot.rater], **columns))


def test_graded_votes_are_ranked_by_side_and_again_by_grade():
    ballot = graded_ballot(3, raters=12, votes_each=40)
    votes = votes_with(ballot)
    (read,) = ballots(votes)
    np.testing.assert_array_equal(read.grade, ballot.grade)
    np.testing.assert_array_equal(read.left_wins, ballot.left_wins)
    (result,) = analyse(votes)
    table = robustness_of(result, votes).table.set_index("analysis")
    row = table.loc["with the grades of answers (ordinal model)"]
    assert row["best"] == ballot.arms[3]
    assert row["kendall_tau"] == 1


def test_answers_without_grades_have_no_graded_fit_and_say_what_has():
    (plain,) = ballots(read_votes(votes_of([("a", "b", "left"), ("b", "a", "left")] * 3)))
    assert plain.grade is None
    with pytest.raises(AnalysisError, match="without a grade"):
        fit_graded(plain)
    rows = [("a", "b", "left_slightly"), ("b", "a", "left_slightly"), ("a", "b", "tie")] * 3
    (slight,) = ballots(read_votes(votes_of(rows)))
    with pytest.raises(AnalysisError, match="no strong grade"):
        fit_graded(slight)
    one_way = [("a", "b", name) for name in NAMES.values()] * 3
    with pytest.raises(AnalysisError, match="side can't be told"):
        fit_graded(ballots(read_votes(votes_of(one_way)))[0])


def test_a_mix_of_graded_and_plain_answers_has_no_grades():
    rows = [("a", "b", "left_slightly"), ("b", "a", "left"), ("a", "b", "right_strongly")]
    (ballot,) = ballots(read_votes(votes_of(rows)))
    assert ballot.grade is None
    assert ballot.left_wins.tolist() == [1, 1, 0]
