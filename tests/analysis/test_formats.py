"""Votes in the files and columns that other tools and data sets write."""

import gzip
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import VotesError, ballots, read_votes, win_matrix
from analysis.ballots import LAYOUTS, layout_of, names_raters
from analysis.errors import AnalysisWarning

OURS = pd.DataFrame({
    "question": "beauty", "prompt_id": ["007", "008", "007"], "replica": [0, 1, 0],
    "arm_left": ["a", "b", "a"], "arm_right": ["b", "a", "b"],
    "answer": ["left", "right", "tie"], "rater": ["r1", "r2", "r2"], "seconds": [1.5, None, 2],
    "created_at": pd.to_datetime(["2026-01-02T03:04:05Z"] * 3), "gold": ["", "", ""],
    "revised": [False, False, False],
})  # fmt: skip
WON = [[0, 2.5], [0.5, 0]]


def write(path, table):
    """Write a table as the end of its path's name says."""
    kind = path.name.partition(".")[2]
    text = table.to_json(orient="records", date_format="iso", lines=kind != "json")
    if kind == "parquet":
        return table.to_parquet(path)
    if kind.startswith("csv"):
        return table.to_csv(path, index=False, compression="infer")
    packed = text.encode() if not kind.endswith("gz") else gzip.compress(text.encode(), mtime=0)
    return path.write_bytes(packed)


def wins(votes):
    (ballot,) = ballots(votes)
    return win_matrix(ballot).tolist()


@pytest.mark.parametrize(
    "name", ["v.csv", "v.csv.gz", "v.parquet", "v.jsonl", "v.jsonl.gz", "v.json", "v"]
)
def test_every_kind_of_file_holds_the_same_votes(tmp_path, name):
    path = tmp_path / name
    write(tmp_path / "v.parquet" if name == "v" else path, OURS)
    if name == "v":  # told by what is in it, not by its name
        (tmp_path / "v.parquet").rename(path)
    votes = read_votes(path)
    assert wins(votes) == WON
    assert list(votes["prompt_id"].astype(str)) == ["007", "008", "007"]
    assert list(votes["replica"].astype(str)) == ["0", "1", "0"]
    assert votes["seconds"].tolist()[::2] == [1.5, 2]


def test_frames_of_other_libraries_are_read():
    assert wins(read_votes(pa.Table.from_pandas(OURS))) == WON

    class Exporting:  # what polars and DuckDB offer
        def __arrow_c_stream__(self, requested_schema=None):
            return pa.Table.from_pandas(OURS).__arrow_c_stream__(requested_schema)

    assert wins(read_votes(Exporting())) == WON
    with pytest.raises(VotesError, match="found list, expected a path or a table"):
        read_votes([1, 2])


def test_a_study_without_votes_is_an_empty_file_of_lines(tmp_path):
    path = tmp_path / "v.jsonl"
    path.touch()
    assert ballots(read_votes(path)) == []


def task(annotations, **data):
    return {"id": 1, "data": data, "annotations": annotations}


def said(side, by, **more):
    result = {"from_name": "realism", "type": "pairwise", "value": {"selected": side}}
    return {"id": by, "completed_by": by, "lead_time": 3.5, "result": [result], **more}


