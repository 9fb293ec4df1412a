from __future__ import annotations

import io
import json
import math

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from analysis.ballots import EXPORTED, typed
from study_app.owner import look_at, rater_table, to_csv, votes_frame, votes_per_hour, write_votes
from study_app.rating import Study


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
    rest = {"study": "s", "prompt_id": "p", "replica": 0, "arm_left": "a", "arm_right": "b",
            "gold": "", "repeat_of": "", "excluded": "", "revised": False}  # fmt: skip
    votes = pd.DataFrame(rows, columns=names).assign(**rest)
    return typed(votes.assign(assignment=[f"v{n}" for n in range(len(votes))]))


def test_votes_per_hour_shows_the_empty_hour_too(votes):
    assert votes_per_hour(votes, "person")["votes"].tolist() == [2, 0, 2]
    assert votes_per_hour(votes[:0], "person").empty


def test_the_rater_table_has_the_busiest_person_first(votes):
    table = rater_table(votes)
    assert table["rater"].tolist() == ["ann", "bob", "sim"]
    assert table["seconds"].tolist() == [4.0, 3.0, 1.0]
    assert table["left_share"].tolist() == [1 / 2, 1.0, 0.0], "of votes for a side"


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


def _charts_of(study: Study) -> list[dict]:
    """Return what the owner's page draws of the scores, as Vega-Lite reads it."""

    def page(study, look) -> None:
        from study_app.views.owner_live import live

        live(study, look)

    shown = AppTest.from_function(page, args=(study, look_at(study)), default_timeout=60).run()
    assert not shown.exception
    return [json.loads(chart.proto.spec) for chart in shown.get("vega_lite_chart")]


def test_the_charts_of_two_questions_share_scale_and_columns(sqlite_study):
    for answers in (["left", "right", "tie", "left"], ["left"] * 8, ["right"] * 8):
        token = sqlite_study.join()
        for answer in answers:
            sqlite_study.vote(token, sqlite_study.turn(token).current.assignment, answer, 2.0)
    charts = _charts_of(sqlite_study)
    assert len(charts) == len(sqlite_study.info.questions) == 2
    scales, names = set(), set()
    for chart in charts:
        for layer in chart["layer"]:
            scales.add(str(layer["encoding"]["x"]["scale"]["domain"]))
            axis = layer["encoding"]["y"]["axis"]
            names.add((axis["minExtent"], axis["maxExtent"], axis["labelLimit"]))
    assert len(scales) == 1, "equal scores stand at one place"
    assert len(names) == 1, "names take equal room, so the charts begin at one place"
