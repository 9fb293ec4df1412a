"""Rules of exclusion look at conduct alone; figures for the owner, checked by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from analysis.ballots import counted
from study_app.errors import EntryRefused
from study_app.making import create_from_design
from study_app.owner import (
    delete_rater,
    live_elo,
    rater_table,
    status_text,
    time_to_finish,
    votes_frame,
)
from study_app.rating import Study
from study_app.rules import (
    ExcludeTable,
    GoldTable,
    QuestionTable,
    RatersTable,
    StudyDesign,
    VotesTable,
    exclusions,
    filling_quota,
)
from study_app.rules.design import EntryTable

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def votes_of(*rows: dict[str, object]) -> pd.DataFrame:
    """Votes with the columns of votes.csv; what a row leaves out is ordinary."""
    usual = {
        "question": "q", "prompt_id": "p", "replica": 0, "arm_left": "a", "arm_right": "b",
        "answer": "left", "rater": "ann", "rater_kind": "person", "seconds": 2.0,
        "created_at": NOON, "gold": "", "repeat_of": "", "excluded": "", "revised": False,
    }  # fmt: skip
    votes = pd.DataFrame([usual | {"assignment": f"v{n}"} | row for n, row in enumerate(rows)])
    return votes.assign(created_at=pd.to_datetime(votes["created_at"], utc=True))


def test_wrong_answers_to_gold_pairs_exclude_and_say_how_many():
    votes = votes_of(
        *({"gold": "left", "answer": answer} for answer in ("right", "tie", "left")),
        *({"gold": "right", "answer": "right", "rater": "bob"} for _ in range(3)),
        *({"gold": "right", "answer": "left", "rater": "cat"} for _ in range(2)),
    )
    rules = ExcludeTable(gold_accuracy_below=0.5, min_answers=3)
    assert exclusions(votes, rules) == {"ann": "gold accuracy 0.33 < 0.5 (n = 3)"}


def test_haste_and_one_sided_answers_exclude():
    quick = [{"seconds": seconds, "rater": "ann"} for seconds in (0.2, 0.3, None, 9.0)]
    same = [{"answer": "left", "rater": "bob"} for _ in range(10)]
    both = [{"answer": answer, "rater": "cat"} for answer in ("left", "right", "tie", "tie")]
    rules = ExcludeTable(median_seconds_below=0.5, one_side_above=0.9, min_answers=3)
    assert exclusions(votes_of(*quick, *same, *both), rules) == {
        "ann": "median time 0.30 s < 0.5 s (n = 3)",
        "bob": "one side 1.00 > 0.9 (n = 10)",
    }


def test_nine_answers_on_one_side_are_no_reason_yet():
    """Chance alone: of fair raters with three answers, a quarter have all on one side."""
    votes = votes_of(*({"answer": "left"} for _ in range(9)), {"answer": "tie"})
    assert exclusions(votes, ExcludeTable(one_side_above=0.9, min_answers=1)) == {}


def test_an_answer_taken_back_is_no_reason():
    votes = votes_of(
        {"gold": "left", "answer": "right", "revised": True}, {"gold": "left", "answer": "left"}
    )
    assert exclusions(votes, ExcludeTable(gold_accuracy_below=0.9, min_answers=1)) == {}


def test_a_repeated_pair_with_swapped_sides_is_alike_when_the_same_image_wins():
    votes = votes_of(
        {"assignment": "x", "answer": "left"},
        {"assignment": "y", "answer": "left"},
        {"assignment": "z", "answer": "tie"},
        {"repeat_of": "x", "arm_left": "b", "arm_right": "a", "answer": "right"},
        {"repeat_of": "y", "arm_left": "b", "arm_right": "a", "answer": "left"},
        {"repeat_of": "z", "arm_left": "b", "arm_right": "a", "answer": "tie"},
    )
    rules = ExcludeTable(repeat_agreement_below=0.7, min_answers=3)
    assert exclusions(votes, rules) == {"ann": "repeat agreement 0.67 < 0.7 (n = 3)"}


@pytest.mark.parametrize("winner", ["a", "b"])
def test_which_arm_wins_never_decides_who_is_excluded(winner):
    """Swapping the arms' names throughout changes no reason."""
    rules = ExcludeTable(
        gold_accuracy_below=0.9, median_seconds_below=1, one_side_above=0.8,
        repeat_agreement_below=0.9, min_answers=1,
    )  # fmt: skip
    other = "b" if winner == "a" else "a"
    votes = votes_of(
        *({"arm_left": winner, "arm_right": other, "answer": "left"} for _ in range(10)),
        *(
            {"arm_left": other, "arm_right": winner, "answer": "right", "rater": "bob"}
            for _ in range(10)
        ),
    )
    assert set(exclusions(votes, rules)) == {"ann", "bob"}


