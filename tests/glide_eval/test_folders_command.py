"""`glide-eval metrics --real … --fake …` on real files, through the whole path."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from cleanfid.fid import frechet_distance, get_folder_features
from PIL import Image
from torch import nn

from glide_eval import extractors
from glide_eval.extractors import FakeExtractor
from glide_eval.extractors.inception import CleanFidInception
from tests.glide_eval.sweeps import glide_eval


class Counting(FakeExtractor):
    seen = 0

    def embed(self, prepared, captions=None):
        Counting.seen += len(prepared)
        return super().embed(prepared, captions)


@pytest.fixture(autouse=True)
def fakes(monkeypatch, tmp_path):
    """`--extractor fake`, which is also the default; an empty cache; a wide terminal."""
    monkeypatch.setattr(extractors, "load_extractor", lambda name, device: Counting())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "100")
    Counting.seen = 0


def noise(seed: int, height: int = 16, width: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def folder(path: Path, n: int = 12, suffix: str = ".png", size: int = 16, seed: int = 0) -> Path:
    path.mkdir(parents=True)
    for i in range(n):
        Image.fromarray(noise(100 * seed + i, size, size)).save(path / f"{i:02d}{suffix}")
    return path


def measured(capsys, tmp_path: Path, *arguments: str | Path) -> tuple[dict, str, str]:
    """What --json says of a successful call, stdout and stderr."""
    out_file = tmp_path / "out.json"
    status, out, err = glide_eval(capsys, "metrics", *arguments, "--json", out_file)
    assert status == 0, err
    return json.loads(out_file.read_text()), out, err


def values(result: dict) -> dict[tuple[str, str], float | None]:
    return {(row["arm"], row["metric"]): row["value"] for row in result["values"]}


@pytest.mark.filterwarnings("ignore:The `disp` argument:DeprecationWarning")  # clean-fid's call
def test_fid_of_two_folders_is_the_one_of_clean_fid(capsys, tmp_path, monkeypatch):
    torch.manual_seed(0)
    network = nn.Sequential(nn.AvgPool2d(60), nn.Flatten(), nn.Linear(3 * 16, 4))
    monkeypatch.setattr(
        extractors,
        "load_extractor",
        lambda *_: CleanFidInception(network, "0" * 64, "cpu"),
    )
    real = folder(tmp_path / "real", 12, ".jpg", 33)
    fake = folder(tmp_path / "fake", 9, ".png", 20, seed=1)
    Image.fromarray(noise(5, 24, 31)).save(fake / "wide.png")  # squeezed, as clean-fid does
    Image.fromarray(noise(6)[..., 0]).save(fake / "grey.png")
    result, _, _ = measured(capsys, tmp_path, "--real", real, "--fake", fake, "--metrics", "fid")
    theirs = []
    for path in (real, fake):
        pool = get_folder_features(
            str(path), network, num_workers=0, device=torch.device("cpu"), verbose=False
        )
        theirs += [pool.mean(axis=0), np.cov(pool, rowvar=False)]
    wanted = frechet_distance(*theirs)
    assert values(result)["fake", "fid"] == pytest.approx(wanted, rel=1e-4)


def test_the_table_says_values_intervals_n_and_what_was_compared(capsys, tmp_path):
    real, fake = folder(tmp_path / "real"), folder(tmp_path / "fake", seed=1)
    result, out, err = measured(capsys, tmp_path, "--real", real, "--fake", fake)
    assert "fake: value [95% interval], n = 12 images an arm" in out
    words = " ".join(out.split())
    assert re.search(
        r" fid, .*precision, recall, .*: against 12 images of real \(\w{12}\)\. ", words
    )
    (fid,) = [row for row in result["values"] if row["metric"] == "fid"]
    assert fid["ci_low"] < fid["value"] < fid["ci_high"]
    assert f"{fid['value']:.4f} [{fid['ci_low']:.4f}, {fid['ci_high']:.4f}]" in out
    assert max(map(len, out.splitlines())) <= 100
    assert result["notes"] == result["not_used"] == []
    assert err == ""


def test_values_are_also_written_as_csv(capsys, tmp_path):
    real, fake = folder(tmp_path / "real"), folder(tmp_path / "fake", seed=1)
    result, _, _ = measured(
        capsys, tmp_path, "--real", real, "--fake", fake, "--csv", tmp_path / "o.csv"
    )
    table = pd.read_csv(tmp_path / "o.csv").set_index(["arm", "metric"])["value"].dropna()
    assert dict(table) == pytest.approx({k: v for k, v in values(result).items() if v is not None})


def test_identical_folders_have_no_distance(capsys, tmp_path):
    real, fake = folder(tmp_path / "real"), folder(tmp_path / "fake")
    result, _, _ = measured(capsys, tmp_path, "--real", real, "--fake", fake, "--metrics", "fid")
    assert 0 <= values(result)["fake", "fid"] < 1e-9


def test_several_folders_are_arms_of_one_table_and_images_are_looked_at_once(capsys, tmp_path):
    real = folder(tmp_path / "real")
    first, second = (folder(tmp_path / name, seed=i) for i, name in enumerate(("a", "b"), 1))
    arguments = ("--real", real, "--fake", first, "--fake", second, "--metrics", "fid,recall")
    result, _, _ = measured(capsys, tmp_path, *arguments)
    assert set(values(result)) == {(a, m) for a in "ab" for m in ("fid", "recall")}
    assert Counting.seen == 36
    again, _, _ = measured(capsys, tmp_path, *arguments)
    assert again == result
    assert Counting.seen == 36
    Image.fromarray(noise(77)).save(second / "00.png")
    changed, _, _ = measured(capsys, tmp_path, *arguments)
    assert Counting.seen == 37  # the others are known by their bytes
    assert values(changed)["b", "fid"] != values(result)["b", "fid"]


def test_folders_of_the_same_captions_are_compared_in_pairs_and_others_as_independent(
    capsys, tmp_path
):
    first, second = folder(tmp_path / "a"), folder(tmp_path / "b", seed=1)
    arguments = ("--fake", first, "--fake", second, "--metrics", "inception_score")
    result, out, _ = measured(capsys, tmp_path, *arguments)
    (gap,) = result["differences"]
    assert (gap["arm"], gap["baseline"], gap["n"]) == ("b", "a", 0)
    assert gap["difference"] == pytest.approx(
        values(result)["b", "inception_score"] - values(result)["a", "inception_score"]
    )
    assert "Taken as independent, for they share no prompt." in out
    assert re.search(r"b − a +[+-]0\.", out)
    captions(tmp_path / "c.csv", [f"{i:02d}.png" for i in range(12)], "one of {}")
    arguments = ("--fake", first, "--fake", second, "--captions", tmp_path / "c.csv")
    result, out, _ = measured(capsys, tmp_path, *arguments, "--metrics", "clip_score")
    (gap,) = result["differences"]
    assert gap["n"] == 12
    assert gap["ci_low"] < gap["difference"] < gap["ci_high"]
    assert "Images of one prompt in both arms are taken as pairs." in out


def test_without_real_images_what_compares_with_them_is_left_out(capsys, tmp_path):
    fake = folder(tmp_path / "fake")
    result, _, _ = measured(capsys, tmp_path, "--fake", fake)
    assert "inception_score" in {row["metric"] for row in result["values"]}
    assert "fid" not in {row["metric"] for row in result["values"]}
    status, _, err = glide_eval(capsys, "metrics", "--fake", fake, "--metrics", "fid")
    assert status == 2
    assert "fid compare with real images: name them with --real" in err


def test_a_built_reference_gives_the_value_of_its_folder(capsys, tmp_path):
    real, fake = folder(tmp_path / "real"), folder(tmp_path / "fake", seed=1)
    reference = tmp_path / "real.npz"
    status, _, _ = glide_eval(
        capsys, "reference", "build", real, "--extractor", "fake", "--no-crop", "--out", reference
    )
    assert status == 0
    of_file, _, _ = measured(capsys, tmp_path, "--real", reference, "--fake", fake)
    of_folder, _, _ = measured(capsys, tmp_path, "--real", real, "--fake", fake)
    assert of_file["values"] == of_folder["values"]


def captions(path: Path, names: list[str], text: str = "a photo of {}") -> Path:
    path.write_text("file,caption\n" + "".join(f"{n},{text.format(n)}\n" for n in names))
    return path


def test_captions_come_from_a_file_the_folder_or_text_files_and_agree(capsys, tmp_path):
    fake = folder(tmp_path / "fake", 5)
    names = [f"{i:02d}.png" for i in range(5)]
    captions(tmp_path / "c.csv", names)
    from_option, _, _ = measured(capsys, tmp_path, "--fake", fake, "--captions", tmp_path / "c.csv")
    captions(fake / "captions.csv", names)
    from_folder, _, _ = measured(capsys, tmp_path, "--fake", fake)
    (fake / "captions.csv").unlink()
    for name in names:
        (fake / name).with_suffix(".txt").write_text(f"a photo of {name}\n")
    from_texts, _, err = measured(capsys, tmp_path, "--fake", fake)
    assert values(from_option)["fake", "clip_score"] is not None
    assert from_option == from_folder == from_texts
    assert "not used" not in err  # captions are used


def test_missing_captions_leave_caption_metrics_undefined_and_the_rest_go_on(capsys, tmp_path):
    real, fake = folder(tmp_path / "real"), folder(tmp_path / "fake", seed=1)
    result, out, _ = measured(capsys, tmp_path, "--real", real, "--fake", fake)
    assert values(result)["fake", "clip_score"] is None
    assert values(result)["fake", "fid"] is not None
    assert re.search(r"clip_score, guiding_clip_score, [^.]+: no captions were given", out)
    captions(fake / "captions.csv", ["00.png", "01.png"])
    result, out, _ = measured(capsys, tmp_path, "--fake", fake, "--metrics", "clip_score")
    assert values(result) == {("fake", "clip_score"): None}
    assert "clip_score: 10 of 12 images have no caption (02.png, 03.png, 04.png and 7 more)" in out


def test_a_captions_file_without_captions_is_wrong_usage(capsys, tmp_path):
    fake = folder(tmp_path / "fake")
    (tmp_path / "c.csv").write_text("file,text\n00.png,a\n")
    status, _, err = glide_eval(capsys, "metrics", "--fake", fake, "--captions", tmp_path / "c.csv")
    assert status == 2
    assert "expected columns `file` and `caption`" in err


def hard_cases(path: Path) -> Path:
    """Files that people have: two that can be read and more that can't."""
    pixels = noise(1)
    Image.fromarray(pixels[..., 0]).save(path / "grey.png")
    Image.fromarray(np.dstack([pixels, np.full((16, 16), 255, np.uint8)])).save(path / "opaque.png")
    Image.fromarray(np.dstack([pixels, pixels[..., 0]])).save(path / "alpha.png")
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 256).save(path / "deep.png")
    frames = [Image.fromarray(noise(i)) for i in range(3)]
    frames[0].save(path / "moving.webp", save_all=True, append_images=frames[1:])
    (path / "cut.png").write_bytes((path / "00.png").read_bytes()[:200])
    (path / "empty.png").write_bytes(b"")
    (path / "text.jpg").write_text("hello")
    (path / "notes.md").write_text("hello")
    frames[0].save(path / "moving.gif", save_all=True, append_images=frames[1:])
    return path


