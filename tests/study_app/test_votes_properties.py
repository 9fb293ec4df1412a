"""Properties of votes: what is written reads back equal; a pair's answer counts once."""

from __future__ import annotations

import io
import json
import math
import shutil
import string

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from analysis.ballots import (
    ANSWERS,
    COLUMNS,
    EXPORTED,
    RATER_KINDS,
    counted,
    csv_text,
    restored_column,
    typed,
)
from study_app.making import create_study
from study_app.owner import to_jsonl, to_parquet, votes_frame
from study_app.rating import Study
from study_app.rules import Rules, filling_quota
from study_app.store import database_url

names = st.text(string.ascii_letters + string.digits + "_-.,;'\"ßé→ ", min_size=1, max_size=8)
names = names.filter(lambda name: name.strip() == name)
rows = st.fixed_dictionaries(
    {
        "study": names,
        "question": names,
        "prompt_id": names,
        "replica": st.integers(0, 9),
        "arm_left": names,
        "arm_right": names,
        "answer": st.sampled_from(list(ANSWERS)),
        "rater": names,
        "rater_kind": st.sampled_from(RATER_KINDS),
        "seconds": st.one_of(st.none(), st.integers(0, 10**6).map(lambda ms: ms / 1000)),
        "created_at": st.datetimes(pd.Timestamp(2000, 1, 1), pd.Timestamp(2099, 1, 1)).map(
            lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000)
        ),
        "assignment": names,
        "gold": st.sampled_from(["", "left", "right"]),
        "repeat_of": st.one_of(st.just(""), names),
        "excluded": st.sampled_from(["", "one side 1.00 > 0.9 (n = 10)"]),
        "revised": st.booleans(),
    }
)


A_VOTE = dict.fromkeys(
    ("study", "question", "prompt_id", "arm_left", "arm_right", "rater", "assignment"), "a"
) | {
    "replica": 0,
    "answer": "left",
    "rater_kind": "person",
    "seconds": None,
    "created_at": pd.Timestamp(2000, 1, 1),
    "gold": "",
    "excluded": "",
    "revised": False,
}


@given(st.lists(rows, min_size=1, max_size=6))
@example([A_VOTE | {"repeat_of": ""}, A_VOTE | {"repeat_of": "-", "arm_left": "'-b"}])
def test_votes_read_back_as_they_were_written(some):
    votes = typed(pd.DataFrame(some))
    text = {c.name: str for c in COLUMNS if c.kind in ("label", "text", "id")}
    read = pd.read_csv(io.StringIO(csv_text(votes)), dtype=text, keep_default_na=False,
                       na_values={"seconds": [""]})  # fmt: skip
    read[list(text)] = read[list(text)].apply(restored_column)
    pd.testing.assert_frame_equal(typed(read), votes, check_dtype=False)
    again = pd.read_parquet(io.BytesIO(to_parquet(votes)))
    pd.testing.assert_frame_equal(again, votes, check_dtype=False)
    lines = [json.loads(line) for line in to_jsonl(votes).decode().splitlines()]
    assert [tuple(line) for line in lines] == [EXPORTED] * len(votes)
    for name in text:
        assert [line[name] for line in lines] == votes[name].tolist()
    seconds = [math.nan if line["seconds"] is None else line["seconds"] for line in lines]
    np.testing.assert_allclose(seconds, votes["seconds"])


@pytest.fixture(scope="module")
def fresh(finished_run, tmp_path_factory):
    """The files of a study without votes, to be copied for each example."""
    folder = tmp_path_factory.mktemp("fresh")
    url = database_url(str(folder / "study.db"))
    rules = Rules(pairs_per_rater=8, extra_answers=("both_bad",), min_seconds=0)
    create_study(finished_run, url, rules=rules, password="x")
    return folder / "study.db"


PLAIN = [name for name, answer in ANSWERS.items() if answer.plain == name]  # no grades
actions = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([*PLAIN, "undo", "again"])), max_size=24
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions)
def test_however_raters_click_and_take_back_each_pair_has_one_vote_that_stands(
    fresh, tmp_path_factory, actions
):
    """A model of two raters beside the study: they answer, take back and click again."""
    copy = shutil.copy(fresh, tmp_path_factory.mktemp("example") / "study.db")
    study = Study.open(database_url(str(copy)), writable=True)
    try:
        tokens = [study.join(), study.join()]
        standing: list[dict[str, str]] = [{}, {}]
        last: list[str | None] = [None, None]
        taken_back = 0
        for who, action in actions:
            if action == "undo":
                undone = study.undo(tokens[who])
                assert undone == (last[who] is not None)
                if undone:
                    del standing[who][last[who]]
                    taken_back += 1
                    last[who] = None
            elif action == "again":
                for pair in standing[who]:
                    assert study.vote(tokens[who], pair, "left", 1.0) == "repeated"
            elif (pair := study.turn(tokens[who]).current) is not None:
                assert study.vote(tokens[who], pair.assignment, action, 1.0) == "accepted"
                standing[who][pair.assignment] = action
                last[who] = None if pair.again else pair.assignment
        votes = votes_frame(study)
        stands = votes[counted(votes)]
        assert dict(zip(stands["assignment"], stands["answer"], strict=True)) == (
            standing[0] | standing[1]
        )
        assert stands["assignment"].is_unique
        assert int(votes["revised"].sum()) == taken_back
        assert len(votes) == len(stands) + taken_back
        assert len(filling_quota(votes)) == len(stands)
    finally:
        study.close()
