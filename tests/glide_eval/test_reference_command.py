"""`glide-eval reference …` on real files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from generator.tabletop.evaluator import CLASSES, Evaluator
from glide_eval import extractors
from glide_eval.extractors import FakeExtractor
from glide_eval.references import Reference
from tests.glide_eval.sweeps import everything_in, glide_eval


class Named(FakeExtractor):
    def __init__(self, name: str):
        self.name = name
        super().__init__()


@pytest.fixture(autouse=True)
def fakes(monkeypatch, tmp_path):
    real = extractors.load_extractor
    monkeypatch.setattr(
        extractors,
        "load_extractor",
        lambda name, device: real(name, device) if name == "tabletop" else Named(name),
    )
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "real", 10)


def photos(folder: Path, n: int, seed: int = 0) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for i in range(n):
        pixels = rng.integers(0, 256, (16, 20 + i, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02d}.jpg")
    return folder


def build(capsys, *arguments: str | Path, name: str = "fake") -> tuple[int, str, str]:
    return glide_eval(capsys, "reference", "build", *arguments, "--extractor", name)


def test_a_folder_becomes_a_file_that_info_describes(capsys):
    Path("real/notes.txt").write_text("x")
    status, out, err = build(capsys, "real", "--out", "r.npz")
    assert status == 0
    assert "Not used: real/notes.txt: not an image by its name (.txt)" in err
    status, info, _ = glide_eval(capsys, "reference", "info", "r.npz")
    assert status == 0
    for line in (
        "source:    10 images of real",
        "images:    10 images",
        "crop:      centre square",
        "features:  24, each image's kept",
        f"extractor: fake {FakeExtractor().fingerprint}",
    ):
        assert line in out
        assert line in info
    assert "  version: 1" in info


def test_parts_merge_to_the_reference_of_the_whole(capsys):
    build(capsys, "real", "--out", "whole.npz")
    for i in (1, 2, 3):
        status, out, _ = build(capsys, "real", "--shard", f"{i}/3", "--out", f"part{i}.npz")
        assert status == 0
        assert "parts:     2 parts of 3 missing" in out
    status, out, _ = glide_eval(
        capsys, "reference", "merge", "part3.npz", "part1.npz", "part2.npz", "--out", "merged.npz"
    )
    assert status == 0
    assert "missing" not in out
    whole, merged = Reference.read(Path("whole.npz")), Reference.read(Path("merged.npz"))
    assert merged.label == whole.label
    np.testing.assert_array_equal(merged.pool, whole.pool)
    np.testing.assert_allclose(
        merged.moments.covariance, whole.moments.covariance, rtol=1e-12, atol=1e-15
    )
    status, _, err = glide_eval(
        capsys, "reference", "merge", "part1.npz", "part1.npz", "--out", "twice.npz"
    )
    assert status == 1
    assert "counted twice" in err
    assert not Path("twice.npz").exists()


def test_tasks_of_an_array_write_parts_and_the_last_one_in_merges_them(capsys, monkeypatch):
    build(capsys, "real", "--out", "whole.npz")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "3")
    for number in ("2", "3", "1"):
        assert not Path("r.npz").exists()
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", number)
        status, out, _ = build(capsys, "real", "--out", "r.npz")
        assert (status, Path(f"r.{number}-of-3.npz").is_file()) == (0, True)
    assert "All parts are there" in out
    whole, merged = Reference.read(Path("whole.npz")), Reference.read(Path("r.npz"))
    assert merged.label == whole.label


def test_several_extractors_get_a_file_each_from_one_pass(capsys):
    status, out, _ = build(capsys, "real", "--out", "r.npz", "--extractor", "clip:a/b@x.pt")
    assert status == 0
    assert Reference.read(Path("r.fake.npz")).extractor == "fake"
    assert Reference.read(Path("r.clip-a-b-x.pt.npz")).extractor == "clip:a/b@x.pt"
    assert "Written to r.fake.npz." in out


def test_moments_alone_serve_fid_and_leave_the_rest_undefined_with_the_reason(capsys):
    photos(Path("fake"), 8, seed=1)
    build(capsys, "real", "--moments-only", "--out", "lean.npz")
    build(capsys, "real", "--out", "full.npz")
    values = {}
    for name in ("lean", "full"):
        status, out, err = glide_eval(
            capsys, "metrics", "--real", f"{name}.npz", "--fake", "fake", "--json", "o.json",
            "--extractor", "fake", "--metrics", "fid,precision,recall",
        )  # fmt: skip
        assert status == 0, err
        rows = json.loads(Path("o.json").read_text())["values"]
        values[name] = {row["metric"]: row["value"] for row in rows}
    assert values["lean"]["fid"] == pytest.approx(values["full"]["fid"], rel=1e-9)
    assert values["lean"]["precision"] is None
    assert values["lean"]["recall"] is None
    status, out, _ = glide_eval(
        capsys, "metrics", "--real", "lean.npz", "--fake", "fake", "--extractor", "fake"
    )
    assert "precision, recall, density, coverage: 10 images of real gives moments only" in " ".join(
        out.split()
    )


def test_published_statistics_are_used_with_the_n_they_are_said_to_have(capsys):
    photos(Path("fake"), 8, seed=1)
    pool = FakeExtractor().extract([np.asarray(Image.open(p)) for p in Path("real").iterdir()]).pool
    sigma = np.cov(pool, rowvar=False)
    np.savez("adm.npz", mu=pool.mean(axis=0), sigma=sigma, mu_s=np.zeros(7), sigma_s=np.eye(7))
    status, out, _ = build(capsys, "adm.npz", "--out", "r.npz")
    assert status == 0
    assert "images:    unknown" in out
    status, out, _ = glide_eval(
        capsys, "metrics", "--real", "r.npz", "--fake", "fake", "--extractor", "fake",
        "--metrics", "fid",
    )  # fmt: skip
    unwrapped = " ".join(out.split())
    assert "against published statistics adm.npz, number of images unknown (" in unwrapped
    build(capsys, "adm.npz", "--count", "10", "--out", "r.npz")
    assert Reference.read(Path("r.npz")).moments.n == 10


def coco() -> None:
    content = {
        "images": [{"id": i, "file_name": f"{i:02d}.jpg"} for i in range(10)],
        "annotations": [{"id": i, "image_id": i // 2, "caption": f"c {i}"} for i in range(20)],
    }
    Path("captions_val.json").write_text(json.dumps(content))


def test_coco_keeps_captions_that_become_the_prompts_of_a_sweep(capsys):
    coco()
    status, out, _ = build(
        capsys, "captions_val.json", "--images", "real", "--captions", "7", "--out", "coco.npz"
    )
    assert status == 0
    assert "source:    10 images of captions_val" in out
    assert "captions:  7" in out
    status, out, _ = glide_eval(
        capsys, "reference", "info", "coco.npz", "--captions", "prompts.csv"
    )
    assert status == 0
    rows = list(csv.DictReader(Path("prompts.csv").read_text().splitlines()))
    assert len(rows) == 7
    assert all(row["caption"] == f"c {row['id']}" for row in rows)
    status, _, err = build(capsys, "captions_val.json", "--out", "coco.npz")
    assert status == 2
    assert "--images DIR" in err


def test_scenes_are_rendered_of_the_captions_of_a_sweep(capsys):
    sweep = '[run]\nname = "s"\n[generator]\nmodel = "fake"\n[prompts]\ncaptions = {}\n'
    sweep += '[[arms]]\nstrategy = "unguided"\n'
    Path("s.toml").write_text(sweep.format('["a red cube", "a large blue cone"]'))
    arguments = ("tabletop", "--prompts", "s.toml", "--count", "16", "--seed", "4")
    status, out, _ = build(capsys, *arguments, "--out", "r.npz", name="tabletop")
    assert status == 0
    assert "source:    16 rendered tabletop scenes of 2 captions" in out
    logits = Evaluator.load().network.classify(torch.from_numpy(Reference.read(Path("r.npz")).pool))
    seen = [CLASSES[i] for i in logits.argmax(dim=1).tolist()]
    assert seen == ["red cube", "blue cone"] * 8
    Path("s.toml").write_text(sweep.format('["a red cube", "a dog"]'))
    status, _, err = build(capsys, *arguments, "--out", "r.npz", name="tabletop")
    assert status == 2
    assert "1 caption of 2 can't be rendered, the first 'a dog'" in err


def test_a_corrupt_image_is_an_error_that_leaves_no_file_and_can_be_skipped(capsys):
    Path("real/bad.png").write_bytes(b"\x89PNG cut")
    before = everything_in(Path())
    status, _, err = build(capsys, "real", "--out", "r.npz")
    assert status == 1
    assert "bad.png" in err
    assert everything_in(Path()) == before
    status, out, err = build(capsys, "real", "--skip-corrupt", "--out", "r.npz")
    assert status == 0
    assert "Left out: real/bad.png" in err
    assert "left out:  bad.png" in out


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["nowhere"], 2, "nowhere is not there: expected a folder of images"),
        (["real", "--count", "7"], 2, "--count means nothing for a folder"),
        (["real", "--seed", "1"], 2, "--seed means nothing for a folder"),
        (["real", "--prompts", "s.toml"], 2, "--prompts means nothing for a folder"),
        (["tabletop", "--prompts", "s.toml"], 2, "s.toml"),
        (["real", "--shard", "3/2"], 2, "--shard 3/2: expected I/N with 1 ≤ I ≤ N"),
        (["real", "--shard", "half"], 2, "expected I/N"),
        (["real", "--shard", "12/12"], 0, ""),
        (["real", "--shard", "1/12"], 2, "holds none: make fewer parts"),
        (["bad.npz"], 1, "holds no published statistics"),
        (["bad.json", "--images", "real"], 2, "expected COCO captions"),
        (["empty"], 1, "holds no image"),
    ],
)
def test_mistakes_end_in_one_paragraph_and_a_status(capsys, arguments, status, words):
    Path("bad.npz").write_text("x")
    Path("bad.json").write_text("[]")
    Path("empty").mkdir()
    found, _, err = build(capsys, *arguments, "--out", "r.npz")
    assert found == status
    assert words in err
    assert err.count("\n") <= 1


def test_a_damaged_reference_says_what_to_do(capsys):
    build(capsys, "real", "--out", "r.npz")
    Path("r.npz").write_bytes(Path("r.npz").read_bytes()[:500])
    status, _, err = glide_eval(capsys, "reference", "info", "r.npz")
    assert status == 1
    assert "r.npz is not a reference" in err
    assert "a damaged file is built again" in err
