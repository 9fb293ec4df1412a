"""What another column of votes.csv costs: its record and its place in one query."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[2]
RECORD = '    Column("joined_at", "time", "When the rater joined, in UTC."),\n)  # fmt: skip\n'
SELECTED = "            VoteRow.seconds,\n"
EXPORT = """
import sys
from pathlib import Path
from analysis import read_votes
from study_app.owner import write_votes
from study_app.rating import Study
from study_app.store import database_url, upgrade_database

upgrade_database(database_url(sys.argv[1]))
study = Study.open(database_url(sys.argv[1]))
for format in ("csv", "jsonl", "parquet"):
    write_votes(study, Path(sys.argv[2]).with_suffix(f".{format}"), format)
study.close()
assert "joined_at" in read_votes(sys.argv[2])
"""


def test_another_column_touches_two_files(tmp_path):
    """A copy of the packages, with the two files changed, exports a time that was stored before."""
    code = tmp_path / "code"
    for package in ("analysis", "glide_eval", "study_app"):
        shutil.copytree(
            ROOT / package, code / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name, old, new in (
        ("analysis/ballots/columns.py", ")  # fmt: skip\n", RECORD),
        (
            "study_app/store/owner_repository.py",
            SELECTED,
            SELECTED + "            RaterRow.joined_at,\n",
        ),
    ):
        file = code / name
        text = file.read_text("utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), "utf-8")
    study = shutil.copy(Path(__file__).with_name("data") / "study_2.db", tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", EXPORT, study, tmp_path / "votes.csv"],
        env=os.environ | {"PYTHONPATH": str(code)},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    votes = pd.read_csv(tmp_path / "votes.csv")
    assert votes.columns[-1] == "joined_at"
    assert votes["joined_at"].str.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00").all()
    assert votes.groupby("rater")["joined_at"].nunique().eq(1).all()
    assert "joined_at" in pd.read_parquet(tmp_path / "votes.parquet")
