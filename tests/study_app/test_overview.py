from __future__ import annotations

import io
import math

import pandas as pd
import pytest
from scipy.stats import binomtest

from analysis.ballots import EXPORTED
from study_app.owner import rater_table, side_bias, to_csv, votes_frame, votes_per_hour, write_votes
from study_app.owner.overview import wilson


@pytest.fixture
def votes() -> pd.DataFrame:
    """Five votes to check by hand."""
    rows = [
        ("q", "ann", "person", "left", 2.0, "2026-05-01 10:05"),
        ("q", "ann", "person", "tie", 4.0, "2026-05-01 10:59"),
        ("q", "bob", "person", "left", 3.0, "2026-05-01 12:00"),
        ("q", "ann", "person", "right", 9.0, "2026-05-01 12:30"),
        ("q", "sim", "simulated", "right", 1.0, "2000-01-01 00:00"),
    ]
    names = ["question", "rater", "rater_kind", "answer", "seconds", "created_at"]
    return pd.DataFrame(rows, columns=names).assign(
        created_at=lambda table: pd.to_datetime(table["created_at"], utc=True)
    )


def test_side_bias_counts_decided_votes_and_keeps_simulated_ones_apart(votes):
    people, simulated = side_bias(votes).to_dict("records")
    assert (people["rater_kind"], people["left"], people["tie"], people["right"]) == (
        "person", 2, 1, 1,
    )  # fmt: skip
    assert people["left_share"] == pytest.approx(2 / 3)
    assert simulated["left_share"] == 0


def test_votes_per_hour_shows_the_empty_hour_too(votes):
    assert votes_per_hour(votes, "person")["votes"].tolist() == [2, 0, 2]
    assert votes_per_hour(votes[:0], "person").empty


def test_the_rater_table_has_the_busiest_person_first(votes):
    table = rater_table(votes)
    assert table["rater"].tolist() == ["ann", "bob", "sim"]
    assert table["median_seconds"].tolist() == [4.0, 3.0, 1.0]
    assert table["left"].tolist() == pytest.approx([1 / 3, 1.0, 0.0])


@pytest.mark.parametrize(("successes", "n"), [(0, 5), (3, 7), (40, 40), (520, 1000)])
def test_wilson_equals_scipys(successes, n):
    expected = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert wilson(successes, n) == pytest.approx((expected.low, expected.high))


def test_a_share_of_nothing_has_no_interval():
    assert all(math.isnan(bound) for bound in wilson(0, 0))


def test_votes_csv_has_the_agreed_columns_and_reads_back(sqlite_study, tmp_path):
    token = sqlite_study.join()
    for answer in ("left", "tie", "right"):
        pair = sqlite_study.turn(token).current
        sqlite_study.vote(token, pair.assignment, answer, None if answer == "tie" else 1.23456)
    assert write_votes(sqlite_study, tmp_path / "votes.csv") == 3
    read = pd.read_csv(tmp_path / "votes.csv")
    assert tuple(read.columns) == EXPORTED
    assert read["answer"].tolist() == ["left", "tie", "right"]
    assert read["seconds"].tolist() == pytest.approx([1.235, math.nan, 1.235], nan_ok=True)
    assert read["study"].unique().tolist() == ["tiny"]
    assert read["created_at"].str.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00").all()
    assert token not in (tmp_path / "votes.csv").read_text(), "a token would let others vote"


def test_a_study_without_votes_exports_the_header_alone(sqlite_study):
    content = to_csv(votes_frame(sqlite_study))
    assert pd.read_csv(io.BytesIO(content)).empty
    assert content.decode().strip() == ",".join(EXPORTED)
