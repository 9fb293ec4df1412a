"""`glide-eval report` on a run folder."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
import pytest

from glide_eval.cli import main
from tests.analysis.reports import draw_votes
from tests.fakes import ARMS, make_fake_run


def run_command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["report", *arguments])
    return int(stopped.value.code or 0)


def test_writes_the_report_into_the_run_and_prints_where(tmp_path, capsys):
    run = make_fake_run(tmp_path)
    draw_votes("simulated", "photorealism").to_csv(run.votes_path, index=False)
    assert run_command(str(tmp_path)) == 0
    assert capsys.readouterr().out == f"Report: {tmp_path / 'report' / 'index.html'}\n"
    page = (tmp_path / "report" / "index.html").read_text("utf-8")
    assert "All 600 votes" in page
    assert "equal noise" in page
    assert f"glide-eval report {tmp_path}" in page
    assert "glide-eval sweep fake.toml" in page


def test_a_reranked_arm_is_no_point_of_its_strategys_curve(tmp_path):
    run = make_fake_run(tmp_path)
    draw_votes("simulated", "photorealism").to_csv(run.votes_path, index=False)
    story = json.loads(run.provenance_path.read_text("utf-8"))
    (arm,) = (a for a in story["arms"] if a["name"] == "cfg-3")
    arm["reranked_by"] = "tabletop-clean"
    run.provenance_path.write_text(json.dumps(story), "utf-8")
    assert run_command(str(tmp_path)) == 0
    drawn = pd.read_csv(tmp_path / "report" / "figures" / "elo-vs-scale.csv").set_index("arm")
    assert pd.isna(drawn.loc["cfg-3", "scale"])
    assert drawn.loc["cfg-1.5", "scale"] == 1.5


def test_other_votes_and_another_folder_can_be_named(tmp_path, capsys):
    make_fake_run(tmp_path / "run")
    draw_votes("person", "photorealism").to_csv(tmp_path / "mine.csv", index=False)
    out = tmp_path / "elsewhere"
    options = ["--votes", str(tmp_path / "mine.csv"), "--out", str(out), "--title", "Ours"]
    assert run_command(str(tmp_path / "run"), *options) == 0
    page = (out / "index.html").read_text("utf-8")
    assert "<h1>Ours</h1>" in page
    assert "ranks first" in page
    assert not (tmp_path / "run" / "report").exists()


def test_a_run_without_votes_or_metrics_still_gets_a_report(tmp_path, capsys):
    run = make_fake_run(tmp_path)
    run.metrics_path.unlink()
    run.scores_path.unlink()
    assert run_command(str(tmp_path)) == 0
    assert "No votes yet" in (tmp_path / "report" / "index.html").read_text("utf-8")


def test_tables_without_rows_are_as_none(tmp_path):
    run = make_fake_run(tmp_path)
    for path in (run.metrics_path, run.scores_path):
        path.write_text(path.read_text("utf-8").partition("\n")[0] + "\n", "utf-8")
    draw_votes("person", "photorealism").to_csv(run.votes_path, index=False)
    assert run_command(str(tmp_path)) == 0
    assert "ranks first" in (tmp_path / "report" / "index.html").read_text("utf-8")


@pytest.mark.parametrize("content", ["", "arm,metric\nunguided,fid\n", "\x00\x01 no table"])
def test_a_damaged_metrics_file_ends_in_one_paragraph(tmp_path, capsys, content):
    run = make_fake_run(tmp_path)
    run.metrics_path.write_text(content)
    assert run_command(str(tmp_path)) == 1
    error = capsys.readouterr().err
    assert error.startswith("glide-eval: ")
    assert error.count("\n") == 1


def test_a_folder_that_is_no_run_ends_in_one_paragraph(tmp_path, capsys):
    assert run_command(str(tmp_path)) == 1
    assert "is not a run folder" in capsys.readouterr().err


def test_bad_votes_are_named_by_file_and_row(tmp_path, capsys):
    run = make_fake_run(tmp_path)
    votes = draw_votes("person", "photorealism", 30)
    pd.concat([votes, votes.tail(1)]).to_csv(run.votes_path, index=False)
    assert run_command(str(tmp_path)) == 1
    error = capsys.readouterr().err
    assert "votes.csv: row 31" in error
    assert "already answered" in error


def test_a_csv_of_votes_alone_gets_a_report_beside_it(tmp_path, capsys):
    votes = draw_votes("person", "photorealism", 200)
    votes = votes[["question", "arm_left", "arm_right", "answer", "rater"]]
    votes.to_csv(tmp_path / "theirs.csv", index=False)
    assert run_command("--votes", str(tmp_path / "theirs.csv"), "--format", "html,md") == 0
    folder = tmp_path / "theirs-report"
    page = (folder / "index.html").read_text("utf-8")
    assert "cfg-3 ranks first" in page
    assert f"glide-eval report --votes {tmp_path / 'theirs.csv'} --format html,md" in page
    assert "collected elsewhere" in page
    assert (folder / "report.md").is_file()


def test_a_file_without_votes_says_so(tmp_path, capsys):
    path = tmp_path / "v.csv"
    draw_votes("person", "photorealism", 30).head(0).to_csv(path, index=False)
    assert run_command("--votes", str(path)) == 1
    assert "v.csv: found a header and no votes" in capsys.readouterr().err


def test_arms_of_votes_alone_can_be_described(tmp_path, capsys):
    draw_votes("person", "photorealism", 300).to_csv(tmp_path / "v.csv", index=False)
    pd.DataFrame([arm.to_dict() for arm in ARMS])[["name", "strategy", "scale", "label"]].to_csv(
        tmp_path / "arms.csv", index=False
    )
    options = ["--votes", str(tmp_path / "v.csv"), "--arms", str(tmp_path / "arms.csv")]
    assert run_command(*options) == 0
    drawn = pd.read_csv(tmp_path / "v-report" / "figures" / "elo-vs-scale.csv")
    assert set(drawn["anchor"]) == {"Unguided"}
    (tmp_path / "arms.csv").write_text("name,label\na,b\n")
    assert run_command(*options) == 1
    assert "missing columns strategy, scale" in capsys.readouterr().err


def test_a_file_of_two_studies_is_two_studies_side_by_side(tmp_path, capsys):
    first = draw_votes("person", "photorealism", 150, 1).assign(study="may")
    second = draw_votes("person", "photorealism", 150, 2).assign(study="june")
    second["assignment"] += "-june"
    pd.concat([first, second]).to_csv(tmp_path / "v.csv", index=False)
    assert run_command("--votes", str(tmp_path / "v.csv"), "--out", str(tmp_path / "out")) == 0
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert "2 side by side" in page
    assert "v, may" in page
    assert "v, june" in page


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "Name a RUN folder"),
        (["RUN", "--arms", "x.csv"], "--arms describes the arms of votes without a RUN"),
        (["RUN", "RUN", "--votes", "x.csv"], "Found 2 runs and 1 --votes"),
        (["RUN", "--format", "docx"], "found docx, expected some of html, pdf, md"),
    ],
)
def test_wrong_usage_is_told_with_status_2(tmp_path, capsys, options, words):
    make_fake_run(tmp_path)
    given = [str(tmp_path) if option == "RUN" else option for option in options]
    assert run_command(*given) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_an_old_version_in_the_metrics_is_told_with_what_changed(tmp_path, capsys):
    run = make_fake_run(tmp_path)
    metrics = pd.read_csv(run.metrics_path)
    metrics["fingerprint"] = np.where(metrics["metric"] == "fid", "aaaaaaaa11", "bbbbbbbb22")
    metrics.to_csv(run.metrics_path, index=False)
    facts = {"aaaaaaaa11": {"resize": "bicubic"}, "bbbbbbbb22": {"resize": "bilinear"}}
    (tmp_path / "extractors.json").write_text(json.dumps(facts))
    assert run_command(str(tmp_path)) == 0
    page = (tmp_path / "report" / "index.html").read_text("utf-8")
    assert "resize differs: bicubic against bilinear" in page
    assert not (tmp_path / "report" / "figures" / "is-fid.svg").exists()


def test_progress_is_shown_on_a_terminal_and_nowhere_else(tmp_path, capsys, monkeypatch):
    run = make_fake_run(tmp_path)
    assert run_command(str(tmp_path)) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda self: True, raising=False)
    assert run_command(str(run.root)) == 0
    shown = capsys.readouterr().err
    steps = [
        "reading",
        "checking inputs",
        "drawing figures",
        "laying out the page",
        "writing files",
    ]
    places = [shown.index(step) for step in steps]
    assert places == sorted(places)


def test_categories_of_prompts_come_from_a_file(tmp_path, capsys):
    run = make_fake_run(tmp_path)
    draw_votes("person", "photorealism").to_csv(run.votes_path, index=False)
    kinds = tmp_path / "kinds.csv"
    names = [f"p{n:04d}" for n in range(12)]
    table = pd.DataFrame({"prompt_id": names, "category": ["people", "things"] * 6})
    table.to_csv(kinds, index=False)
    assert run_command(str(tmp_path), "--categories", str(kinds)) == 0
    page = (tmp_path / "report" / "index.html").read_text("utf-8")
    assert "By category of prompt" in page
    assert f"--categories {kinds}" in page
    scores = pd.read_csv(tmp_path / "report" / "tables" / "categories-photorealism.csv")
    assert set(scores["category"]) == {"people", "things"}
    table.rename(columns={"category": "kind"}).to_csv(kinds, index=False)
    assert run_command(str(tmp_path), "--categories", str(kinds)) == 1
    assert "missing column category" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--column", "arm_left=one"], "--column and --pairs say how --votes FILE is read"),
        (["--votes", "v.csv", "--column", "arm_left"], "expected OURS=THEIRS"),
    ],
)
def test_a_map_of_columns_that_says_nothing_is_wrong_usage(options, words, capsys):
    assert run_command(*options) == 2
    assert words in capsys.readouterr().err


def test_columns_of_other_names_make_a_report_and_stand_in_its_command(tmp_path):
    frame = draw_votes("person", "photorealism").rename(columns={"arm_left": "one"})
    frame.to_parquet(tmp_path / "v.parquet")
    out = tmp_path / "out"
    options = ["--votes", str(tmp_path / "v.parquet"), "--column", "arm_left=one"]
    assert run_command(*options, "--out", str(out), "--format", "md") == 0
    assert "ranks first" in (out / "report.md").read_text("utf-8")
