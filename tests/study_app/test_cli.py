from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest

from glide_eval.cli import main

from .conftest import ROOT


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


def test_a_password_given_is_not_printed(cli, run, monkeypatch):
    monkeypatch.setenv("GLIDE_EVAL_OWNER_PASSWORD", "open sesame")
    status, text = cli("create", run.root)
    assert status == 0
    assert "sesame" not in text


def test_failures_end_with_one_paragraph_and_status_1(cli, run, tmp_path):
    for arguments in (
        ("status", run.root),  # no study yet
        ("export", "--db", tmp_path / "none.db"),
        ("simulate", run.root),
        ("serve", run.root),
        ("create", tmp_path / "nowhere"),  # no run
    ):
        status, text = cli(*arguments)
        assert status == 1, arguments
        assert text.startswith("glide-eval: ")
        assert text.count("\n") == 1


def test_wrong_usage_ends_with_status_2(cli, run):
    for arguments in (
        ("create", run.root, "--pairs", 0),
        ("create", run.root, "--pairs", 1000),
        ("create", run.root, "--question", "beauty"),
        ("create", run.root, "--db", "mysql://host/db"),
        ("status",),
        ("serve", run.root, "--port", 70000),
    ):
        assert cli(*arguments)[0] == 2, arguments
    assert not run.study_path.exists()


def test_the_study_commands_never_import_torch():
    code = (
        "import sys, glide_eval.cli.study, study_app.create, study_app.simulate, study_app.status, "
        "study_app.views.rate; "
        "sys.exit('torch' in sys.modules or 'generator' in sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, check=True, stderr=-3)
