"""Files that were made, or damaged, to do harm: refused with a sentence, before any work."""

from __future__ import annotations

import json
import os
import re
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from generator.training import pictures
from glide_eval.errors import ConfigError, FeatureError, ImageError, RunError, StorageError
from glide_eval.extractors import FakeExtractor, load_features
from glide_eval.features import folder_features
from glide_eval.files import (
    FORMATS,
    IMAGE_SUFFIXES,
    Arm,
    RunFolder,
    Sample,
    inside,
    list_images,
    parse_json,
    read_rgb,
    read_whole,
    replacing,
    write_text,
)
from glide_eval.references import Reference, statistics_reference
from glide_eval.sweep import load_prompts, load_sweep
from glide_eval.sweep.edited_arms import EditFiles, match_pictures, read_batch
from glide_eval.sweep.imported_arms import match_folder
from tests.glide_eval.sweeps import glide_eval, write_images, write_sweep

DOCS = Path(__file__).parents[2] / "docs" / "reference"
EPS = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\n"
    b"1 0 0 setrgbcolor 0 0 32 32 rectfill\nshowpage\n%%EOF\n"
)
SECRET = b"root:x:0:0:secret\n"


def picture(path: Path, seed: int = 0, side: int = 16) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_postscript_under_a_pictures_name_starts_no_program(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *a, **k: started.append(a))
    (tmp_path / "x.png").write_bytes(EPS)
    with pytest.raises(ImageError, match=r"x\.png is not an image: expected PNG, JPEG"):
        read_rgb(tmp_path / "x.png")
    assert not started


@pytest.mark.parametrize("kind", ["ICO", "TGA", "PCX", "SGI", "JPEG2000", "MSP", "QOI"])
def test_formats_that_the_documentation_does_not_list_are_refused(tmp_path, kind):
    path = tmp_path / "a.png"
    pixels = np.zeros((16, 16, 3), np.uint8)
    image = Image.fromarray(pixels)
    (image.convert("1") if kind == "MSP" else image).save(path, kind)
    with pytest.raises(ImageError, match="is not an image"):
        read_rgb(path)


def test_the_documentation_prints_the_formats_that_are_read():
    text = (DOCS / "image-files.md").read_text()
    for suffix in IMAGE_SUFFIXES:
        assert f"`{suffix}`" in text
    assert FORMATS == pictures.FORMATS  # training reads the same


@pytest.mark.parametrize("suffix", [".jpe", ".jfif", ".gif"])
def test_other_names_of_jpegs_and_still_gifs_are_images(tmp_path, suffix):
    source = Image.fromarray(np.full((16, 16, 3), 80, np.uint8))
    source.save(tmp_path / f"a{suffix}", "GIF" if suffix == ".gif" else "JPEG")
    assert [path.name for path in list_images(tmp_path).images] == [f"a{suffix}"]
    assert (read_rgb(tmp_path / f"a{suffix}") == 80).all()


def test_listing_a_folder_looks_at_each_file_a_fixed_number_of_times(tmp_path, monkeypatch):
    def hashes(count: int) -> int:
        folder = tmp_path / str(count)
        folder.mkdir()
        for number in range(count):
            (folder / f"{number:04d}.png").touch()
        calls = 0
        whole = Path.__hash__

        def counted(path: Path) -> int:
            nonlocal calls
            calls += 1
            return whole(path)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "__hash__", counted)
            assert len(list_images(folder).images) == count
        return calls

    assert hashes(200) <= 2 * hashes(100) + 10