PAIR = {"arm_left": "a", "arm_right": "b", "prompt": "a cat"}
TOOLS = {
    "Arena": (
        pd.DataFrame({
            "model_a": ["a", "b", "a", "a"], "model_b": ["b", "a", "b", "b"],
            "winner": ["model_a", "model_b", "tie (bothbad)", "model_b"],
            "judge": ["u1", "u2", "u2", "u3"], "anony": [True, True, True, False],
            "tstamp": [1682351591.1, 1682351592, 1682351593, 1682351594],
        }), "preference",
    ),
    "one-hot": (
        pd.DataFrame({
            "model_a": ["a", "b", "a"], "model_b": ["b", "a", "b"], "prompt": ["p", "p", "q"],
            "winner_model_a": [1, 0, 0], "winner_model_b": [0, 1, 0], "winner_tie": [0, 0, 1],
        }), "preference",
    ),
    "evalica": (
        pd.DataFrame({"left": ["a", "b", "a"], "right": ["b", "a", "b"],
                      "winner": ["left", "right", "tie"]}), "preference",
    ),
    "GenAI-Arena": (
        pd.DataFrame({"left_model": ["a", "b", "a"], "right_model": ["b", "a", "b"],
                      "vote_type": ["leftvote", "rightvote", "bothbad_vote"]}), "preference",
    ),
    "Pick-a-Pic": (
        pd.DataFrame({"model_0": ["a", "b", "a"], "model_1": ["b", "a", "b"],
                      "label_0": [1, 0, 0.5], "has_label": True, "user_id": [1, 2, 2],
                      "caption": ["p", "p", "q"], "image_0_url": "x.png"}), "preference",
    ),
    "HPDv3": (
        pd.DataFrame({"model1": ["a", "a", "b"], "model2": ["b", "b", "a"], "path1": "1.jpg",
                      "path2": "2.jpg", "prompt": ["p", "p", "q"],
                      "choice_dist": [[1, 0], None, [1, 2]]}), "preference",
    ),
    "Rapidata": (
        pd.DataFrame({"model1": ["a", "b"], "model2": ["b", "a"], "votes_image1": [2, 1],
                      "votes_image2": [0, 2], "prompt": ["p", "q"]}), "preference",
    ),
    "chosen": (
        pd.DataFrame({"chosen_model": ["a", "a", "b"], "rejected_model": ["b", "b", "a"]}),
        "preference",
    ),
    "Label Studio": (
        [task([said("left", 1), said("left", 2), said("right", 3, was_cancelled=True),
               said("right", 4, ground_truth=True)], **PAIR),
         task([said("Tie", 3)], **PAIR)], "realism",
    ),
    "Label Studio CSV": (
        pd.DataFrame({"arm_left": "a", "arm_right": "b", "answer": ["left", "left", "Tie"],
                      "annotation_id": [1, 2, 3], "annotator": [1, 2, 2], "lead_time": 2.5}),
        "preference",
    ),
    "Argilla": (
        [{"id": "1", "fields": {"prompt": "a cat"}, "metadata": {"arm_left": "a", "arm_right": "b"},
          "responses": {"realism": [
              {"value": "left", "user_id": "u", "status": "submitted"},
              {"value": "left", "user_id": "v"},
              {"value": "right", "user_id": "w", "status": "discarded"},
              {"value": "tie", "user_id": "x", "status": "submitted"}]}}], "realism",
    ),
    "flat Argilla": (
        [{**PAIR, "realism.responses": ["left", "left", "tie", "right"],
          "realism.responses.users": ["u", "v", "w", "x"],
          "realism.responses.status": ["submitted"] * 3 + ["draft"]}], "realism",
    ),
}  # fmt: skip
EXPECTED = {"HPDv3": [[0, 4], [1, 0]], "Rapidata": [[0, 4], [1, 0]], "chosen": [[0, 2], [1, 0]]}


@pytest.mark.parametrize("kind", ["json", "jsonl", "parquet"])
@pytest.mark.parametrize("tool", TOOLS)
def test_votes_of_other_tools_are_read_as_they_are(tmp_path, tool, kind):
    table, question = TOOLS[tool]
    path = tmp_path / f"export.{kind}"
    if isinstance(table, pd.DataFrame):
        write(path, table)
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(table), path)
    else:
        lines = "\n".join(map(json.dumps, table))
        path.write_text(json.dumps(table) if kind == "json" else lines)
    votes = read_votes(path)
    (ballot,) = ballots(votes)
    assert ballot.question == question
    assert ballot.arms == ("a", "b")
    assert win_matrix(ballot).tolist() == EXPECTED.get(tool, WON)


def test_what_comes_along_is_kept(tmp_path):
    arena = read_votes(TOOLS["Arena"][0])
    assert list(arena["excluded"]) == ["", "", "", "models were named"]
    assert str(arena["created_at"].iloc[0]).startswith("2023-04-24")
    assert list(arena["answer"])[2] == "both_bad"
    assert names_raters(arena)
    assert not names_raters(read_votes(TOOLS["evalica"][0]))
    pick = read_votes(TOOLS["Pick-a-Pic"][0])
    assert list(pick["caption"]) == ["p", "p", "q"]
    assert set(pick["image_left"]) == {"x.png"}
    assert ballots(read_votes(TOOLS["HPDv3"][0]))[0].neutral.all()