UNREADABLE = ("alpha.png", "cut.png", "deep.png", "empty.png", "moving.webp", "text.jpg")


def test_files_that_cannot_be_read_are_all_named(capsys, tmp_path):
    real, fake = folder(tmp_path / "real"), hard_cases(folder(tmp_path / "fake", seed=1))
    status, out, err = glide_eval(capsys, "metrics", "--real", real, "--fake", fake)
    assert status == 1
    assert out == ""
    assert err.startswith("glide-eval: 7 images can't be read. (1) ")
    assert err.count("\n") == 1
    for name in UNREADABLE:
        assert name in err
    assert "leave out what can't be read, with --skip-corrupt" in err


@pytest.mark.parametrize("times", [1, 2], ids=["first pass", "from the cache"])
def test_skipping_lists_every_file_that_was_not_used_and_why(capsys, tmp_path, times):
    real, fake = folder(tmp_path / "real"), hard_cases(folder(tmp_path / "fake", seed=1))
    arguments = ("--real", real, "--fake", fake, "--metrics", "fid", "--skip-corrupt")
    for _ in range(times):
        result, out, err = measured(capsys, tmp_path, *arguments)
    assert "n = 14 images an arm" in out
    listed = {Path(entry["file"]).name: entry["reason"] for entry in result["not_used"]}
    assert set(listed) == {*UNREADABLE, "notes.md", "moving.gif"}
    assert "partly transparent" in listed["alpha.png"]
    assert "more than 8 bits" in listed["deep.png"]
    assert "3 frames" in listed["moving.webp"]
    assert listed["notes.md"] == "not an image by its name (.md)"
    assert "Files not used (8):" in err
    for name in listed:
        assert name in err
    status, _, _ = glide_eval(capsys, "metrics", *arguments[:-1])
    assert status == 1  # refused again without the option, from the cache too