def test_links_are_followed_once_and_loops_are_named(tmp_path):
    outside = picture(tmp_path / "outside" / "o.png").parent
    folder = picture(tmp_path / "folder" / "z" / "a.png").parents[1]
    (folder / "linked").symlink_to(outside)
    (folder / "again").symlink_to(folder / "z")
    (folder / "z" / "up").symlink_to(folder)
    (folder / "nowhere.png").symlink_to(tmp_path / "gone.png")
    (folder / "self").symlink_to(folder / "self")
    os.mkfifo(folder / "pipe.png")
    found = list_images(folder)
    assert [p.relative_to(folder).as_posix() for p in found.images] == ["linked/o.png", "z/a.png"]
    assert {p.relative_to(folder).as_posix(): why for p, why in found.others.items()} == {
        "again": "a link to a folder whose images are listed already",
        "nowhere.png": "a link that leads nowhere",
        "pipe.png": "not a regular file",
        "self": "a link that leads nowhere",
        "z/up": "a link to a folder whose images are listed already",
    }


def test_images_behind_links_are_noticed_when_they_change(tmp_path):
    outside = picture(tmp_path / "outside" / "o.png")
    folder = picture(tmp_path / "folder" / "a.png").parent
    (folder / "linked").symlink_to(outside.parent)
    extractor = FakeExtractor()

    def digests() -> list[str]:
        images = list_images(folder).images
        found = folder_features(folder, images, [extractor], cache=tmp_path / "cache")
        return [seen.sha256 for seen in found.seen]

    first = digests()
    assert len(first) == 2
    picture(outside, seed=1)
    assert digests() != first  # changed
    picture(outside.with_name("p.png"))
    assert len(digests()) == 3  # added
    outside.unlink()
    assert len(digests()) == 2  # removed


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("device", "it is a device, not a file"),
        ("pipe", "it is a pipe, not a file"),
        ("socket", "it is a socket, not a file"),
        ("folder", "it is a folder, not a file"),
        ("loop", "symbolic links"),
        ("huge", "it has 1,099,511,627,776 bytes, and at most 536,870,912 are read"),
    ],
)
def test_what_is_no_regular_file_is_refused_unread(tmp_path, monkeypatch, kind, why):
    path = tmp_path / "x.png"
    if kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        monkeypatch.chdir(tmp_path)  # a socket's path is short
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind("x.png")
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    else:
        with path.open("wb") as file:
            file.truncate(1 << 40)  # sparse
    with pytest.raises(ImageError, match=rf"x\.png can't be read \(.*{why}.*\)"):
        read_rgb(path)
    with pytest.raises(OSError, match=r"x\.png"):
        read_whole(path)


OUTSIDE = ["../secret.png", "a/../../secret.png", "/etc/passwd", "..\\secret.png", "C:\\x.png", " ",
           "a\0b.png", "\ud800.png", "x" * 256, "x/" * 1000]  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_path_that_leaves_its_folder_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match=r"t\.csv: row 1 names the file .*inside"):
        inside(tmp_path, name, "t.csv: row 1", ConfigError)
    assert inside(tmp_path, "a/b..c.png", "", ConfigError) == tmp_path / "a" / "b..c.png"


@pytest.mark.parametrize("name", ["../outside.png", "ABSOLUTE"])
def test_captions_cannot_name_files_outside_their_folder(tmp_path, name):
    picture(tmp_path / "outside.png").write_bytes(SECRET)
    name = str(tmp_path / "outside.png") if name == "ABSOLUTE" else name
    write_images(tmp_path / "images", ["a cat"])
    (tmp_path / "images" / "captions.csv").write_text(f"file,caption\n{name},a cat\n")
    arms = {
        match_folder: 'strategy = "imported"\nname = "a"\nfolder = "images"\n',
        match_pictures: 'strategy = "unguided"\nedit = { sketches = "images", strength = 0.5 }\n',
    }
    for match, arm in arms.items():
        tables = {"prompts": 'captions = ["a cat"]', "arms": "[[arms]]\n" + arm}
        sweep = load_sweep(write_sweep(tmp_path, **tables))
        with pytest.raises(ConfigError, match=r"captions\.csv: row 1 names the file") as error:
            match(sweep, sweep.config.expand()[0], load_prompts(sweep))
        assert "root:x" not in str(error.value)


