"""`glide-eval report` on a run folder."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from glide_eval.cli import main
from tests.fakes import make_fake_run

from .reports import draw_votes


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
    assert run_command(str(tmp_path)) == 0
    assert "No votes yet" in (tmp_path / "report" / "index.html").read_text("utf-8")


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