def test_an_image_that_was_left_out_needs_no_caption(capsys, tmp_path):
    fake = folder(tmp_path / "fake")
    captions(fake / "captions.csv", [f"{i:02d}.png" for i in range(12)])
    (fake / "broken.png").write_bytes(b"x")
    result, _, err = measured(
        capsys, tmp_path, "--fake", fake, "--metrics", "clip_score", "--skip-corrupt"
    )
    assert values(result)["fake", "clip_score"] is not None
    assert "broken.png" in err


def test_a_folder_of_nothing_readable_is_an_error_even_when_skipping(capsys, tmp_path):
    fake = folder(tmp_path / "fake", 1)
    (fake / "00.png").write_bytes(b"x")
    status, _, err = glide_eval(capsys, "metrics", "--fake", fake, "--skip-corrupt")
    assert status == 1
    assert "none of its 1 images can be read" in err


def test_no_image_is_an_error_and_one_is_undefined_with_the_reason(capsys, tmp_path):
    real, one = folder(tmp_path / "real"), folder(tmp_path / "one", 1, seed=3)
    (tmp_path / "none").mkdir()
    status, _, err = glide_eval(capsys, "metrics", "--real", real, "--fake", tmp_path / "none")
    assert status == 1
    assert "none holds no image" in err
    result, out, _ = measured(capsys, tmp_path, "--real", real, "--fake", one)
    assert values(result)["one", "fid"] is None
    assert values(result)["one", "recall"] is None
    assert re.search(r"fid\b.*: needs 2 images on each side, has 1 generated and 12 real\.", out)


