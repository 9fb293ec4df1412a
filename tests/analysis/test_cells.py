"""Names that a spreadsheet would compute: escaped in every CSV, and read back as they were."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import read_votes
from analysis.ballots import csv_of, escaped, restored
from analysis.report import ReportInputs, write_report

FORMULAS = ("=cmd|' /C calc'!A0", '=HYPERLINK("http://evil","x")', "@SUM(A1)", "+1+1", "-2", "\tx")
STARTS = ("=", "+", "-", "@", "\t", "\r")


@given(st.text(alphabet=st.sampled_from("'=+-@\t\rab"), max_size=6))
def test_every_text_comes_back(text):
    assert restored(escaped(text)) == text
    assert not escaped(text).startswith(STARTS)


def test_plain_texts_and_numbers_are_written_as_they_are():
    table = pd.DataFrame({"name": ["cfg-3", "it's", "'tis"], "value": [-1.5, 2.0, float("nan")]})
    assert csv_of(table) == "name,value\ncfg-3,-1.5\nit's,2.0\n'tis,\n"


def votes() -> pd.DataFrame:
    pairs = [(a, b) for a in FORMULAS for b in FORMULAS if a != b]
    return pd.DataFrame({
        "question": "photorealism",
        "prompt_id": [f"p{n % 5}" for n in range(len(pairs))],
        "arm_left": [a for a, _ in pairs],
        "arm_right": [b for _, b in pairs],
        "answer": ["left", "right"] * (len(pairs) // 2),
        "rater": [f"=r{n % 6}" for n in range(len(pairs))],
    })  # fmt: skip


def cells(text: str) -> list[str]:
    return [cell for row in csv.reader(io.StringIO(text)) for cell in row]


def is_formula(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.startswith(STARTS)
    return False


def test_votes_are_read_back_from_what_was_written(tmp_path):
    (tmp_path / "votes.csv").write_text(csv_of(votes()), newline="")
    read = read_votes(tmp_path / "votes.csv")
    for name in ("arm_left", "arm_right", "rater"):
        assert list(read[name].astype(str)) == list(votes()[name])


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    arms = pd.DataFrame(
        {"name": FORMULAS, "strategy": "imported", "scale": float("nan"), "label": FORMULAS}
    )
    write_report(ReportInputs("t", arms, votes=read_votes(votes())), out)
    return out


def test_no_csv_of_a_report_holds_a_formula(report):
    files = sorted(report.rglob("*.csv"))
    assert len(files) > 5
    for file in files:
        with file.open(encoding="utf-8", newline="") as text:
            assert not [cell for cell in cells(text.read()) if is_formula(cell)], file


def test_the_file_of_raters_is_its_owners_alone(report):
    modes = {path.name: path.stat().st_mode & 0o077 for path in report.rglob("*.csv")}
    assert modes["raters.csv"] == 0
    assert [name for name, others in modes.items() if not others] == ["raters.csv"]