def test_repeats_count_for_scores_and_excluded_raters_for_nothing():
    votes = votes_of(
        {},
        {"gold": "left"},
        {"repeat_of": "v0"},
        {"revised": True},
        {"excluded": "gold accuracy 0.33 < 0.5 (n = 3)"},
    )
    assert filling_quota(votes)["assignment"].tolist() == ["v0"]
    assert votes.loc[counted(votes), "assignment"].tolist() == ["v0", "v2"]


def test_the_time_to_finish_follows_the_present_pace():
    hours = [NOON - timedelta(hours=hour) for hour in (2, 1, 0.5, 0.25)]
    votes = votes_of(*({"created_at": time} for time in hours))
    forecast = time_to_finish(votes, {"q": 10}, NOON)
    assert (forecast.votes, forecast.per_hour) == (6, pytest.approx(2.0))
    assert forecast.remaining == timedelta(hours=3)
    assert time_to_finish(votes, {"q": 4}, NOON).remaining == timedelta(0)
    later = time_to_finish(votes, {"q": 10}, NOON + timedelta(days=3))
    assert (later.remaining, later.reason) == (None, "no votes in the last 24 hours")


def test_excluded_votes_stay_in_the_data_flagged_and_out_of_the_scores(run, sqlite_url):
    design = StudyDesign(
        raters=RatersTable(pairs=6),
        gold=GoldTable(per_rater=2),
        exclude=ExcludeTable(gold_accuracy_below=1.0, min_answers=2),
    )
    create_from_design(design, sqlite_url, run=run, password="x")
    study = Study.open(sqlite_url)
    try:
        careless, careful = study.join(), study.join()
        for token, gold_answer in ((careless, "tie"), (careful, None)):
            while (turn := study.turn(token)).current is not None:
                study.vote(token, turn.current.assignment, gold_answer or "left", 1.0)
        votes = votes_frame(study)
        table = rater_table(votes).set_index("rater")
        reasons = votes.groupby("rater")["excluded"].first()
        first = votes["rater"].iloc[0]
        assert reasons[first] == "gold accuracy 0.00 < 1 (n = 2)"
        assert len(votes) == 16, "nothing is removed"
        assert table.loc[first, "gold_accuracy"] == 0
        assert table.loc[first, "excluded"] == reasons[first]
        assert f"excluded: {first}, gold accuracy" in status_text(study)
        kept = live_elo(votes, "photorealism", "person")["votes"].sum()
        excluded_alone = votes[votes["rater"] == first]
        assert kept <= 2 * (len(votes) - len(excluded_alone))
        assert live_elo(excluded_alone, "photorealism", "person").empty
    finally:
        study.close()


def rate(study: Study, token: str, answer: str, seconds: float) -> int:
    """Answer all there is for a rater; return how many pairs that was."""
    answered = 0
    while (turn := study.turn(token)).current is not None:
        assert study.vote(token, turn.current.assignment, answer, seconds) == "accepted"
        answered += 1
    return answered


@pytest.fixture
def hasty_study(run, url):
    """Ten pairs, one vote each, for people who take two seconds or longer; two places."""
    design = StudyDesign(
        questions=[QuestionTable(key="photorealism", pairs=10)],
        votes=VotesTable(per_pair=1),
        raters=RatersTable(pairs=5, max=2),
        exclude=ExcludeTable(median_seconds_below=2.0, min_answers=3),
        entry=EntryTable(by="open"),
    )
    create_from_design(design, url, run=run, password="x")
    study = Study.open(url)
    yield study
    study.close()


def test_pairs_of_excluded_raters_and_their_places_go_to_others(hasty_study):
    study = hasty_study
    for _ in range(2):
        assert rate(study, study.admit({}), "left", 1.0) == 5
    told = status_text(study)
    assert "0 of 10 votes (0%)" in told, "votes that can't be used are no progress"
    assert [rate(study, study.admit({}), "right", 3.0) for _ in range(2)] == [5, 5]
    with pytest.raises(EntryRefused, match="all the people"):
        study.admit({})
    votes = votes_frame(study)
    assert len(votes) == 20
    usable = filling_quota(votes)
    assert len(usable) == 10
    assert not usable.duplicated(["prompt_id", "arm_left", "arm_right"]).any()
    assert "10 of 10 votes (100%)" in status_text(study)


def test_pairs_of_somebody_excluded_who_left_early_go_to_the_next_who_comes(hasty_study):
    study = hasty_study
    early = study.admit({})
    for _ in range(3):
        study.vote(early, study.turn(early).current.assignment, "left", 0.7)
    assert rate(study, study.admit({}), "left", 3.0) == 5
    assert rate(study, study.admit({}), "left", 3.0) == 3, "which had an answer before"
    assert len(filling_quota(votes_frame(study))) == 8


def test_deleting_an_excluded_rater_gives_nothing_back_twice(hasty_study):
    study = hasty_study
    rate(study, study.admit({}), "left", 1.0)
    delete_rater(study, votes_frame(study)["rater"].iloc[0])
    assert [rate(study, study.admit({}), "right", 3.0) for _ in range(2)] == [5, 5]
    assert len(votes_frame(study)) == 10
    with pytest.raises(EntryRefused):
        study.admit({})