def test_an_editing_batch_decodes_a_shared_picture_once(tmp_path, monkeypatch):
    from glide_eval.sweep import edited_arms

    decoded = []
    whole = edited_arms.read_picture
    monkeypatch.setattr(edited_arms, "read_picture", lambda p: decoded.append(p) or whole(p))
    arm = '[[arms]]\nstrategy = "unguided"\nedit = { sketches = "p.png", strength = 0.5 }\n'
    sweep = load_sweep(write_sweep(tmp_path, prompts='captions = ["a cat"]', arms=arm))
    shared = EditFiles(picture(tmp_path / "p.png"))
    batch = read_batch(sweep.config.expand()[0], [shared] * 8, 8)
    assert batch.images.shape == (8, 8, 8, 3)
    assert len(decoded) == 1


def test_a_sweep_of_twenty_thousand_scales_is_refused_at_once(tmp_path, capsys):
    scales = [1 + number / 1000 for number in range(20_000)]
    one = f'[[arms]]\nstrategy = "classifier_free"\nscales = {scales}\n'
    many = "".join(
        f'[[arms]]\nstrategy = "classifier_free"\nname = "a{n}"\nscales = {scales[:500]}\n'
        for n in range(3)
    )
    for arms, found in ((one, r"scales.* at most 1,000 items"), (many, "found 1,500 arms")):
        path = write_sweep(tmp_path, arms=arms)
        status, _, err = glide_eval(capsys, "sweep", path, "--out", tmp_path / "run")
        assert status == 2
        assert re.search(found, err), err


SAMPLE = Sample("a", "p0", "a cat", 0, 1, "samples/a/p0-0.png", "0" * 64, 0.5)


@pytest.mark.parametrize(
    "change",
    [
        {"replica": "0"},
        {"arm": None},
        {"seconds": [1]},
        {"path": 7},
        {"path": "../x.png"},
        {"path": "/etc/passwd"},
        {"path": "a\0.png"},
        {"caption": "\ud800"},
        {"more": 1},
        {"replica": True},
        {"candidate_scores": 5},
    ],
    ids=str,
)
def test_a_damaged_manifest_line_is_named(tmp_path, change):
    run = RunFolder(tmp_path)
    values = {**json.loads(SAMPLE.to_json()), **change}
    run.manifest_path.write_text(json.dumps(values) + "\n")
    with pytest.raises(RunError, match=r"manifest\.jsonl:1"):
        run.samples()


@pytest.mark.parametrize("line", [b"\xff\xfe", b"[" * 100_000, b"5", b'{"replica": ' + b"9" * 5000])
def test_a_manifest_line_of_other_bytes_is_named(tmp_path, line):
    run = RunFolder(tmp_path)
    run.manifest_path.write_bytes(SAMPLE.to_json().encode() + b"\n" + line + b"\n")
    with pytest.raises(RunError, match=r"manifest\.jsonl:2: expected one sample"):
        run.samples()


@pytest.mark.parametrize(
    "content",
    [b"[]", b"null", b"\xff", b"[" * 100_000, b'{"arms": 5}', b'{"arms": [{}]}', b"{}",
     b'{"arms": [{"name": "../x", "strategy": "a", "scale": null, "label": ""}]}',
     b'{"arms": [{"name": 5, "strategy": "a", "scale": null, "label": ""}]}'],
)  # fmt: skip
def test_a_damaged_run_record_is_named(tmp_path, content):
    run = RunFolder(tmp_path)
    run.provenance_path.write_bytes(content)
    with pytest.raises(RunError, match=r"run\.json: expected the JSON a sweep writes"):
        run.arms()


def test_a_whole_run_record_gives_its_arms(tmp_path):
    arm = Arm("a", "unguided", None, "A", "ddim", 25)
    run = RunFolder(tmp_path)
    run.provenance_path.write_text(json.dumps({"arms": [arm.to_dict()]}))
    assert run.arms() == [arm]


