"""Bad votes are refused by row; good ones are coded without loss."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from analysis.ballots import ballots, counted, left_out, read_votes, win_matrix
from analysis.ballots import csv_file as votes_file
from analysis.ballots import votes as votes_module
from analysis.errors import VotesError
from analysis.scores import fit_elo, sandwich
from tests.analysis.simulated import votes_of

GOOD = [("a", "b", "left"), ("b", "a", "tie"), ("a", "c", "right")]


def test_votes_become_one_ballot_a_question_with_arms_in_the_given_order():
    frame = votes_of(GOOD)
    frame.loc[2, "question"] = "caption_similarity"
    photo, caption = ballots(read_votes(frame, ["c", "b", "a"]))
    assert photo.question == "photorealism"
    assert caption.question == "caption_similarity"
    assert photo.arms == ("c", "b", "a")
    np.testing.assert_array_equal(photo.left, [2, 1])
    np.testing.assert_array_equal(photo.left_wins, [1.0, 0.5])
    assert photo.raters == 2
    assert caption.raters == 1


def test_people_and_simulated_raters_never_share_a_ballot():
    frame = votes_of(GOOD, rater_kind=["simulated", "person", "simulated"])
    found = ballots(read_votes(frame))
    assert [(b.rater_kind, b.votes) for b in found] == [("person", 1), ("simulated", 2)]


def test_no_votes_is_a_legal_answer():
    assert ballots(read_votes(votes_of([]), ["a", "b"])) == []


def test_csv_keeps_labels_that_look_like_numbers_or_nothing(tmp_path):
    path = tmp_path / "votes.csv"
    frame = votes_of([("NA", "None", "left"), ("None", "NA", "right")], prompt_id=["007", "07"])
    frame.to_csv(path, index=False)
    votes = read_votes(path)
    assert list(votes["arm_left"].cat.categories) == ["NA", "None"]
    assert list(votes["prompt_id"]) == ["007", "07"]


def test_the_given_table_is_left_as_it_was():
    frame = votes_of(GOOD, seconds=["1", "2", "3"])
    before = frame.copy()
    read_votes(frame)
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"answer": ["left", "neither", "tie"]}, "row 2.*unknown answer 'neither'.*left, right"),
        ({"answer": ["left", None, None]}, "rows 2, 3 .*empty answer"),
        ({"arm_left": ["a", "b", "c"]}, "row 3 .*compared with itself"),
        ({"arm_right": ["b", "a", "zebra"]}, "row 3.*unknown arm_right 'zebra'.*a, b, c"),
        ({"rater": ["r1", np.nan, "r3"]}, "row 2.*empty rater"),
        ({"rater_kind": ["person", "bot", "person"]}, "row 2.*unknown rater_kind 'bot'"),
        ({"assignment": ["x", "y", "x"]}, "row 3.*already answered"),
        ({"seconds": [1.0, -2.0, 3.0]}, "row 2.*seconds -2.0, expected a number"),
        ({"seconds": ["1", "soon", "3"]}, "row 2.*seconds 'soon', expected a number"),
    ],
)
def test_bad_rows_are_named(change, words):
    with pytest.raises(VotesError, match=words):
        read_votes(votes_of(GOOD, **change), ["a", "b", "c"])


def test_missing_columns_are_named():
    with pytest.raises(VotesError, match="missing columns answer, rater; found arm_left"):
        read_votes(votes_of(GOOD).drop(columns=["answer", "rater"]))


def test_many_bad_rows_are_counted_not_listed():
    with pytest.raises(VotesError, match=r"10 and 15 more .*unknown answer"):
        read_votes(votes_of([("a", "b", "yes")] * 25))


def test_column_names_in_other_letters_are_hinted_at():
    with pytest.raises(VotesError, match=r"found .*\(names are lower case, without spaces"):
        read_votes(votes_of(GOOD).rename(columns={"answer": "Answer"}))


def test_a_column_given_twice_is_refused():
    frame = votes_of(GOOD, prompt_id="p")
    with pytest.raises(VotesError, match="column rater more than once"):
        read_votes(frame.rename(columns={"prompt_id": "rater"}))


def test_optional_columns_without_a_value_are_as_good_as_none():
    (ballot,) = ballots(read_votes(votes_of(GOOD, prompt_id=None, assignment=None)))
    assert ballot.prompt is None
    with pytest.raises(VotesError, match=r"row 2 .*an empty prompt_id"):
        read_votes(votes_of(GOOD, prompt_id=["p", None, "q"]))


@pytest.mark.parametrize("kind", ["str", "string", "object", "category"])
def test_labels_are_the_same_however_pandas_holds_them(kind):
    frame = votes_of([("b", "a", "left"), ("a", "c", "tie")] * 3).astype(kind)
    votes = read_votes(frame)
    assert list(votes["arm_left"].cat.categories) == ["a", "b", "c"]
    assert list(votes["answer"]) == ["left", "tie"] * 3
    assert votes["rater"].cat.codes.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("early", [3, 10])
def test_a_label_or_a_gap_after_the_first_votes_is_not_missed(monkeypatch, early):
    monkeypatch.setattr(votes_module, "_EARLY", early)
    frame = votes_of([("b", "a", "left")] * 8 + [("c", "a", "tie")])
    votes = read_votes(frame)
    assert list(votes["arm_left"]) == ["b"] * 8 + ["c"]
    assert list(votes["answer"]) == ["left"] * 8 + ["tie"]
    frame.loc[8, "answer"] = None
    with pytest.raises(VotesError, match=r"row 9 .*empty answer"):
        read_votes(frame)


def test_questions_stand_in_the_order_of_the_votes():
    votes = read_votes(votes_of(GOOD, question=["zeal", "beauty", "zeal"]))
    assert list(votes["question"].cat.categories) == ["zeal", "beauty"]


USUAL = pa.default_memory_pool()
POOL = pa.proxy_memory_pool(USUAL)  # of one test alone: its peak is that test's
HEADER = "question,arm_left,arm_right,answer,rater"
ROWS = ["Qualität,größer,kleiner,left,Zoë", "Qualität,kleiner,größer,tie,Bob"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_spreadsheets_encodings_and_separators_are_read(tmp_path, encoding, separator):
    path = tmp_path / "votes.csv"
    text = "\r\n".join([HEADER, *ROWS, ""]).replace(",", separator)
    path.write_bytes(text.encode(encoding))
    votes = read_votes(path)
    assert list(votes["arm_left"].cat.categories) == ["größer", "kleiner"]
    assert list(votes["rater"]) == ["Zoë", "Bob"]
    (ballot,) = ballots(votes)
    np.testing.assert_array_equal(ballot.left_wins, [1, 0.5])


def test_a_header_alone_is_a_study_without_votes(tmp_path):
    path = tmp_path / "votes.csv"
    path.write_text(HEADER + "\n")
    assert ballots(read_votes(path, ["a", "b"])) == []
    path.write_text("question,arm_left,winner\n")
    with pytest.raises(VotesError, match="missing columns arm_right, answer, rater; found"):
        read_votes(path)


def test_votes_set_aside_are_kept_but_never_counted():
    rows = [("a", "b", "left")] * 5 + [("a", "a", "right"), ("a", "a+blur", "left")]
    frame = votes_of(
        rows,
        excluded=["", None, "too fast", "", "", "", ""],
        revised=[False, True, False, False, False, False, False],
        gold=["", "", "", "", "", "right", "left"],
    )
    frame.loc[3, "answer"] = "both_bad"
    votes = read_votes(frame)
    assert len(votes) == 7
    assert counted(votes).tolist() == [True, False, False, True, True, False, False]
    assert left_out(votes) == {"gold": 2, "revised": 1, "excluded": 1}
    (ballot,) = ballots(votes)
    assert ballot.arms == ("a", "b")
    np.testing.assert_array_equal(ballot.left_wins, [1, 0.5, 1])


def test_a_revised_answer_shares_its_assignment_with_the_one_that_stands():
    frame = votes_of(GOOD, assignment=["x", "x", "y"], revised=["true", "false", "false"])
    assert counted(read_votes(frame)).tolist() == [False, True, True]
    with pytest.raises(VotesError, match=r"row 2 .*already answered"):
        read_votes(frame.assign(revised="false"))


def test_repeated_assignments_are_found_among_many(monkeypatch):
    monkeypatch.setattr(votes_file, "_CHUNK", 4)
    monkeypatch.setattr(votes_module, "_MANY", 10)
    names = [f"a{i}" for i in range(20)]
    many = votes_of([("a", "b", "left")] * 20, assignment=names)
    assert len(read_votes(many)) == 20
    many.loc[17, "assignment"] = "a2"
    with pytest.raises(VotesError, match=r"row 18 .*already answered"):
        read_votes(many)


def test_a_large_csv_is_read_in_pieces_that_fit_together(tmp_path, monkeypatch):
    monkeypatch.setattr(votes_file, "_CHUNK", 3)
    frame = votes_of([("a", "b", "left"), ("c", "a", "tie"), ("b", "c", "right")] * 4)
    frame["note"] = [f"n{i}" for i in range(12)]
    frame["prompt_id"] = [f"{i:03d}" for i in range(12)]
    path = tmp_path / "votes.csv"
    frame.to_csv(path, index=False)
    pieces, whole = read_votes(path), read_votes(frame)
    assert list(pieces["note"]) == list(frame["note"])
    for name in ("arm_left", "arm_right", "answer", "rater", "prompt_id"):
        assert list(pieces[name].astype(str)) == list(whole[name].astype(str))
    np.testing.assert_array_equal(ballots(pieces)[0].left, ballots(whole)[0].left)


def test_of_a_very_large_csv_only_what_scores_need_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(votes_file, "_LARGE", 10)
    monkeypatch.setattr(votes_file, "_CHUNK", 2)
    frame = votes_of(GOOD, note="n", assignment=["x", "y", "z"], repeat_of=["", "", "x"])
    frame = frame.assign(rater="r", seconds=[1.5, 2, 3])
    path = tmp_path / "votes.csv"
    frame.to_csv(path, index=False)
    votes = read_votes(path)
    assert "note" not in votes
    assert votes["seconds"].tolist() == [1.5, 2, 3]
    assert votes["repeat_of"].isna().tolist() == [True, True, False]
    assert votes["repeat_of"][2] == votes["assignment"][0]  # by their hashes
    frame.assign(assignment=["x", "y", "x"]).to_csv(path, index=False)
    with pytest.raises(VotesError, match=r"row 3 .*already answered"):
        read_votes(path)
    frame.assign(assignment=["x", "", "z"]).to_csv(path, index=False)
    with pytest.raises(VotesError, match=r"row 2 .*empty assignment"):
        read_votes(path)


def test_a_vote_of_a_large_csv_takes_few_bytes(tmp_path, monkeypatch):
    # 10 million votes must fit in 2 GB; what does not grow with them is left out here.
    monkeypatch.setattr(votes_file, "_LARGE", 10)
    monkeypatch.setattr(votes_module, "_MANY", 10)
    monkeypatch.setattr(votes_file, "_CHUNK", 2000)
    path, count = tmp_path / "votes.csv", 60_000
    with path.open("w") as file:
        file.write(f"{HEADER},prompt_id,seconds,created_at,assignment\n")
        for i in range(count):
            sides = f"arm-{i % 16},arm-{(i + 1 + i // 16 % 15) % 16}"
            file.write(f"q,{sides},left,rater-{i % 50},p{i % 20},{i % 90 / 10},"
                       f"2026-01-01T12:00:00,assignment-{i:020d}\n")  # fmt: skip
    pa.set_memory_pool(POOL)
    tracemalloc.start()
    (ballot,) = ballots(read_votes(path))
    sandwich(fit_elo(win_matrix(ballot), ballot.arms), ballot)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    pa.set_memory_pool(USUAL)
    assert ballot.votes == count
    assert POOL.max_memory() > 0
    assert (peak + POOL.max_memory()) / count < 140


def test_seconds_of_a_european_spreadsheet_have_commas(tmp_path):
    path = tmp_path / "votes.csv"
    path.write_text("\n".join([f"{HEADER},seconds", f"{ROWS[0]},3.5"]).replace(",", ";")
                    .replace("3.5", "3,5"), encoding="utf-8")  # fmt: skip
    assert read_votes(path)["seconds"].tolist() == [3.5]


@pytest.mark.parametrize("rows", [[0], [1], [0, 1]])
def test_rows_of_more_fields_than_the_header_are_refused(tmp_path, rows):
    path = tmp_path / "votes.csv"
    lines = [line + ",more" * (i in rows) for i, line in enumerate(ROWS)]
    path.write_text("\n".join([HEADER, *lines]), encoding="utf-8")
    with pytest.raises(VotesError, match=r"votes\.csv: expected a UTF-8 CSV .*fields"):
        read_votes(path)


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b'a,b\n"never closed', b"\xff\xfeodd", b"PK\0\x81", None]
)
def test_a_file_that_is_no_csv_says_so(tmp_path, content):
    path = tmp_path / "votes.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(
        VotesError, match=r"votes\.csv: (no such file|found an empty file|expected a UTF-8)"
    ):
        read_votes(path)
