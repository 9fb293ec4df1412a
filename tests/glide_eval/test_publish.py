from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import tarfile

import pandas as pd
import pytest
from click.testing import CliRunner

from glide_eval.cli import cli
from glide_eval.errors import DownloadError, RunError, StorageError, UsageError
from glide_eval.files import FarEnd, RunFolder, held, pull, push
from tests.fakes import make_fake_run


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return make_fake_run(tmp_path_factory.mktemp("published") / "run", 2, size=16).root


@pytest.fixture
def run(template, tmp_path) -> RunFolder:
    shutil.copytree(template, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("protocol", ["folder", "memory"])
def test_a_pulled_run_equals_the_pushed_one_and_is_a_run(run, tmp_path, protocol):
    url = str(tmp_path / "far") if protocol == "folder" else f"memory://{tmp_path.name}/far"
    sent = push(run, FarEnd(url))
    fetched = pull(FarEnd(url), tmp_path / "back")
    assert fetched.files == sent.files > len(run.samples())
    ours, theirs = digests(run.root), digests(tmp_path / "back")
    made = {"README.md", "files.json", "votes.csv"}
    assert {k: v for k, v in theirs.items() if k not in made}.items() <= ours.items()
    assert RunFolder.open(tmp_path / "back").samples() == run.samples()
    card = (tmp_path / "back" / "README.md").read_text("utf-8")
    for name, digest in run.provenance()["weights"].items():
        assert f"`{name}`, SHA-256 `{digest}`" in card
    again = push(run, FarEnd(url))
    assert (again.files, again.there) == (0, sent.files)
    assert pull(FarEnd(url), tmp_path / "back").files == 0


@pytest.mark.parametrize("images", ["tar", "parquet"])
def test_images_travel_in_packs_and_come_back_as_files(run, tmp_path, monkeypatch, images):
    monkeypatch.setattr("glide_eval.files.publish.listing.EACH", 3)
    far, back = FarEnd(str(tmp_path / "far")), tmp_path / "back"
    sent = push(run, far, images=images)
    there = {path.name for path in (tmp_path / "far" / "images").iterdir()}
    assert there == {f"{n:05d}.{images}" for n in range(-(-len(run.samples()) // 3))}
    fetched = pull(far, back)
    assert fetched.files == sent.files
    assert not (back / ".pack").exists()
    assert {k: v for k, v in digests(back).items() if k.startswith("samples/")} == {
        k: v for k, v in digests(run.root).items() if k.startswith("samples/")
    }
    assert (push(run, far, images=images).files, pull(far, back).files) == (0, 0)
    lost = back / run.samples()[4].path
    lost.unlink()
    assert pull(far, back).files == 1, "the pack that it is in"
    assert lost.is_file()
    assert not [path for path in back.iterdir() if path.name.endswith(".part")]
    push(run, far)  # as files: nothing of the packs stays
    assert not list((tmp_path / "far" / "images").glob("*"))


def test_packs_are_what_their_readers_expect(run, tmp_path):
    push(run, FarEnd(str(tmp_path / "tar")), images="tar")
    push(run, FarEnd(str(tmp_path / "parquet")), images="parquet")
    samples = run.samples()
    with tarfile.open(tmp_path / "tar" / "images" / "00000.tar") as tar:
        names = tar.getnames()
        told = json.loads(tar.extractfile(names[1]).read())
    assert names[:2] == [samples[0].path, samples[0].path.replace(".png", ".json")]
    assert told["caption"] == samples[0].caption
    table = pd.read_parquet(tmp_path / "parquet" / "images" / "00000.parquet")
    assert list(table["caption"]) == [sample.caption for sample in samples]
    assert table["image"][0]["bytes"] == (run.root / samples[0].path).read_bytes()


def test_a_pack_with_something_else_is_refused(run, tmp_path):
    far = tmp_path / "far"
    push(run, FarEnd(str(far)), images="tar")
    pack, listing = far / "images" / "00000.tar", far / "files.json"
    known = digests(far)["images/00000.tar"]
    size = pack.stat().st_size
    for name in ("../outside.png", run.samples()[0].path):
        with tarfile.open(pack, "w") as tar:
            tar.addfile(tarfile.TarInfo(name))
        content = pack.read_bytes().ljust(size, b"\0")
        pack.write_bytes(content)
        told = listing.read_text().replace(known, hashlib.sha256(content).hexdigest())
        known = hashlib.sha256(content).hexdigest()
        listing.write_text(told)
        with pytest.raises(DownloadError, match=f"{name} in images/.* is not the image that the"):
            pull(FarEnd(str(far)), tmp_path / "back")
        assert not (tmp_path / "outside.png").exists()
        assert not (tmp_path / "back" / "run.json").exists()


def test_a_pulled_run_is_measured_rated_and_reported(run, tmp_path):
    push(run, FarEnd(str(tmp_path / "far")))
    back = tmp_path / "back"
    pull(FarEnd(str(tmp_path / "far")), back)
    for command in (
        ["study", "create", back, "--pairs", 2],
        ["study", "simulate", back, "--raters", 2],
        ["study", "export", back],
        ["metrics", back, "--metrics", "image_quality"],
        ["report", back],
    ):
        done = CliRunner().invoke(cli, [str(word) for word in command])
        assert done.exit_code == 0, (command, done.output, done.exception)
    assert (back / "report" / "index.html").is_file()


KILLED = """
import os, signal, sys
from pathlib import Path
from glide_eval.files import FarEnd, RunFolder, pull, push
what, run, far, left = sys.argv[1], Path(sys.argv[2]), FarEnd(sys.argv[3]), [3]
def step(path):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
push(RunFolder(run), far, step=step) if what == "push" else pull(far, run, step=step)
"""


def killed(*arguments):
    done = subprocess.run([sys.executable, "-c", KILLED, *map(str, arguments)], check=False)
    assert done.returncode == -signal.SIGKILL


def test_a_killed_push_and_a_killed_pull_resume_without_moving_a_file_twice(run, tmp_path):
    far, back = tmp_path / "far", tmp_path / "back"
    killed("push", run.root, far)
    with pytest.raises(RunError, match="unfinished push"):
        pull(FarEnd(str(far)), back)
    resumed = push(run, FarEnd(str(far)))
    assert resumed.there == 3
    killed("pull", back, far)
    assert not (back / "run.json").exists()  # half a run is no run
    fetched = pull(FarEnd(str(far)), back)
    assert (fetched.there, fetched.files) == (3, resumed.files)
    assert digests(back) == digests(far)


def test_votes_are_published_without_ids_of_raters_unless_asked(run, tmp_path):
    far = tmp_path / "far"
    votes = pd.DataFrame({"rater": ["eve", "bob", "eve"], "answer": ["left", "right", "tie"]})
    votes.to_csv(run.votes_path, index=False)
    push(run, FarEnd(str(far)), rater_ids=True)
    assert (far / "votes.csv").read_bytes() == run.votes_path.read_bytes()
    push(run, FarEnd(str(far)))
    published = pd.read_csv(far / "votes.csv")
    assert list(published["rater"]) == ["r1", "r2", "r1"]
    assert list(published["answer"]) == list(votes["answer"])
    assert "3 votes" in (far / "README.md").read_text()


def test_a_card_in_the_run_folder_is_published_as_it_is(run, tmp_path):
    far = tmp_path / "far"
    push(run, FarEnd(str(far)))
    (run.root / "README.md").write_text("license: cc-by-4.0")
    assert push(run, FarEnd(str(far))).files == 1
    pull(FarEnd(str(far)), tmp_path / "back")
    assert (tmp_path / "back" / "README.md").read_text() == "license: cc-by-4.0"


def test_a_foreign_folder_and_another_run_are_left_alone(run, tmp_path):
    far = tmp_path / "far"
    far.mkdir()
    (far / "thesis.tex").write_text("mine")
    with pytest.raises(RunError, match="no published run"):
        push(run, FarEnd(str(far)))
    with pytest.raises(RunError, match="is no published run"):
        pull(FarEnd(str(far)), tmp_path / "back")
    assert digests(far).keys() == {"thesis.tex"}
    other = make_fake_run(tmp_path / "other", 1, size=16)
    push(other, FarEnd(str(tmp_path / "far2")))
    with pytest.raises(RunError, match="another run"):
        push(run, FarEnd(str(tmp_path / "far2")))
    with pytest.raises(RunError, match="not empty"):
        pull(FarEnd(str(tmp_path / "far2")), run.root)


def test_a_file_changed_at_the_far_end_is_named(run, tmp_path):
    far = tmp_path / "far"
    push(run, FarEnd(str(far)))
    changed = run.samples()[0].path
    (far / changed).write_bytes(b"another")
    with pytest.raises(DownloadError, match=changed):
        pull(FarEnd(str(far)), tmp_path / "back")
    assert not (tmp_path / "back" / changed).exists()


def test_a_listing_cannot_lead_out_of_the_folder(run, tmp_path):
    far = tmp_path / "far"
    push(run, FarEnd(str(far)))
    listing = far / "files.json"
    listing.write_text(listing.read_text().replace('"sweep.toml"', '"../sweep.toml"'))
    listing.write_text(listing.read_text().replace('"run.json"', '"../run.json"'))
    with pytest.raises(RunError, match="expected a path inside"):
        pull(FarEnd(str(far)), tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_run_that_is_being_swept_is_not_pushed(run, tmp_path):
    with held(run.root / ".lock", RuntimeError), pytest.raises(RunError, match="being written"):
        push(run, FarEnd(str(tmp_path / "far")))
    with held(run.root / ".lock.1-of-4", RuntimeError), pytest.raises(RunError, match="written"):
        push(run, FarEnd(str(tmp_path / "far")))
    assert not (tmp_path / "far").exists()


def test_no_message_has_a_secret_of_the_url(run):
    with pytest.raises((StorageError, UsageError)) as error:
        push(run, FarEnd("ftp://ann:sesame@127.0.0.1:1/runs?token=sesame"))
    assert "sesame" not in str(error.value)
    assert "ftp://127.0.0.1:1/runs" in str(error.value)
    with pytest.raises(UsageError, match="nonsense://here"):
        FarEnd("nonsense://here")


def test_commands_say_what_was_moved_and_how_to_fetch_it(run, tmp_path):
    far = str(tmp_path / "far")
    sent = CliRunner().invoke(cli, ["push", str(run.root), far])
    assert sent.exit_code == 0
    assert "pull" in sent.output
    fetched = CliRunner().invoke(cli, ["pull", far, str(tmp_path / "back")])
    assert fetched.exit_code == 0
    assert "0 were there" in fetched.output
