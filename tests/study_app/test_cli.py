from __future__ import annotations

import io
import json
import shlex
import subprocess
import sys

import pandas as pd
import pytest

from glide_eval.cli import main
from tests.fakes import ARMS
from tests.study_app.conftest import ROOT


@pytest.fixture
def cli(capsys):
    """Runs `glide-eval study …`; exit status and what it printed."""

    def run(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["study", *map(str, arguments)])
        printed = capsys.readouterr()
        return ended.value.code, printed.out + printed.err

    return run


def test_a_study_from_create_to_export(cli, run):
    status, text = cli("create", run.root, "--pairs", 10, "--votes-per-pair", 3)
    assert status == 0
    assert "20 pairs from" in text
    assert "60 votes" in text
    assert "Owner's password, shown only now: " in text
    assert f"glide-eval study serve {run.root}" in text

    status, text = cli("simulate", run.root, "--raters", 6)
    assert (status, "60 SIMULATED votes" in text) == (0, True)

    status, text = cli("export", run.root)
    assert (status, "Wrote 60 votes" in text) == (0, True)
    assert pd.read_csv(run.votes_path)["rater_kind"].unique().tolist() == ["simulated"]


def test_a_study_file_from_create_to_fork_and_backup(cli, run, tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(f'[[runs]]\npath = "{run.root}"\n[entry]\nby = "invite"\n')
    status, text = cli("create", "--study", path)
    assert (status, "120 pairs from" in text) == (0, True)
    assert f"glide-eval study serve {run.root}" in text

    status, text = cli("invite", run.root, "--count", 3, "--url", "https://example.org/")
    assert status == 0
    assert len(set(text.split())) == 3
    assert all(line.startswith("https://example.org/?invite=") for line in text.split())

    for command, word in (("pause", "Paused"), ("resume", "Open"), ("close", "Closed")):
        status, text = cli(command, run.root)
        assert (status, text.startswith(word)) == (0, True)
    assert "CLOSED" in cli("status", run.root)[1]
    assert cli("codes", run.root) == (0, ""), "nobody is done"
    assert cli("resume", run.root)[0] == 2

    path.write_text(path.read_text() + "[votes]\nper_pair = 5\n")
    status, text = cli("serve", run.root, "--port", 0)
    assert (status, "votes.per_pair: 2 → 5" in text) == (2, True)
    fork = tmp_path / "fork.db"
    status, text = cli("fork", run.root, "--study", path, "--out", fork)
    assert (status, "Forked: votes.per_pair: 2 → 5." in text) == (0, True)
    assert "it wants 600 votes" in text

    status, text = cli("backup", "--db", fork, "--out", tmp_path / "copy.db")
    assert (status, "Copied the study with 0 votes" in text) == (0, True)
    assert cli("upgrade", "--db", tmp_path / "copy.db")[1].startswith("The study is up to date")


def test_status_for_scripts_says_what_the_text_says(cli, run, tmp_path):
    cli("create", run.root, "--pairs", 5)
    cli("simulate", run.root, "--raters", 4)
    told = json.loads(cli("status", run.root, "--json", "-")[1])
    assert (told["state"], told["arms"]) == ("open", [arm.name for arm in ARMS])
    assert told["raters"]["person"] == told["raters"]["person"] | {"raters": 0, "votes": {}}
    simulated = told["raters"]["simulated"]
    assert simulated["raters"] == 4
    assert sum(simulated["votes"].values()) == sum(told["wanted"].values()) == 20
    text = cli("status", run.root)[1]
    for question, table in simulated["elo"].items():
        assert f"Live Elo, {question}, SIMULATED raters" in text
        for row in table:
            assert f"{row['elo']:+.0f}" in text
    assert told["votes_per_hour"] is None, "people have given none"
    out = tmp_path / "status.json"
    assert cli("status", run.root, "--json", out) == (0, "")
    assert json.loads(out.read_text("utf-8"))["wanted"] == told["wanted"]


def test_status_for_scripts_of_a_study_that_people_have_finished(cli, sqlite_study, run):
    while (pair := sqlite_study.turn(token := sqlite_study.join()).current) is not None:
        while pair is not None:
            sqlite_study.vote(token, pair.assignment, "left", 1.0)
            pair = sqlite_study.turn(token).current
    told = json.loads(cli("status", run.root, "--json", "-")[1])
    assert sum(told["raters"]["person"]["votes"].values()) == sum(told["wanted"].values()) > 0
    assert (told["hours_left"], told["votes_per_hour"]) == (0.0, None)


def test_a_refused_import_leaves_no_study(cli, tmp_path):
    votes, db = tmp_path / "votes.csv", tmp_path / "study.db"
    for text in (
        "question,arm_left,arm_right,answer,rater\nq,a,b,perhaps,r1\n",
        "name,colour\na,red\n",
        "",
    ):
        votes.write_text(text)
        status, told = cli("import", votes, "--db", db)
        assert (status > 0, told.startswith("glide-eval: ")) == (True, True)
        assert not list(tmp_path.glob("study.db*"))
    votes.write_text("question,arm_left,arm_right,answer,rater\nq,a,b,left,r1\n")
    assert cli("import", votes, "--db", db)[0] == 0, "nothing is in the way of the next one"


@pytest.mark.postgres
def test_a_command_that_is_printed_runs_as_it_stands(cli, run, postgres):
    url = postgres.new_database().set(password="se cret")
    server = url.render_as_string(hide_password=False)
    status, text = cli("create", run.root, "--pairs", 5, "--db", server)
    assert (status, "***" in text) == (0, False)
    (line,) = (line for line in text.splitlines() if "study serve" in line)
    words = shlex.split(line.partition("glide-eval study serve ")[2])
    assert cli("status", *words)[0] == 0


def test_votes_leave_in_any_format_and_come_back(cli, run, tmp_path):
    cli("create", run.root, "--pairs", 5)
    cli("simulate", run.root, "--raters", 4)
    for name in ("csv", "parquet", "jsonl"):
        assert cli("export", run.root, "--format", name)[0] == 0
        assert (run.root / f"votes.{name}").stat().st_size > 0
    status, text = cli("import", run.votes_path, "--db", tmp_path / "again.db")
    assert (status, "Imported 20 votes of 4 raters" in text) == (0, True)
    assert "Live Elo" in cli("status", "--db", tmp_path / "again.db")[1]
    assert cli("import", tmp_path / "none.csv", "--db", tmp_path / "b.db")[0] == 2
    for name in ("parquet", "jsonl"):
        told = cli("import", run.root / f"votes.{name}", "--db", tmp_path / f"{name}.db")[1]
        assert "Imported 20 votes of 4 raters" in told


def test_votes_in_another_tools_columns_are_a_study_too(cli, tmp_path):
    battles = tmp_path / "battles.csv"
    battles.write_text(
        "model_a,model_b,winner,judge,anony\n"
        "m1,m2,model_a,j1,True\nm2,m1,tie (bothbad),j2,True\nm1,m2,model_b,j2,False\n"
    )
    told = cli("import", battles, "--db", tmp_path / "study.db")[1]
    assert "Imported 2 votes of 2 raters on 2 arms" in told  # one battle named its models
    assert cli("export", "--db", tmp_path / "study.db", "--out", tmp_path / "out.csv")[0] == 0
    votes = pd.read_csv(tmp_path / "out.csv")
    assert list(votes["answer"]) == ["left", "both_bad"]
    assert list(votes["arm_left"]) == ["m1", "m2"]


def test_a_raters_data_are_deleted_only_when_confirmed(cli, run, monkeypatch):
    cli("create", run.root)
    cli("simulate", run.root, "--raters", 2, "--votes", 10)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    arguments = ("delete-rater", run.root, "--rater", "simulated-0-0000")
    assert cli(*arguments)[0] == 130
    status, text = cli(*arguments, "--yes")
    assert (status, "5 votes were deleted" in text) == (0, True)
    assert cli(*arguments, "--yes")[0] == 2, "nobody is known by that any more"


def test_a_password_given_is_not_printed(cli, run, monkeypatch):
    monkeypatch.setenv("GLIDE_EVAL_OWNER_PASSWORD", "open sesame")
    status, text = cli("create", run.root)
    assert status == 0
    assert "sesame" not in text


def test_a_study_that_is_not_there_is_told_in_one_paragraph_with_status_2_as_any_file(
    cli, run, tmp_path
):
    for arguments in (
        ("status", run.root),  # no study yet
        ("export", "--db", tmp_path / "none.db"),
        ("simulate", run.root),
        ("serve", run.root),
    ):
        status, text = cli(*arguments)
        assert status == 2, arguments
        assert text.startswith("glide-eval: ")
        assert text.count("\n") == 1


def test_failures_end_with_one_paragraph_and_status_1(cli, run):
    assert cli("create", run.root)[0] == 0
    status, text = cli("create", run.root)
    assert (status, text.count("\n")) == (1, 1)
    assert text.startswith("glide-eval: ")


def test_wrong_usage_ends_with_status_2(cli, run):
    for arguments in (
        ("create", run.root, "--pairs", 0),
        ("create", run.root, "--pairs", 1000),
        ("create", run.root, "--question", "beauty"),
        ("create", run.root, "--db", "mysql://host/db"),
        ("status",),
        ("create",),
        ("create", run.root / "nowhere"),
        ("create", "--study", run.root / "none.toml"),
        ("create", run.root, "--study", run.config_path, "--pairs", 3),
        ("serve", run.root, "--port", 70000),
    ):
        assert cli(*arguments)[0] == 2, arguments
    assert not run.study_path.exists()


def test_the_study_commands_never_import_torch():
    code = (
        "import sys, study_app.commands.study, study_app.making.create, "
        "study_app.making.simulate, study_app.owner.status, study_app.views.rate; "
        "sys.exit('torch' in sys.modules or 'generator' in sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, check=True, stderr=-3)
