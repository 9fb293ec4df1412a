from __future__ import annotations

import json
import re
import shutil
import threading

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from glide_eval import extractors, references
from glide_eval.cli import main
from glide_eval.extractors import FakeExtractor
from glide_eval.files import RunFolder
from glide_eval.references.build import build_reference
from tests.fakes import ARMS, make_fake_run


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return make_fake_run(tmp_path_factory.mktemp("template") / "run", 8, size=16).root


@pytest.fixture
def run(template, tmp_path, monkeypatch) -> RunFolder:
    """A run measured by the fake extractor against a folder's worth of noise."""
    shutil.copytree(template, tmp_path / "run")
    images = np.random.default_rng(1).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    known = extractors.load_extractor
    monkeypatch.setattr(
        extractors,
        "load_extractor",
        lambda name, device: FakeExtractor() if name == "tabletop" else known(name, device),
    )
    monkeypatch.setattr(
        references,
        "tabletop_reference",
        lambda extractor: build_reference(extractor, images, "30 noise images"),
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return RunFolder(tmp_path / "run")


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["metrics", *arguments])
    return stopped.value.code or 0


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
    assert re.search(rf"{compared}: against 30 noise images \(\w{{12}}\)", " ".join(out.split()))
    assert out.count("biased upwards") == 1  # of all arms, said once
    assert str(run.metrics_path) in out
    assert max(len(line) for line in out.splitlines()[:30]) <= 100
    assert err == ""  # no progress bar where there is no terminal


def test_a_missing_device_is_one_clear_line(run, capsys):
    assert call(str(run.root), "--extractor", "inception-clean", "--device", "mps") == 2
    assert capsys.readouterr().err == (
        "glide-eval: Device 'mps' is not there: no Apple GPU found. Use device = 'cpu'.\n"
    )
    assert call(str(run.root), "--device", "abacus") == 2
    assert "expected auto, cpu, mps, cuda or cuda:1" in capsys.readouterr().err


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
    assert "list.txt: not an image by its name (.txt)" in err
    assert set(pd.read_csv(run.metrics_path)["metric"]) == {"fid", "recall"}


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["RUN", "--metrics", "fid,psnr"], 2, "No metric is named 'psnr'"),
        (["RUN", "--metrics", " , "], 2, "names no metric"),
        (["RUN", "--extractor", "vgg"], 2, "No extractor is named 'vgg'; there are"),
        (["RUN/none"], 2, "is not a run folder"),
        (["RUN", "--reference", "RUN/none"], 2, "none is not there"),
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


def copy_of(run: RunFolder, name: str) -> RunFolder:
    shutil.copytree(run.root, run.root.parent / name)
    return RunFolder(run.root.parent / name)


def test_several_runs_stand_in_one_table_under_their_names(run, capsys):
    other = copy_of(run, "other")
    assert call(str(run.root), str(other.root), "--metrics", "clip_score") == 0
    out, _ = capsys.readouterr()
    assert out.count("fake: value [95% interval]") == 1
    for name in ("run", "other"):
        for arm in ARMS:
            assert f"{name}: {arm.label}" in out
    assert "Not comparable" not in out
    assert set(pd.read_csv(other.metrics_path)["metric"]) == {"clip_score"}


def test_values_of_an_extractor_that_changed_since_are_printed_apart(run, capsys, monkeypatch):
    assert call(str(run.root), "--metrics", "clip_score") == 0
    monkeypatch.setattr(extractors, "load_extractor", lambda name, device: FakeExtractor(version=2))
    capsys.readouterr()
    assert call(str(run.root), "--metrics", "inception_score") == 0
    out, _ = capsys.readouterr()
    above, below = out.split("Not comparable with the values of fake above: ")
    assert below.startswith("version differs: 2 against 1.")
    assert "inception_score" in above
    assert "clip_score" not in above
    assert "clip_score" in below


