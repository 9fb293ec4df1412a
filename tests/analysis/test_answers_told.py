"""What was answered is told: “both bad” per arm, columns that nothing uses, what a prior links."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from analysis.ballots import ballots, counted, read_votes
from analysis.claims import answer_rates, sensitivity
from analysis.errors import VotesError
from analysis.report.inputs import ReportInputs
from analysis.report.words.methods import methods_notes
from analysis.report.write import build
from analysis.scores import clustered_share, fit_elo, fit_outcomes
from tests.analysis.reports import page_of
from tests.analysis.simulated import draw_ballot, votes_of


def votes_with_both_bad(**columns: object) -> pd.DataFrame:
    rows = [("a", "b", "left"), ("b", "a", "left"), ("b", "c", "both_bad"), ("c", "a", "left"),
            ("a", "c", "tie"), ("c", "b", "both_bad"), ("b", "c", "right")] * 6  # fmt: skip
    return votes_of(rows, **columns).assign(rater=[f"r{i % 6}" for i in range(len(rows))])


def inputs_of(votes: pd.DataFrame, root) -> ReportInputs:
    arms = pd.DataFrame({"name": list("abc"), "label": list("abc"), "strategy": "imported",
                         "scale": np.nan})  # fmt: skip
    return ReportInputs(
        title="Answers", arms=arms, metrics=None, votes=votes, samples=None, root=root,
        provenance={}, command="",
    )  # fmt: skip


def test_both_bad_has_a_rate_per_arm_with_its_interval():
    votes = read_votes(votes_with_both_bad())
    rates = answer_rates(votes).set_index(["answer", "arm"])
    assert rates.loc[("both_bad", "a"), "value"] == 0
    row = rates.loc[("both_bad", "b")]
    assert (row["count"], row["n"]) == (12, 30)
    own = ((votes["arm_left"] == "b") | (votes["arm_right"] == "b")).to_numpy()
    bounds = clustered_share(
        (votes["answer"] == "both_bad").to_numpy(float)[own],
        votes["rater"].cat.codes.to_numpy(np.int64)[own],
    )
    assert (row["low"], row["high"]) == (bounds.low, bounds.high)


def test_the_ranking_without_both_bad_votes_is_an_analysis():
    table = sensitivity(read_votes(votes_with_both_bad()), "photorealism").table.set_index("rule")
    assert table.loc["without “both bad” votes", "votes"] == 30


def test_the_report_tells_both_bad_and_columns_that_nothing_uses(tmp_path):
    inputs = inputs_of(votes_with_both_bad(weight=2.0, mood="fine"), tmp_path)
    page = page_of(inputs)
    assert "Votes without a winner" in page
    assert "no number uses: weight and mood" in page
    assert "Every vote counts once, whatever its weight" in page
    plain = votes_with_both_bad()
    plain = plain[plain["answer"] != "both_bad"]
    (part,) = build([inputs_of(plain, tmp_path)]).parts
    assert part.ballots[0].claims.answers.empty
    assert not any("no number uses" in note for note in
                   methods_notes(part.inputs, part.results, part.correlations))  # fmt: skip


@pytest.mark.parametrize("no", ["no", "No", " NO ", "n", "false", "0", ""])
def test_a_column_that_says_no_sets_nothing_aside(no):
    votes = pd.DataFrame({"excluded": [no, "too fast"], "revised": [no, no]})
    assert counted(votes).tolist() == [True, False]


def test_neutral_votes_have_no_side():
    rng = np.random.default_rng(0)
    ballot = draw_ballot(np.array([0.0, 40, 80]), 30, 60, rng)
    won = ballot.left_wins.copy()
    neutral = np.arange(ballot.votes) % 2 == 0
    lucky = ~neutral & (rng.random(ballot.votes) < 0.3)
    won[lucky] = 1  # the left is worth something, where there is one
    biased = dataclasses.replace(ballot, left_wins=won)
    marked = dataclasses.replace(biased, neutral=neutral)
    alone = dataclasses.replace(
        marked, left=marked.left[~neutral], right=marked.right[~neutral],
        left_wins=won[~neutral], rater=marked.rater[~neutral], neutral=None,
    )  # fmt: skip
    fit, unmarked, of_sided = map(fit_outcomes, (marked, biased, alone))
    assert unmarked.side < 0.7 * fit.side
    assert fit.side == pytest.approx(of_sided.side, abs=8)
    assert fit.side_interval().low > 0
    every = dataclasses.replace(biased, neutral=np.ones(ballot.votes, bool))
    np.testing.assert_allclose(
        fit_outcomes(every, side=False).scores, fit_outcomes(biased, side=False).scores
    )


def test_neutral_is_read_from_votes():
    votes = read_votes(votes_with_both_bad(neutral=["yes", "no"] * 21))
    (ballot,) = ballots(votes)
    assert ballot.neutral is not None
    assert ballot.neutral[:4].tolist() == [True, False, True, False]


def test_a_prior_says_what_it_alone_links():
    wins = np.zeros((4, 4))
    wins[0, 1] = wins[1, 0] = wins[2, 3] = wins[3, 2] = 3
    (note,) = fit_elo(wins, list("abcd"), prior=1).notes
    assert "alone links a, b; c, d" in note
    wins[1, 2] = wins[2, 1] = 1
    assert fit_elo(wins, list("abcd"), prior=1).notes == ()


def test_answers_with_capitals_and_spaces_and_excels_own_line_are_read(tmp_path):
    file = tmp_path / "votes.csv"
    file.write_text(
        "sep=;\nquestion;arm_left;arm_right;answer;rater\n"
        "q;a;b; Left ;r\nq;a;b;Both bad;r\nq;a;b;TIE;s\nq;b;a;left;s\n"
    )
    votes = read_votes(file)
    assert votes["answer"].tolist() == ["left", "both_bad", "tie", "left"]
    file.write_text(file.read_text().replace("TIE", "Draw"))
    with pytest.raises(VotesError, match=r"row 3.*unknown answer 'Draw'"):
        read_votes(file)