def test_fewer_images_than_neighbours_leave_precision_and_recall_undefined(capsys, tmp_path):
    real, fake = folder(tmp_path / "real", 3), folder(tmp_path / "fake", 3, seed=1)
    result, out, _ = measured(
        capsys, tmp_path, "--real", real, "--fake", fake, "--metrics", "fid,precision,recall"
    )
    assert values(result)["fake", "precision"] is None
    assert values(result)["fake", "recall"] is None
    assert values(result)["fake", "fid"] is not None
    assert "precision, recall: the reference has 3 images, needs at least 4." in out


def test_mixed_sizes_and_folders_of_other_formats_are_warned_about(capsys, tmp_path):
    real = folder(tmp_path / "real", suffix=".jpg", size=16)
    fake = folder(tmp_path / "fake", size=32, seed=1)
    result, out, _ = measured(capsys, tmp_path, "--real", real, "--fake", fake)
    assert result["notes"] == [
        "real is JPEG 16 × 16, fake is PNG 32 × 32: FID and other comparisons measure that "
        "difference too."
    ]
    assert "Note: real is JPEG 16 × 16, fake is PNG 32 × 32" in out
    Image.fromarray(noise(9, 20, 30)).save(fake / "wide.png")
    result, _, _ = measured(capsys, tmp_path, "--fake", fake)
    (note,) = result["notes"]
    assert note.startswith("fake mixes sizes (PNG 32 × 32, PNG 30 × 20): each image is resized")


