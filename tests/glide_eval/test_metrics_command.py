from __future__ import annotations

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from glide_eval import extractors, reference
from glide_eval.cli import main
from glide_eval.cli.metrics import EXTRACTORS, format_table
from glide_eval.extractors import FakeExtractor
from glide_eval.metric_tables import MetricRow
from glide_eval.run_store import RunFolder
from tests.fakes import ARMS, make_fake_run


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return make_fake_run(tmp_path_factory.mktemp("template") / "run", 8, size=16).root


@pytest.fixture
def run(template, tmp_path, monkeypatch) -> RunFolder:
    """A run measured by the fake extractor against a folder's worth of noise."""
    shutil.copytree(template, tmp_path / "run")
    images = np.random.default_rng(1).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    monkeypatch.setattr(extractors, "load_extractor", lambda name: FakeExtractor())
    monkeypatch.setattr(
        reference,
        "tabletop_reference",
        lambda extractor: reference.build_reference(extractor, images, "30 noise images"),
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return RunFolder(tmp_path / "run")


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["metrics", *arguments])
    return stopped.value.code or 0


def test_the_command_names_the_extractors_there_are():
    assert EXTRACTORS == extractors.NAMES


def test_it_prints_every_arm_and_metric_with_intervals_and_doubts(run, capsys):
    assert call(str(run.root)) == 0
    out, err = capsys.readouterr()
    table = pd.read_csv(run.metrics_path)
    for metric in set(table["metric"]):
        assert metric in out
    for arm in ARMS:
        assert arm.label in out
    assert "value [95% interval], n = 8 images an arm" in out
    fid = table[(table["arm"] == "cfg-3") & (table["metric"] == "fid")].iloc[0]
    assert f"{fid['value']:.3f} [{fid['ci_low']:.3f}, {fid['ci_high']:.3f}]" in out
    compared = "fid, fid_infinity, kid, precision, recall, density, coverage"
    assert re.search(rf"{compared}: against 30 noise images \(\w{{12}}\)", out)
    assert out.count("biased upwards") == 1  # of all arms, said once
    assert str(run.metrics_path) in out
    assert max(len(line) for line in out.splitlines()[:30]) <= 100
    assert err == ""  # no progress bar where there is no terminal


def test_chosen_metrics_and_a_folder_of_real_images(run, tmp_path, capsys):
    (tmp_path / "real").mkdir()
    for i, pixels in enumerate(
        np.random.default_rng(2).integers(0, 256, (9, 8, 8, 3), dtype=np.uint8)
    ):
        Image.fromarray(pixels).save(tmp_path / "real" / f"{i}.png")
    (tmp_path / "real" / "list.txt").write_text("")
    assert call(str(run.root), "--metrics", "fid, recall", "--reference", f"{tmp_path}/real") == 0
    out, err = capsys.readouterr()
    assert "against 9 images of real" in out
    assert "list.txt not used: no images" in err
    assert set(pd.read_csv(run.metrics_path)["metric"]) == {"fid", "recall"}


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["RUN", "--metrics", "fid,psnr"], 2, "No metric is named 'psnr'"),
        (["RUN", "--metrics", " , "], 2, "names no metric"),
        (["RUN", "--extractor", "vgg"], 2, "'vgg' is not one of"),
        (["RUN/none"], 1, "is not a run folder"),
        (["RUN", "--reference", "RUN/none"], 1, "is not a folder"),
    ],
)
def test_mistakes_end_in_one_paragraph_and_a_status(run, capsys, arguments, status, words):
    assert call(*[a.replace("RUN", str(run.root)) for a in arguments]) == status
    out, err = capsys.readouterr()
    assert words in err
    assert "Traceback" not in err
    assert out == ""


def test_a_truncated_sample_ends_in_one_paragraph_that_names_it(run, capsys):
    path = run.sample_path("clip-1", "p0003", 0)
    path.write_bytes(path.read_bytes()[:50])
    before = run.metrics_path.read_bytes()
    assert call(str(run.root)) == 1
    err = capsys.readouterr().err
    assert re.fullmatch(
        r"glide-eval: \S+clip-1/p0003-0\.png is truncated or corrupt .*Delete it.*\n", err
    )
    assert run.metrics_path.read_bytes() == before


def test_undefined_values_and_notes_of_some_arms_are_told_apart():
    def row(arm: str, metric: str, numbers: tuple[float, float, float], n: int, note: str):
        compared = "R (1)" if metric == "recall" else ""
        return MetricRow(arm, metric, *numbers, n, "tabletop", note, 0.95, "", "", compared, "")

    nan = float("nan")
    text = format_table(
        [
            row("a", "recall", (0.5, 0.4, 0.6), 9, ""),
            row("b", "recall", (nan, nan, nan), 2, "needs more images"),
            row("a", "clip_score", (20.0, nan, nan), 9, "no interval"),
        ],
        {"a": "Arm A"},
    )
    assert "recall (b): needs more images." in text
    assert "clip_score: no interval." in text
    assert "n = 2 to 9 images an arm" in text.splitlines()[0]
    assert re.search(r"Arm A +0\.50 \[0\.40, 0\.60\] +20\.000 \[none\]", text)
    assert re.search(r"b +undefined$", text, re.MULTILINE)
