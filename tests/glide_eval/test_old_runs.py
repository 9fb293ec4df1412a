"""A run folder and feature cache made by version 0.1.0 (commit 5669935) open unchanged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from glide_eval import cli
from glide_eval.extractors.tabletop import TabletopExtractor
from glide_eval.files import RunFolder
from glide_eval.measure import read_differences, read_rows

OLD = Path(__file__).parent / "data" / "run-0.1.0"


@pytest.fixture
def run(tmp_path) -> Path:
    return Path(shutil.copytree(OLD, tmp_path / "run"))


def glide_eval(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    return int(ended.value.code or 0)


def test_its_arms_samples_and_tables_read_as_they_were_written(run):
    folder = RunFolder.open(run)
    assert [arm.name for arm in folder.arms()] == ["unguided", "cfg-2", "cfg-4", "clip-3-best2"]
    assert [arm.scale for arm in folder.arms()] == [None, 2.0, 4.0, 3.0]
    assert len(folder.samples()) == 24
    written = (OLD / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    assert [sample.to_json() for sample in folder.samples()] == written
    assert len(read_rows(folder)) == 68
    assert len(read_differences(folder)) == 51


def test_a_sweep_has_nothing_left_to_do_in_it(run, capsys):
    before = {p: p.read_bytes() for p in run.rglob("*") if p.name != "run.json" and p.is_file()}
    assert glide_eval("sweep", str(run / "sweep.toml"), "--out", str(run)) == 0
    assert "24 images" in capsys.readouterr().out
    assert {p: p.read_bytes() for p in before} == before


def test_metrics_take_its_features_from_the_cache_and_give_the_same_values(run, monkeypatch):
    monkeypatch.setattr(TabletopExtractor, "prepare", lambda *_: pytest.fail("it looks anew"))
    assert glide_eval("metrics", str(run)) == 0
    assert (run / "extractors.json").read_bytes() == (OLD / "extractors.json").read_bytes()
    for name in ("metrics.csv", "scores.csv", "differences.csv"):
        # Equal but for the last digits, which depend on the machine's linear algebra.
        now, then = (_but_new_intervals(pd.read_csv(folder / name)) for folder in (run, OLD))
        pd.testing.assert_frame_equal(now, then, rtol=1e-6)


def _but_new_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """A table without the intervals of FID, KID and recall, which version 0.2 computes anew."""
    if "metric" in table and "ci_low" in table:
        anew = table["metric"].isin(["fid", "fid_infinity", "kid", "recall"])
        table.loc[anew, ["ci_low", "ci_high", "method", "note"]] = None
    return table


def test_a_report_is_written_of_it(run):
    assert glide_eval("report", str(run)) == 0
    page = (run / "report" / "index.html").read_text(encoding="utf-8")
    assert "Classifier-free" in page
    assert "FID" in page