def test_cropping_cuts_both_sides_to_squares(capsys, tmp_path):
    """Bands that a crop removes: cropped, the two folders are the same images."""
    real, fake = folder(tmp_path / "real", 6), tmp_path / "fake"
    fake.mkdir()
    for path in real.iterdir():
        pixels = np.asarray(Image.open(path))
        Image.fromarray(np.pad(pixels, ((0, 0), (8, 8), (0, 0)))).save(fake / path.name)
    arguments = ("--real", real, "--fake", fake, "--metrics", "fid")
    plain, _, _ = measured(capsys, tmp_path, *arguments)
    cropped, _, _ = measured(capsys, tmp_path, *arguments, "--crop")
    assert values(cropped)["fake", "fid"] < 1e-9 < values(plain)["fake", "fid"]


def test_features_that_are_not_finite_name_the_image(capsys, tmp_path, monkeypatch):
    class Broken(FakeExtractor):
        def embed(self, prepared, captions=None):
            features = super().embed(prepared, captions)
            features.pool[3] = np.nan
            return features

    monkeypatch.setattr(extractors, "load_extractor", lambda name, device: Broken())
    status, _, err = glide_eval(capsys, "metrics", "--fake", folder(tmp_path / "fake"))
    assert status == 1
    assert re.search(r"fake gives NaN or infinite pool .*first for \S+fake/03\.png", err)