def test_a_sweep_goes_on_after_its_manifest_and_record_were_damaged(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_sweep(tmp_path)
    assert glide_eval(capsys, "sweep", "sweep.toml", "--out", "run")[0] == 0
    run = RunFolder(Path("run"))
    manifest = run.manifest_path.read_bytes()
    run.manifest_path.write_bytes(manifest.replace(b'"', b"\xff", 1))
    story = run.provenance()
    del story["ended"]
    write_text(run.provenance_path, json.dumps(story))
    status, _, err = glide_eval(capsys, "sweep", "sweep.toml", "--out", "run")
    assert (status == 0) or re.match(r"glide-eval: run/run\.json: expected", err)
    assert "Traceback" not in err
    write_text(run.provenance_path, json.dumps({**story, "ended": None}))
    assert glide_eval(capsys, "sweep", "sweep.toml", "--out", "run")[0] == 0
    assert [s.key for s in run.samples()] == [
        Sample.from_json(line).key for line in manifest.decode().splitlines()
    ]


@pytest.mark.parametrize("number", ["EIO", "ESTALE", "EFBIG", "ENOSPC"])
def test_a_failing_disk_is_told_and_the_old_file_stays(tmp_path, number):
    import errno

    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail() -> None:
        code = getattr(errno, number)
        raise OSError(code, os.strerror(code))

    with pytest.raises(StorageError, match=r"Could not write .*a\.txt"), replacing(path):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_written_reaches_the_disk_before_it_takes_the_name(tmp_path, monkeypatch):
    order = []
    sync, rename = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        order.append(Path(f"/proc/self/fd/{descriptor}").resolve().read_text())
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", lambda a, b: order.append("renamed") or rename(a, b))
    write_text(tmp_path / "a.txt", "whole")
    assert order == ["whole", "renamed"]


def test_private_files_are_their_owners_alone(tmp_path):
    before = os.umask(0o022)
    try:
        with replacing(tmp_path / "a", private=True) as part:
            part.write_text("x")
        with replacing(tmp_path / "b") as part:
            part.write_text("x")
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in "ab"] == [0o600, 0o644]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 100_000, "deep"),
        ('"\\ud800"', "surrogates"),
        ("{", "Expecting"),
        ("9" * 5000, "4300"),
    ],
    ids=["deep", "surrogate", "cut", "long"],
)
def test_json_that_would_break_later_is_refused_at_once(text, why):
    with pytest.raises(ValueError, match=why):
        parse_json(text)


class Harmful:
    """What a pickle of it runs when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("kind", ["reference", "statistics", "features", "real", "fake", "npy"])
def test_no_array_file_runs_code(tmp_path, kind, capsys):
    touched = tmp_path / "touched"
    array = np.array([Harmful(touched)], dtype=object)
    path = tmp_path / ("a.npy" if kind == "npy" else "a.npz")
    if kind == "npy":
        np.save(path, array, allow_pickle=True)
    else:
        names = ("about", "pool", "mu", "sigma", "key") if kind != "fake" else ("arr_0",)
        np.savez(path, **dict.fromkeys(names, array))
    if kind == "reference":
        with pytest.raises(FeatureError, match="is not a reference"):
            Reference.read(path)
    elif kind == "statistics":
        with pytest.raises(FeatureError, match="holds no published statistics"):
            statistics_reference(path, FakeExtractor())
    elif kind == "features":
        assert load_features(path, "") is None
    else:
        flags = ("--real", path, "--fake", tmp_path) if kind == "real" else ("--fake", path)
        picture(tmp_path / "a.png")
        status, _, err = glide_eval(capsys, "metrics", *flags, "--extractor", "tabletop")
        assert status == 1
        assert err.count("\n") == 1
    assert not touched.exists()


@pytest.mark.parametrize("prompt", ["\udcff a cube", "a\0cube"])
def test_a_prompt_that_no_file_can_hold_is_refused_before_it_is_drawn(tmp_path, capsys, prompt):
    status, _, err = glide_eval(capsys, "sample", prompt, "--out", tmp_path / "out")
    assert status == 2
    assert "holds bytes that are no text" in err
    assert not list(tmp_path.rglob("*.png"))
