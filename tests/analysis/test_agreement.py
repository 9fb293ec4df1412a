"""Agreement between raters, with themselves and with known answers; screens and sensitivity."""

from __future__ import annotations

import krippendorff
import numpy as np
import pandas as pd
import pytest

from analysis.ballots import read_votes
from analysis.claims import sensitivity
from analysis.raters import (
    agreement,
    gold_accuracy,
    rater_screens,
    repeat_consistency,
    study_conduct,
)
from tests.analysis.simulated import ballot_frame, draw_ballot, votes_of

ANSWERS = np.array(["left", "right", "tie"])


def answered(answers: np.ndarray, seen: np.ndarray) -> pd.DataFrame:
    """Votes of (units, raters) answer codes, where seen, sides turned for every other rater."""
    rows = []
    for u, r in np.argwhere(seen):
        answer, turned = answers[u, r], r % 2
        pair = ("b", "a") if turned else ("a", "b")
        shown = ANSWERS[1 - answer if turned and answer < 2 else answer]
        rows.append((*pair, shown, f"p{u}", f"r{r}"))
    columns = ["arm_left", "arm_right", "answer", "prompt_id", "rater"]
    return read_votes(pd.DataFrame(rows, columns=columns).assign(question="q"))


def alike(rng: np.random.Generator, units: int, raters: int, share: float) -> np.ndarray:
    """Answers that are the unit's own in a share of cases, else anything."""
    own = rng.integers(0, 3, (units, 1))
    return np.where(rng.random((units, raters)) < share, own, rng.integers(0, 3, (units, raters)))


@pytest.mark.parametrize("seed", range(3))
def test_alpha_equals_the_krippendorff_package(seed):
    rng = np.random.default_rng(seed)
    answers, seen = alike(rng, 40, 6, 0.5), rng.random((40, 6)) < 0.6
    _, alpha = agreement(answered(answers, seen), rounds=0)
    table = np.where(seen, answers, np.nan).T
    theirs = krippendorff.alpha(reliability_data=table, level_of_measurement="nominal")
    assert alpha.value == pytest.approx(theirs, abs=1e-12)


def test_alphas_interval_holds_the_value_of_endless_units():
    truth = 0.25  # two raters agree by their unit's answer in 0.5² of cases, else by chance
    held = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        votes = answered(alike(rng, 80, 3, 0.5), np.ones((80, 3), bool))
        bounds = agreement(votes, rounds=300)[1].interval
        held.append(bounds.low <= truth <= bounds.high)
    assert 0.89 <= np.mean(held) <= 0.99


def test_agreement_by_hand():
    # Two units of two raters: one agrees, one doesn't. Observed 1/2; of 4 answers 3 left, 1 right:
    # chance disagreement 2·3·1/(4·3) = 1/2, so alpha = 0.
    answers = np.array([[0, 0], [0, 1]])
    raw, alpha = agreement(answered(answers, np.ones((2, 2), bool)))
    assert raw.value == 0.5
    assert alpha.value == pytest.approx(0, abs=1e-12)
    assert "only 2 pairs" in alpha.interval.reason


def test_repeats_are_found_by_their_column_or_by_a_second_vote_on_a_pair():
    rows = [("a", "b", "left"), ("b", "a", "right"), ("a", "c", "left"), ("a", "c", "tie"),
            ("b", "c", "left")]  # fmt: skip
    frame = votes_of(rows, rater=["x", "x", "y", "y", "y"], prompt_id="p")
    found = repeat_consistency(read_votes(frame))
    assert (found.value, found.n) == (0.5, 2)
    frame["assignment"] = list("12345")
    frame["repeat_of"] = ["", "1", "", "", ""]
    named = repeat_consistency(read_votes(frame))
    assert (named.value, named.n) == (1.0, 1)
    none = repeat_consistency(read_votes(votes_of(rows[:1])))
    assert none.reason == "no rater saw a pair twice"


