"""Arms with equal scores share a rank everywhere, and equal orders are the same."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from analysis.ballots import ballots, read_votes, win_matrix
from analysis.claims import sensitivity
from analysis.report.inputs import ReportInputs
from analysis.scores import compare_arms, elo_table, fit_elo, ranks_of, sandwich
from tests.analysis.reports import page_of
from tests.analysis.simulated import votes_of


def level_votes() -> pd.DataFrame:
    """Three arms that beat each other equally often, and votes of one second."""
    rows = [(x, y, answer) for x, y in ("ab", "bc", "ca") for answer in ("left", "right")] * 7
    frame = votes_of(rows, seconds=2.0)
    return frame.assign(rater=[f"r{i % 7}" for i in range(len(rows))])


def test_equal_scores_share_the_smaller_rank():
    assert ranks_of(np.array([3.0, 3 + 1e-9, 1, 0, 0])).tolist() == [1, 1, 3, 4, 4]
    (ballot,) = ballots(read_votes(level_votes()))
    fit = fit_elo(win_matrix(ballot), ballot.arms)
    intervals = sandwich(fit, ballot)
    assert elo_table(fit, intervals)["rank"].tolist() == [1, 1, 1]
    assert compare_arms(intervals).ranks["rank"].tolist() == [1, 1, 1]


def test_the_same_ties_are_the_same_order():
    rules = {"all": lambda votes: np.ones(len(votes), bool)}
    found = sensitivity(read_votes(level_votes()), "photorealism", rules=rules)
    assert found.table["kendall_tau"].tolist() == [1, 1]
    assert found.table["best"].tolist() == ["", ""]  # nobody leads alone
    assert found.scores["rank"].tolist() == [1] * 6


def test_a_tie_broken_is_half_a_change():
    votes = read_votes(level_votes())
    broken = {"broken": lambda v: ~((v["arm_left"] == "a") & (v["answer"] == "right")).to_numpy()}
    table = sensitivity(votes, "photorealism", rules=broken).table
    assert -1 < table["kendall_tau"][1] < 1
    assert table["best"][1] == "a"


def test_the_report_says_how_far_arms_that_share_the_first_rank_are_above_the_unguided(tmp_path):
    rows = [
        (x, y, "left" if y == "unguided" else answer)
        for x, y in (("a", "b"), ("a", "unguided"), ("b", "unguided"))
        for answer in ("left", "right")
    ] * 7
    rows += [(x, "unguided", "right") for x in "ab"] * 4  # else nothing bounds the lead
    votes = votes_of(rows, seconds=2.0).assign(rater=[f"r{i % 7}" for i in range(len(rows))])
    names, kinds = ["unguided", "a", "b"], ["unguided", "imported", "imported"]
    arms = pd.DataFrame(
        {"name": names, "label": ["Unguided", "A", "B"], "strategy": kinds, "scale": np.nan}
    )
    page = page_of(ReportInputs(
        title="Level", arms=arms, metrics=None, votes=votes, samples=None, root=tmp_path,
        provenance={}, command="",
    ))  # fmt: skip
    assert re.search(r"A and B share the first rank, \d+ Elo above unguided .* of votes\.", page)


def test_the_report_names_all_arms_that_share_the_first_rank(tmp_path):
    arms = pd.DataFrame({"name": list("abc"), "label": list("abc"), "strategy": "imported",
                         "scale": np.nan})  # fmt: skip
    page = page_of(ReportInputs(
        title="Level", arms=arms, metrics=None, votes=level_votes(), samples=None, root=tmp_path,
        provenance={}, command="",
    ))  # fmt: skip
    assert "All 3 arms share the first rank." in page
    assert "order other arms differently" not in page
    assert "The ranking is the same in all" in page