def test_potato_needs_a_table_of_pairs(tmp_path):
    for user, answers in {"ann": [("7", {"Left": "1"}), ("8", {"Right": "1"})],
                          "ben": [("7", {"Tie": "1"})]}.items():  # fmt: skip
        folder = tmp_path / "annotation_output" / user
        folder.mkdir(parents=True)
        lines = [json.dumps({"id": id, "label_annotations": {"realism": label}})
                 for id, label in answers]  # fmt: skip
        (folder / "annotated_instances.jsonl").write_text("\n".join(lines))
    pairs = pd.DataFrame({"id": [7, 8], "arm_left": ["a", "b"], "arm_right": ["b", "a"]})
    votes = read_votes(tmp_path / "annotation_output", pairs=pairs)
    assert wins(votes) == WON
    assert set(votes["rater"]) == {"ann", "ben"}
    table = pd.DataFrame({"user": ["ann", "ann", "ben"], "instance_id": [7, 8, 7],
                          "realism:::Left": ["1", None, None], "realism:::selection":
                          [None, "B", "tie"]})  # fmt: skip
    assert wins(read_votes(table, pairs=pairs)) == WON
    with pytest.raises(VotesError, match=r"Potato's table without arm_left, arm_right .*--pairs"):
        read_votes(table)
    with pytest.raises(VotesError, match=r"pairs 8, which the table of pairs does not have"):
        read_votes(table, pairs=pairs[:1])
    with pytest.raises(VotesError, match="one row per pair with its id"):
        read_votes(table, pairs=pairs.rename(columns={"id": "number"}))


def test_columns_of_other_names_are_mapped():
    table = pd.DataFrame({"one": ["a", "b", "a"], "other": ["b", "a", "b"],
                          "better": ["A", "B", "same"], "who": ["u", "v", "v"]})  # fmt: skip
    names = {"arm_left": "one", "arm_right": "other", "answer": "better", "rater": "who"}
    assert wins(read_votes(table, columns=names)) == WON
    with pytest.raises(VotesError, match=r"names loser: found unknown column .*--column"):
        read_votes(table, columns={"loser": "one"})
    with pytest.raises(VotesError, match="names third: found no column of that name, expected one"):
        read_votes(table, columns={**names, "rater": "third"})
    with pytest.raises(VotesError, match="a table of votes without answer"):
        read_votes(table, columns={"arm_left": "one", "arm_right": "other"})


def test_rows_that_compare_nothing_are_left_out_and_counted():
    table = TOOLS["Pick-a-Pic"][0]
    more = pd.concat([table, table.assign(model_1=table["model_0"]), table.assign(has_label=False)])
    with pytest.warns(AnalysisWarning, match="3 pairs of one arm and 3 without an answer of 9"):
        votes = read_votes(more)
    assert wins(votes) == WON


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (TOOLS["evalica"][0].assign(winner=["left", "maybe", "tie"]), "row 2 .*answer 'maybe'"),
        (TOOLS["Rapidata"][0].assign(votes_image1=[1, -1]), "row 2: found votes_image1"),
        (pd.DataFrame({"human_preference": [1], "image_path": ["x"]}),
         "missing columns question, arm_left.*Other tables that are read: LMArena.*--column"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(table, words):
    with pytest.raises(VotesError, match=words):
        read_votes(table)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\3\4rest", "found a workbook or a ZIP archive, expected votes as CSV, Parquet"),
        (b"SQLite format 3\0", "found an SQLite database.*study export"),
        (b"PAR1 cut short", "expected a whole file of votes"),
        (b'{"question": ', "expected a whole file of votes"),
        (b'{"question": "q"}\n{"quest', "expected a whole file of votes"),
        (b'["left", "right"]', "expected a JSON list with one object per vote"),
        (gzip.compress(b"question,arm" * 99, mtime=0)[:-9], r"expected a (whole file|UTF-8)"),
    ],
)
def test_a_damaged_or_foreign_file_is_told(tmp_path, content, words):
    path = tmp_path / "votes"
    path.write_bytes(content)
    with pytest.raises(VotesError, match=words):
        read_votes(path)


def test_a_folder_without_annotations_is_no_votes(tmp_path):
    with pytest.raises(VotesError, match=r"a folder without annotated_instances\.jsonl"):
        read_votes(tmp_path)


def test_pictures_in_a_table_are_not_read(tmp_path):
    pictures = [{"bytes": b"\x89PNG", "path": "x.png"}] * 3
    table = pa.Table.from_pandas(TOOLS["Pick-a-Pic"][0])
    table = table.append_column("jpg_0", pa.array([b"\xff\xd8"] * 3))
    pq.write_table(table.append_column("image", pa.array(pictures)), tmp_path / "v.parquet")
    votes = read_votes(tmp_path / "v.parquet")
    assert not {"jpg_0", "image"} & set(votes)
    assert wins(votes) == WON


def test_every_layout_is_documented_and_recognised_by_its_own_columns():
    reference = (Path(__file__).parents[2] / "docs/reference/files.md").read_text("utf-8")
    for layout in LAYOUTS:
        assert f"| {layout.name} |" in reference
        names = [need.replace("*", "realism") for need in layout.needs]
        assert layout_of(names) is layout