def test_runs_measured_long_ago_are_compared_without_measuring_again(run, capsys, monkeypatch):
    other = copy_of(run, "other")
    call(str(run.root), "--metrics", "clip_score")
    monkeypatch.setattr(extractors, "load_extractor", lambda name, device: FakeExtractor(version=2))
    call(str(other.root), "--metrics", "clip_score")
    capsys.readouterr()
    monkeypatch.setattr(extractors, "load_extractor", lambda *_: pytest.fail("it measures"))
    assert call(str(run.root), str(other.root), "--no-measure") == 0
    out, _ = capsys.readouterr()
    assert "Not comparable with the values of fake above: version differs: 1 against 2." in out
    empty = copy_of(run, "empty")
    empty.metrics_path.unlink()
    assert call(str(empty.root), "--no-measure") == 2
    assert "Nothing was measured" in capsys.readouterr().err


def test_runs_of_other_prompts_are_noted(run, capsys):
    other = copy_of(run, "other")
    for number, of in enumerate((run, other)):
        story = of.provenance() | {"identity": {"prompts.sha256": str(number)}}
        of.provenance_path.write_text(json.dumps(story))
    call(str(run.root), str(other.root), "--metrics", "clip_score")
    assert "Note: The runs have different prompts" in capsys.readouterr().out


def test_a_reference_file_serves_its_extractor_and_no_other(run, tmp_path, capsys, monkeypatch):
    images = np.random.default_rng(1).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    built = build_reference(FakeExtractor(), images, "30 noise images")
    built.save(tmp_path / "r.npz")
    assert call(str(run.root), "--reference", str(tmp_path / "r.npz"), "--metrics", "fid") == 0
    assert f"fid: against {built.label}." in capsys.readouterr().out
    before = run.metrics_path.read_bytes()
    monkeypatch.setattr(extractors, "load_extractor", lambda name, device: FakeExtractor(version=2))
    assert call(str(run.root), "--reference", str(tmp_path / "r.npz"), "--metrics", "fid") == 1
    assert "not be comparable (version differs: 1 against 2)" in capsys.readouterr().err
    assert run.metrics_path.read_bytes() == before


def test_named_differences_are_printed_and_others_only_written(run, capsys):
    assert call(str(run.root), "--metrics", "clip_score") == 0
    out, _ = capsys.readouterr()
    assert "difference [" not in out
    assert "differences to differences.csv" in out.replace("\n", " ")
    assert call(str(run.root), "--metrics", "clip_score", "--pair", "cfg-3", "cfg-1.5") == 0
    out, _ = capsys.readouterr()
    assert "fake: difference [95% interval]" in out
    gap = pd.read_csv(run.root / "differences.csv").set_index(["arm", "baseline"])
    gap = gap.loc[("cfg-3", "cfg-1.5")]
    line = f"{gap['difference']:+.1f} [{gap['ci_low']:+.1f}, {gap['ci_high']:+.1f}]"
    label = r"Classifier-free, s = 3 − Classifier-free, s = 1\.5"
    assert re.search(rf"{label} +{re.escape(line)}", out)
    assert call(str(run.root), "--baseline", "nobody") == 2
    assert "No arm is named 'nobody'" in capsys.readouterr().err


def test_ctrl_c_stops_the_pass_and_finished_arms_are_kept(run, capsys, monkeypatch):
    class Stopped(FakeExtractor):
        left = 3

        def embed(self, prepared, captions=None):
            Stopped.left -= 1
            if Stopped.left < 0:
                raise KeyboardInterrupt
            return super().embed(prepared, captions)

    threads = threading.active_count()
    monkeypatch.setattr(extractors, "load_extractor", lambda name, device: Stopped())
    assert call(str(run.root), "--metrics", "clip_score") == 130
    assert threading.active_count() == threads
    assert "Stopped. What was made so far is kept." in capsys.readouterr().err
    Stopped.left = len(ARMS) - 3
    assert call(str(run.root), "--metrics", "clip_score") == 0
