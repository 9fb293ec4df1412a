from __future__ import annotations

import hashlib
import shutil
import signal
import subprocess
import sys

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
    again = push(run, FarEnd(url))
    assert (again.files, again.there) == (0, sent.files)
    assert pull(FarEnd(url), tmp_path / "back").files == 0


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