def test_gold_accuracy_counts_gold_pairs_and_nothing_else_does():
    rows = [("a", "b", "left"), ("a", "a", "right"), ("a", "a", "left"), ("b", "b", "tie")]
    frame = votes_of(rows, rater=list("xxyz"), gold=["", "right", "right", "tie"])
    votes = read_votes(frame)
    found = gold_accuracy(votes)
    assert (found.value, found.n) == (pytest.approx(2 / 3), 3)
    table = study_conduct(votes).set_index("measure")
    assert table.loc["votes", "value"] == 1
    assert table.loc["gold_accuracy", "n"] == 3
    assert "no gold pairs" in gold_accuracy(votes.drop(columns="gold")).reason


def test_screens_flag_habits_and_never_opinions():
    rng = np.random.default_rng(0)
    frame = ballot_frame(draw_ballot(np.array([0, 100.0, 200]), 6, 30, rng))
    rater = frame["rater"]
    frame.loc[rater == "r0001", "seconds"] = 0.3
    frame.loc[rater == "r0002", "answer"] = "left"
    frame.loc[rater == "r0003", "answer"] = "both_bad"
    frame.loc[rater == "r0004", "answer"] = "right"
    table = rater_screens(read_votes(frame)).set_index("rater")
    assert table["flags"].to_dict() == {
        "r0000": "", "r0001": "too fast", "r0002": "one side", "r0003": "always ties",
        "r0004": "one side", "r0005": "",
    }  # fmt: skip
    assert table.loc["r0001", "fast_share"] == 1
    assert np.isnan(table.loc["r0000", "gold_accuracy"])


def test_sensitivity_shows_a_ranking_that_hangs_on_who_is_believed():
    rng = np.random.default_rng(1)
    frame = ballot_frame(draw_ballot(np.array([0, 200.0]), 8, 40, rng))
    liars = frame["rater"].isin(["r0000", "r0001", "r0002", "r0003", "r0004"])
    frame.loc[liars, "answer"] = np.where(frame.loc[liars, "arm_left"] == "arm0", "left", "right")
    frame["excluded"] = np.where(liars, "too fast", "")
    found = sensitivity(read_votes(frame), "photorealism")
    table = found.table.set_index("rule")
    assert table.index[0] == "the study's own"
    assert table.loc["the study's own", ["best", "kendall_tau", "largest_change"]].tolist() == [
        "arm1", 1.0, 0.0,
    ]  # fmt: skip
    assert table.loc["with excluded votes", "best"] == "arm0"
    assert table.loc["with excluded votes", "kendall_tau"] == -1
    assert table.loc["without the most influential rater", "raters"] == 2
    assert set(found.scores["rule"]) == set(table.index)


def test_sensitivity_takes_rules_of_ones_own():
    frame = ballot_frame(draw_ballot(np.zeros(3), 6, 20, np.random.default_rng(2)))
    votes = read_votes(frame)
    found = sensitivity(
        votes, "photorealism",
        rules={"first half": lambda v: np.arange(len(v)) < 60, "none": lambda v: np.zeros(len(v))},
    )  # fmt: skip
    assert found.table["votes"].tolist() == [120, 60, 0]
    assert "no two arms are linked" in found.table["reason"].iloc[2]


def test_sensitivity_compares_only_arms_that_votes_link():
    rows = [("a", "b", "left"), ("b", "a", "left"), ("c", "d", "left"), ("d", "c", "left")]
    frame = votes_of(rows * 3 + [("a", "b", "left")], seconds=[5.0] * 12 + [0.1])
    row = sensitivity(read_votes(frame), "photorealism").table.iloc[1]
    # a leads b by one vote of seven, and by none without the fast one; c and d are even.
    assert row["rule"] == "without votes under 1 s"
    assert row["largest_change"] == pytest.approx(400 * np.log10(4 / 3))
    assert row["best"] == ""
