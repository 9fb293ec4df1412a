"""Twelve raters, three of them excluded: every number is of the same votes, and sums add up."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.ballots import counted, exclusions, left_out, read_votes
from analysis.raters import (
    rater_screens,
    response_times,
    side_bias,
    study_conduct,
)
from analysis.report.words.methods import set_aside_words
from tests.analysis.simulated import votes_of

CASE = Path(__file__).parent / "data" / "three_excluded.csv"  # 720 votes, 120 of them on gold pairs


@pytest.fixture(scope="module")
def votes() -> pd.DataFrame:
    return read_votes(CASE)


@pytest.fixture(scope="module")
def conduct(votes) -> pd.DataFrame:
    return study_conduct(votes).set_index("measure")


def test_conduct_is_of_the_votes_that_count(conduct):
    values = {"votes": 450, "raters": 9, "votes_per_rater": 50, "side_bias": 0.48,
              "repeat_consistency": 48 / 90, "gold_accuracy": 82 / 90}  # fmt: skip
    assert conduct.loc[list(values), "value"].to_dict() == pytest.approx(values)
    assert conduct.loc[["side_bias", "repeat_consistency", "gold_accuracy"], "n"].tolist() == [
        450, 90, 90,
    ]  # fmt: skip


def test_bounds_of_shares_lie_within_0_and_1_around_the_value(conduct):
    shares = conduct.loc[["tie_share", "side_bias", "repeat_consistency", "gold_accuracy"]]
    assert (shares["low"] >= 0).all()
    assert (shares["high"] <= 1).all()
    assert ((shares["low"] <= shares["value"]) & (shares["value"] <= shares["high"])).all()


def test_sides_add_up_to_the_votes_and_give_the_reports_share(votes, conduct):
    sides = side_bias(votes)
    assert (sides.left, sides.tie, sides.right) == (216, 0, 234)
    row = conduct.loc["side_bias"]
    assert (sides.bias.value, sides.bias.interval.low, sides.bias.interval.high) == (
        row["value"], row["low"], row["high"],
    )  # fmt: skip


def test_the_votes_left_out_add_up(votes):
    assert left_out(votes) == {"gold": 120, "excluded": 150}
    assert exclusions(votes) == {"one side": 150}
    assert counted(votes).sum() + sum(left_out(votes).values()) == len(votes) == 720


def test_the_methods_paragraph_counts_each_vote_once(votes):
    words = set_aside_words(votes)
    assert "120 on gold pairs" in words
    assert "150 by the study's exclusion rules (150 one side)" in words
    assert "450 of 720 votes count" in words


def test_reasons_of_exclusion_add_up_whatever_else_sets_votes_aside():
    columns = pd.DataFrame(
        {
            "gold": ["left", "", "", "", ""],
            "revised": [False, True, False, False, False],
            "excluded": ["too fast", "too fast", "too fast", "one side", ""],
        }
    )
    votes = read_votes(votes_of([("a", "b", "left")] * 5).join(columns))
    assert left_out(votes) == {"gold": 1, "revised": 1, "excluded": 2}
    numbers = [int(n) for n in re.findall(r"\d+", set_aside_words(votes))]
    assert numbers == [1, 1, 2, 1, 1, 1, 5]


def test_gold_answers_that_were_revised_or_excluded_are_no_evidence_of_accuracy():
    columns = {"gold": "left", "revised": [True, False, False], "excluded": ["", "rule", ""]}
    answers = [("a", "b", "right"), ("a", "b", "right"), ("a", "b", "left")]
    kept = votes_of([("a", "b", "left")]).assign(gold="", revised=False, excluded="")
    votes = read_votes(pd.concat([votes_of(answers, **columns), kept], ignore_index=True))
    row = study_conduct(votes).set_index("measure").loc["gold_accuracy"]
    assert (row["value"], row["n"]) == (1.0, 1)


def test_screens_show_excluded_raters_only_on_demand(votes):
    assert len(rater_screens(votes)) == 9
    everyone = rater_screens(votes, with_excluded=True).set_index("rater")
    assert len(everyone) == 12
    assert everyone.loc["r0", ["left_share", "repeat_consistency"]].tolist() == [0.96, 1.0]
    assert everyone.loc["r11", "gold_accuracy"] == 0.2


def test_response_times_are_the_percentiles_of_known_times():
    seconds = [1.0, 2, 3, 4, np.nan, 100]
    frame = votes_of([("a", "b", "left")] * 6, seconds=seconds, excluded=[""] * 5 + ["slow"])
    times = response_times(read_votes(frame))
    assert (times.n, times.p50) == (4, 2.5)
    assert times.p10 == pytest.approx(1.3)
    nothing = response_times(read_votes(votes_of([("a", "b", "left")])))
    assert nothing.n == 0
    assert np.isnan(nothing.p50)
