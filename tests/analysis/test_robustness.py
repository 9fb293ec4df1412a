"""What the report says of a ranking: other analyses, categories, raters, and more votes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from analysis.ballots import ballots, read_votes, win_matrix
from analysis.claims.robustness import robustness_of
from analysis.errors import ReportError
from analysis.planning import NextVotes, next_votes
from analysis.raters import numbered_screens, study_conduct
from analysis.report import ReportInputs
from analysis.report.words.next_votes import next_votes_words
from analysis.report.words.raters import conduct_words, printed_screens, screens_words
from analysis.report.words.robustness import (
    categories_words,
    printed_categories,
    side_and_ties,
    unsettled,
    verdict,
)
from analysis.report.write import build
from analysis.scores import analyse, fit_elo, win_probability
from tests.analysis.reports import NAMES, draw_votes, page_of
from tests.analysis.simulated import votes_of

LABELS = {name: name.upper() for name in NAMES}
ARMS = ("a", "b", "c")


def found_in(votes: pd.DataFrame, categories: dict[str, str] | None = None):
    ready = read_votes(votes)
    return robustness_of(analyse(ready, rounds=20)[0], ready, categories)


def three_arms(count: int, seed: int, prompts: int = 30) -> pd.DataFrame:
    """Votes on a, b, c at 100, 0 and −100 Elo by 20 raters."""
    rng = np.random.default_rng(seed)
    left = rng.integers(0, 3, count)
    right = (left + rng.integers(1, 3, count)) % 3
    won = rng.random(count) < win_probability(100.0 * (right - left))
    return pd.DataFrame(
        {"question": "photorealism", "prompt_id": np.char.mod("p%02d", np.arange(count) % prompts),
         "arm_left": np.array(ARMS)[left], "arm_right": np.array(ARMS)[right],
         "answer": np.where(won, "left", "right"),
         "rater": np.char.mod("r%02d", rng.integers(0, 20, count)), "seconds": 5.0}
    )  # fmt: skip


def test_a_clear_ranking_is_said_to_hold_in_every_other_analysis():
    found = found_in(three_arms(1500, 1))
    assert list(found.table["analysis"]) == [
        "as reported", "without the most influential rater", "with a side term",
        "with raters weighed by quality (Crowd-BT)",
    ]  # fmt: skip
    assert (found.table["kendall_tau"] == 1).all()
    assert (
        verdict(found, LABELS) == "The ranking is the same in all 3 other analyses of these votes."
    )
    assert unsettled(found, LABELS) == []


def test_a_leader_made_by_fast_votes_is_told_in_the_first_sentences():
    votes = three_arms(1500, 2)
    votes["rater"] = np.char.mod("r%03d", np.arange(len(votes)) // 12)
    fast = pd.DataFrame(
        {"question": "photorealism", "prompt_id": "p00", "arm_left": "c", "arm_right": "a",
         "answer": "left", "rater": np.char.mod("bot%02d", np.arange(800) // 16), "seconds": 0.4}
    )  # fmt: skip
    both = pd.concat([votes, fast], ignore_index=True)
    found = found_in(both)
    plain = fit_elo(win_matrix(ballots(read_votes(votes))[0]), ARMS)
    row = found.table.set_index("analysis").loc["without votes under 1 s"]
    assert found.table["best"].iloc[0] == "c"
    assert row["best"] == ARMS[int(np.argmax(plain.scores))] == "a"
    assert row["votes"] == 1500
    arms = pd.DataFrame({"name": ARMS, "strategy": "imported", "scale": None, "label": ARMS})
    page = page_of(ReportInputs("Fast", arms, votes=both))
    assert "But who leads hangs on the analysis: a without votes under 1 s" in page
    assert "50 of 175 raters stand out (too fast 50, one side 50)" in page


def test_side_and_ties_are_read_off_davidsons_model():
    votes = pd.concat(
        [votes_of([("a", "b", "left"), ("b", "a", "left")] * 40),
         votes_of([(*pair, answer) for pair in ("ab", "ba") for answer in ("right", "tie")] * 20)]
    )  # fmt: skip
    votes["rater"] = np.char.mod("r%d", np.arange(len(votes)) % 10)
    found = found_in(votes)
    # 80 lefts, 40 rights and 40 ties between equal arms: the side is worth 400 log10(80 / 40).
    assert found.outcomes.side == pytest.approx(400 * np.log10(2), abs=1e-6)
    assert "Standing on the left is worth 120 Elo" in side_and_ties(found)
    assert {"with a side term", "decided votes only"} <= set(found.table["analysis"])


def test_one_rater_has_no_other_analysis_that_fails():
    votes = votes_of([("a", "b", "left"), ("b", "a", "left"), ("a", "b", "tie")] * 3)
    votes["rater"] = "only"
    found = found_in(votes)
    assert found.table["note"].isin(["", "differences are of decided votes, so larger"]).all()
    assert next_votes(analyse(read_votes(votes), rounds=20)[0]) is None


def test_categories_that_disagree_are_told_apart_and_counted_equally():
    one, other = three_arms(900, 3), three_arms(300, 4)
    swapped = {"a": "c", "b": "b", "c": "a"}
    for side in ("arm_left", "arm_right"):
        other[side] = other[side].map(swapped)
    other["prompt_id"] = "q" + other["prompt_id"]
    votes = pd.concat([one, other], ignore_index=True)
    votes["category"] = np.where(votes["prompt_id"].str.startswith("q"), "things", "people")
    kinds = dict(zip(votes["prompt_id"], votes["category"], strict=True))
    found = found_in(votes, kinds)
    table = found.categories.table.set_index(["category", "arm"])["elo"]
    for kind in ("people", "things"):
        alone = fit_elo(win_matrix(ballots(read_votes(votes[votes["category"] == kind]))[0]), ARMS)
        np.testing.assert_allclose([table[kind, arm] for arm in ARMS], alone.scores, atol=1e-6)
    equal = found.table.set_index("analysis").loc["with prompt categories counted equally"]
    assert equal["votes"] == 1200
    told = categories_words(found, dict(zip(ARMS, ARMS, strict=True)))
    assert "depends on the category" in told
    assert "beside its mean over the categories" in told
    printed = printed_categories(found, dict(zip(ARMS, ARMS, strict=True)))
    assert list(printed.columns) == ["Arm", "people (900 votes)", "things (300 votes)"]
    arms = pd.DataFrame({"name": ARMS, "strategy": "imported", "scale": None, "label": ARMS})
    report = build([ReportInputs("Kinds", arms, votes=votes)])  # the column alone is enough
    assert report.parts[0].ballots[0].claims.robustness.categories is not None


def test_a_prompt_of_two_categories_is_refused():
    votes = three_arms(60, 5)
    votes["category"] = np.where(np.arange(60) < 30, "people", "things")
    arms = pd.DataFrame({"name": ARMS, "strategy": "imported", "scale": None, "label": ARMS})
    with pytest.raises(ReportError, match="p00 stands in the categories people, things"):
        build([ReportInputs("Kinds", arms, votes=votes)])


def test_votes_without_prompts_need_four_times_as_many_for_half_the_width():
    votes = read_votes(three_arms(600, 6).drop(columns="prompt_id"))
    result = analyse(votes, rounds=20)[0]
    found = next_votes(result)
    assert found.halved == pytest.approx(4 * 600)
    assert found.settled
    assert next_votes_words(found, ("a", "b")) == (
        "With more raters like these, intervals half as wide need about 2,400 votes in all "
        "(now 600)."
    )


def test_votes_to_find_a_gap_follow_from_its_error_and_80_percent_power():
    votes = three_arms(600, 7).drop(columns="prompt_id")
    votes = votes[~votes["arm_left"].eq("c") & ~votes["arm_right"].eq("c")]
    votes["answer"] = np.where(np.arange(len(votes)) % 2, "left", "right")
    result = analyse(read_votes(votes), rounds=20)[0]
    found = next_votes(result)
    contrast = np.array([1.0, -1.0])
    variance = contrast @ result.intervals.covariance.covariances[0] @ contrast
    needed = (1.959964 + 0.841621) ** 2 * variance / found.gap**2 * len(votes)
    assert not found.settled
    if needed <= 50 * len(votes):
        assert found.found == pytest.approx(needed, rel=1e-4)
    else:
        assert np.isnan(found.found)


def test_a_gap_out_of_reach_says_so_instead_of_a_number():
    told = next_votes_words(NextVotes(500, np.nan, 3.0, np.nan, False), ("A", "B"))
    assert "need more prompts" in told
    assert "Even 50 times the votes would not tell A from B, 3 Elo apart" in told
    told = next_votes_words(NextVotes(500, 2000.0, 30.0, 4321.0, False), ("A", "B"))
    assert told.endswith("to tell A from B, 30 Elo apart, about 4,300.")


def test_raters_are_numbered_and_never_named(tmp_path):
    votes = three_arms(400, 8)
    lazy = votes["rater"] == votes["rater"].iloc[0]
    votes["answer"] = np.where(lazy, "left", votes["answer"])
    votes["rater"] = votes["rater"].replace(votes["rater"].iloc[0], "jane@example.org")
    ready = read_votes(votes)
    screens = numbered_screens(ready)
    assert screens["question"].unique().tolist() == ["photorealism"]
    assert screens.loc[0, ["rater", "first_vote", "flags"]].tolist() == [1, 1, "one side"]
    assert screens["first_vote"].is_monotonic_increasing
    printed = printed_screens(screens)
    assert printed[["Rater", "Stands out by", "Left of decided"]].to_numpy().tolist() == [
        ["1", "one side", "100%"]
    ]
    assert "Gold right" not in printed
    assert "1 of 20 raters stands out (one side 1)" in screens_words(screens)
    arms = pd.DataFrame({"name": ARMS, "strategy": "imported", "scale": None, "label": ARMS})
    page = page_of(ReportInputs("Names", arms, votes=votes))
    assert "Raters that stand out" in page
    assert "jane" not in page


def test_conduct_is_said_in_sentences_only_where_there_is_something_to_say():
    votes = read_votes(draw_votes("person", "photorealism", 600))
    told = conduct_words(study_conduct(votes))
    assert "Half of the votes took longer than" in told
    assert "Krippendorff" in told
    bare = votes[["question", "arm_left", "arm_right", "answer", "rater", "rater_kind"]]
    few = bare.drop_duplicates("rater").reset_index(drop=True)
    assert "seconds" not in conduct_words(study_conduct(few))


def test_a_question_in_words_of_its_own_keeps_its_mark():
    votes = draw_votes("person", "Which is nicer?", 300)
    arms = pd.DataFrame({"name": NAMES, "strategy": "imported", "scale": None, "label": NAMES})
    page = page_of(dataclasses.replace(ReportInputs("Nice", arms), votes=votes))
    assert "<b>Which is nicer?</b>" in page
    assert "nicer?." not in page
    assert "For “Which is nicer?”, 15 raters gave 300 votes" in page