def test_a_reference_of_another_extractor_is_refused_with_what_differs(
    capsys, tmp_path, monkeypatch
):
    real, fake = folder(tmp_path / "real"), folder(tmp_path / "fake", seed=1)
    build = ("reference", "build", real, "--extractor", "fake", "--out", tmp_path / "r.npz")
    assert glide_eval(capsys, *build)[0] == 0
    monkeypatch.setattr(extractors, "load_extractor", lambda name, device: FakeExtractor(version=2))
    status, out, err = glide_eval(capsys, "metrics", "--real", tmp_path / "r.npz", "--fake", fake)
    assert status == 1
    assert out == ""
    assert "values would not be comparable (version differs: 1 against 2)" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Name either runs or --fake folders"),
        (["RUN", "--fake", "fake"], "Name either runs or --fake folders"),
        (["--fake", "fake", "--fake", "./fake"], "the same folder twice"),
        (["--fake", "fake", "--real", "nowhere"], "nowhere is not there"),
        (["--fake", "fake", "--real", "fake", "--real", "real"], "Two folders of real images"),
        (["--fake", "fake", "--metrics", "nonsense"], "No metric is named 'nonsense'"),
        (["--fake", "fake", "--no-measure"], "name a run, not --fake"),
        (["RUN", "--crop"], "go with --fake"),
    ],
)
def test_wrong_usage_has_status_two_and_one_paragraph(
    capsys, tmp_path, monkeypatch, arguments, words
):
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "real")
    folder(tmp_path / "fake", seed=1)
    status, out, err = glide_eval(capsys, "metrics", *arguments)
    assert (status, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_a_file_that_is_no_reference_says_how_to_make_one(capsys, tmp_path):
    fake = folder(tmp_path / "fake")
    np.savez(tmp_path / "published.npz", mean=np.zeros(24), sigma=np.eye(24))
    status, _, err = glide_eval(
        capsys, "metrics", "--fake", fake, "--real", tmp_path / "published.npz"
    )
    assert status == 1
    assert "is not a reference" in err
    assert "glide-eval reference build STATISTICS.npz" in err


def batch(path: Path, seed: int, count: int = 12, **more) -> Path:
    """ADM's sample batch of noise."""
    images = np.stack([noise(seed * 1000 + number) for number in range(count)])
    np.save(path, images) if path.suffix == ".npy" else np.savez(path, images, **more)
    return path


@pytest.mark.parametrize("kind", ["npz", "npy", "zip", "compressed"])
def test_archives_of_images_measure_like_the_folder_of_the_same_images(capsys, tmp_path, kind):
    real, fake = tmp_path / "real", tmp_path / "fake"
    for place, seed in ((real, 1), (fake, 2)):
        place.mkdir()
        for number in range(12):
            Image.fromarray(noise(seed * 1000 + number)).save(place / f"{number:06d}.png")
    expected, _, _ = measured(capsys, tmp_path, "--real", real, "--fake", fake)
    if kind == "zip":
        archives = [Path(shutil.make_archive(str(place), "zip", place)) for place in (real, fake)]
    elif kind == "compressed":
        archives = [tmp_path / "real.npz", tmp_path / "fake.npz"]
        for path, seed in zip(archives, (1, 2), strict=True):
            np.savez_compressed(path, np.stack([noise(seed * 1000 + n) for n in range(12)]))
    else:
        archives = [batch(tmp_path / f"real.{kind}", 1), batch(tmp_path / f"fake.{kind}", 2)]
    for _ in range(2):  # the second time from the cache
        found, _, _ = measured(capsys, tmp_path, "--real", archives[0], "--fake", archives[1])
        assert values(found) == values(expected)


def test_raw_statistics_serve_as_real_images(capsys, tmp_path):
    real, fake = folder(tmp_path / "real"), folder(tmp_path / "fake", seed=1)
    features = FakeExtractor().extract([np.asarray(Image.open(p)) for p in sorted(real.iterdir())])
    pool = features.pool.astype(np.float64)
    np.savez(tmp_path / "stats.npz", mu=pool.mean(0), sigma=np.cov(pool, rowvar=False))
    result, _, _ = measured(
        capsys, tmp_path, "--real", tmp_path / "stats.npz", "--fake", fake, "--metrics", "fid"
    )
    expected, _, _ = measured(capsys, tmp_path, "--real", real, "--fake", fake, "--metrics", "fid")
    assert values(result)["fake", "fid"] == pytest.approx(values(expected)["fake", "fid"], rel=1e-5)


def bomb(path: Path) -> Path:
    """Five million zeros beside a header that says more."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("arr_0.npy", "mu.npy", "pool.npy", "about.npy"):
            archive.writestr(name, bytes(80_000_000))
    return path


def test_an_archive_that_would_inflate_without_end_is_refused(capsys, tmp_path):
    real, fake = folder(tmp_path / "real"), folder(tmp_path / "fake", seed=1)
    path = bomb(tmp_path / "bomb.npz")
    status, _, err = glide_eval(capsys, "metrics", "--real", path, "--fake", fake)
    assert status == 1
    assert "it would inflate" in err
    with zipfile.ZipFile(tmp_path / "b.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("arr_0.npy", bytes(80_000_000))
    status, _, err = glide_eval(capsys, "metrics", "--real", real, "--fake", tmp_path / "b.npz")
    assert status == 1
    assert "it would inflate" in err


def test_a_zip_writes_nothing_outside_its_folder(capsys, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("../../../../x.png", b"x")
    status, _, err = glide_eval(capsys, "metrics", "--fake", tmp_path / "a.zip")
    assert status == 1
    assert "names the file '../../../../x.png'" in err
    assert not list(tmp_path.rglob("x.png"))


def test_an_image_with_an_empty_caption_is_left_out_of_its_folders_clip_score(capsys, tmp_path):
    fake = folder(tmp_path / "fake")
    rows = [f"{i:02d}.png,{'' if i == 3 else f'caption {i}'}\n" for i in range(12)]
    (fake / "captions.csv").write_text("file,caption\n" + "".join(rows))
    result, _, _ = measured(capsys, tmp_path, "--fake", fake)
    [row] = [row for row in result["values"] if row["metric"] == "clip_score"]
    assert row["n"] == 11
    assert row["value"] is not None
    assert "of the 11 of 12 images whose caption is not empty" in row["note"]
    scores = [score for score in result["scores"] if score["metric"] == "clip_score"]
    assert len(scores) == 11
    assert np.mean([score["value"] for score in scores]) == pytest.approx(row["value"])
    assert not [score for score in scores if score["file"].endswith("03.png")]


def test_the_inception_score_takes_splits(capsys, tmp_path):
    fake = folder(tmp_path / "fake")
    arguments = ("--fake", fake, "--metrics", "inception_score")
    one, _, _ = measured(capsys, tmp_path, *arguments)
    three, _, _ = measured(capsys, tmp_path, *arguments, "--is-splits", "3")
    again, _, _ = measured(capsys, tmp_path, *arguments, "--is-splits", "3")
    assert "1 split" in one["values"][0]["method"]
    assert "3 splits" in three["values"][0]["method"]
    assert values(three) == values(again) != values(one)
