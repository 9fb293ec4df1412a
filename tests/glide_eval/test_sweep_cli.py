"""`glide-eval sweep` at the command line: what a user sees when all is well, and when it is not."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from glide_eval.files import RunFolder, held
from tests.glide_eval.sweeps import (
    ARMS,
    RUN,
    everything_in,
    glide_eval,
    images_of,
    manifest_of,
    write_images,
    write_sweep,
)

REPOSITORY = Path(__file__).parents[2]
IMPORTED = '[[arms]]\nstrategy = "imported"\nname = "mine"\nfolder = "images"\n'


def refused(capsys, status: int, *arguments: str | Path) -> str:
    """The one paragraph of a command that fails with `status`."""
    found, _, error = glide_eval(capsys, *arguments)
    assert found == status, error
    assert error.startswith("glide-eval: ")
    assert error.endswith("\n")
    assert error.count("\n") == 1
    return error


def test_a_sweep_says_what_it_makes_where_it_is_and_what_comes_next(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, output, error = glide_eval(capsys, "sweep", write_sweep(tmp_path))
    assert (status, error) == (0, "")
    first, last = output.splitlines()
    assert first == "18 images of 3 arms for runs/small."
    assert last.startswith("18 images in runs/small; made 18 in ")
    assert last.endswith("Next: glide-eval metrics runs/small")
    assert len(RunFolder.open("runs/small").samples()) == 18


def test_the_run_folder_is_the_files_own_unless_the_command_names_one(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    config = write_sweep(tmp_path, run=RUN + '\nout = "mine"')
    assert glide_eval(capsys, "sweep", config)[0] == 0
    assert glide_eval(capsys, "sweep", config, "--out", "other")[0] == 0
    assert images_of(tmp_path / "mine") == images_of(tmp_path / "other")
    assert not (tmp_path / "runs").exists()


def test_the_run_remembers_the_command(tmp_path, capsys, monkeypatch):
    config, out = write_sweep(tmp_path), tmp_path / "run"
    monkeypatch.setattr(sys, "argv", ["glide-eval", "sweep", str(config), "--out", str(out)])
    glide_eval(capsys, "sweep", config, "--out", out)
    command = RunFolder.open(out).provenance()["command"]
    assert command == f"glide-eval sweep {config} --out {out}"


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ('[run]\nnmae = "a"\n', "did you mean `name`?"),
        ('[run]\nname = 3\n[prompts]\ncaptions = ["a"]\n', "`run.name` is 3"),
        ("[run\n", "expected TOML"),
        (b"\x89PNG\r\n\x1a\n\0", "TOML in UTF-8"),
        (None, "no such sweep file"),
    ],
    ids=["unknown key", "wrong type", "not toml", "not text", "missing"],
)
def test_a_bad_sweep_file_is_wrong_usage(tmp_path, capsys, content, part):
    config = tmp_path / "sweep.toml"
    if content is not None:
        config.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert part in refused(capsys, 2, "sweep", config, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_wrong_flags_are_wrong_usage(tmp_path, capsys):
    status, _, error = glide_eval(capsys, "sweep", write_sweep(tmp_path), "--output", "x")
    assert status == 2
    assert "--out" in error


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        ("truncated", "1 of 6 images are missing or can't be decoded: image2.png"),
        ("missing", "image2.png (missing)"),
        ("text", "image2.png ("),
        ("uncaptioned", "found 6 images and no captions"),
        ("unmatched", "1 of 6 prompts have not an image here: p0005 'a cup'"),
    ],
)
def test_bad_images_stop_a_sweep_before_it_makes_anything(tmp_path, capsys, damage, part):
    captions = ["a red cube", "a blue ball", "a cone", "two cones", "a green ball"]
    last = "a mug" if damage == "unmatched" else "a cup"
    paths = write_images(tmp_path / "images", [*captions, last])
    if damage == "truncated":
        paths[2].write_bytes(paths[2].read_bytes()[:-200])
    elif damage == "missing":
        paths[2].unlink()
    elif damage == "text":
        paths[2].write_text("an image, honestly")
    elif damage == "uncaptioned":
        (tmp_path / "images" / "captions.csv").unlink()
    config = write_sweep(tmp_path, arms=ARMS + IMPORTED)
    assert part in refused(capsys, 1, "sweep", config, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("tables", "part"),
    [
        ({"run": 'name = "small"\nseed = 4'}, "`run.seed` is 3 there and 4 here"),
        ({"generator": 'model = "fake"\nmicro_batch = 5'}, "`generator.micro_batch` is 4 there"),
        ({"prompts": 'captions = ["a hat"]'}, "`prompts.count` is 6 there and 1 here"),
        (
            {"arms": ARMS.replace("1.5, 3", "1.5, 4")},
            "`arms` is unguided, cfg-1.5, cfg-3 there and unguided, cfg-1.5, cfg-4 here",
        ),
        (
            {"arms": ARMS.replace('"unguided"\n', '"unguided"\nsteps = 9\n')},
            "`arms.unguided.steps` is 100 there and 9 here",
        ),
        (
            {"generator": 'model = "fake"\nmicro_batch = 4\nfake = {size = 64}'},
            "`generator.fake.size` is 32 there and 64 here",
        ),
    ],
    ids=["seed", "micro_batch", "prompts", "scales", "steps", "size"],
)
def test_a_run_made_by_another_config_is_refused_and_left_alone(tmp_path, capsys, tables, part):
    out = tmp_path / "run"
    assert glide_eval(capsys, "sweep", write_sweep(tmp_path), "--out", out)[0] == 0
    before = everything_in(out)
    error = refused(capsys, 1, "sweep", write_sweep(tmp_path, **tables), "--out", out)
    assert part in error
    assert "another --out" in error
    assert everything_in(out) == before


def test_a_run_made_with_other_weights_is_refused(tmp_path, capsys, monkeypatch):
    config, out = write_sweep(tmp_path), tmp_path / "run"
    glide_eval(capsys, "sweep", config, "--out", out)
    (out / "samples" / "cfg-3" / "p0000-0.png").unlink()
    before = everything_in(out)
    monkeypatch.setattr(
        "glide_eval.sweep.sources.FakeSource.fingerprint", lambda _: {"fake": "0" * 64}
    )
    error = refused(capsys, 1, "sweep", config, "--out", out)
    assert "`weights.fake` is " in error
    assert everything_in(out) == before


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path, capsys):
    config, out = write_sweep(tmp_path / "config"), tmp_path / "photos"
    out.mkdir()
    (out / "holiday.jpg").write_bytes(b"jpeg")
    assert "neither empty nor a run folder" in refused(capsys, 1, "sweep", config, "--out", out)
    assert everything_in(out) == {"holiday.jpg": b"jpeg"}
    error = refused(capsys, 1, "sweep", config, "--out", out / "holiday.jpg")
    assert "expected a folder, found a file" in error
    error = refused(capsys, 1, "sweep", config, "--out", out / "holiday.jpg" / "run")
    assert "expected a folder, found a file" in error


@pytest.mark.parametrize("content", ["{", "[]", '{"identity": 3}'])
def test_a_damaged_run_record_is_refused_and_left_alone(tmp_path, capsys, content):
    config, out = write_sweep(tmp_path), tmp_path / "run"
    glide_eval(capsys, "sweep", config, "--out", out)
    (out / "run.json").write_text(content)
    before = everything_in(out)
    assert "run.json" in refused(capsys, 1, "sweep", config, "--out", out)
    assert everything_in(out) == before


def test_two_sweeps_never_write_into_one_folder(tmp_path, capsys):
    config, out = write_sweep(tmp_path), tmp_path / "run"
    glide_eval(capsys, "sweep", config, "--out", out)
    before = everything_in(out)
    with held(out / ".lock", RuntimeError):
        said = refused(capsys, 1, "sweep", config, "--out", out)
        assert f"another sweep is writing there now (process {os.getpid()} on" in said
    assert everything_in(out) == before
    assert glide_eval(capsys, "sweep", config, "--out", out)[0] == 0


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_full_disk_keeps_what_was_made_and_the_same_command_goes_on(
    tmp_path, capsys, monkeypatch, code
):
    config, whole, out = write_sweep(tmp_path), tmp_path / "whole", tmp_path / "run"
    glide_eval(capsys, "sweep", config, "--out", whole)
    write = Path.write_bytes
    room = 9000

    def limited(path, content):
        nonlocal room
        room -= len(content)
        if room < 0:
            write(path, content[: len(content) + room] if room > -len(content) else b"")
            raise OSError(code, os.strerror(code))
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", limited)
        error = refused(capsys, 1, "sweep", config, "--out", out)
    assert "Could not write" in error
    assert os.strerror(code) in error
    kept = images_of(out)
    assert 0 < len(kept) < 18
    assert kept == {path: images_of(whole)[path] for path in kept}
    assert glide_eval(capsys, "sweep", config, "--out", out)[0] == 0
    assert images_of(out) == images_of(whole)
    assert manifest_of(out) == manifest_of(whole)


def test_imported_size_may_not_differ_from_the_generators(tmp_path, capsys):
    config = write_sweep(tmp_path, run=RUN + "\nsize = 64")
    error = refused(capsys, 2, "sweep", config, "--out", tmp_path / "run")
    assert "`run.size` is 64, but the generator makes images of 32 px" in error
    assert not (tmp_path / "run").exists()


def test_corrupt_weights_are_named_and_nothing_is_made(tmp_path, capsys):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "base.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0not weights")
    config = write_sweep(tmp_path, generator='model = "weights"')
    assert "weights" in refused(capsys, 1, "sweep", config, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_installed_command_fails_without_a_traceback(tmp_path):
    process = subprocess.run(
        [sys.executable, "-m", "glide_eval", "sweep", str(tmp_path / "none.toml")],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2
    assert process.stdout == ""
    assert process.stderr.count("\n") == 1
    assert "Traceback" not in process.stderr
