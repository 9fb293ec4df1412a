"""How commands end: signals, unexpected errors, exit statuses, output for scripts."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from glide_eval import cli
from tests.glide_eval.sweeps import GENERATOR, everything_in, glide_eval, write_sweep


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def break_sweeps(monkeypatch, error: BaseException) -> None:
    """Let `glide-eval sweep` raise an error that nobody expected."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(importlib.import_module("glide_eval.cli.sweep"), "load_sweep", fail)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ZeroDivisionError("by nought"), "ZeroDivisionError: by nought (test_endings.py:"),
        (RecursionError(), "RecursionError"),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), "UnicodeEncodeError"),
        (OSError(5, "Input/output error", "x.png"), "x.png: Input/output error"),
        (OSError(116, "Stale file handle", "x.png"), "x.png: Stale file handle"),
        (MemoryError(), "memory ran out"),
    ],
)
def test_an_unexpected_error_is_one_paragraph_and_debug_shows_the_rest(
    capsys, monkeypatch, error, said
):
    break_sweeps(monkeypatch, error)
    status, out, err = glide_eval(capsys, "sweep", "a.toml")
    assert status == 1
    assert out == ""
    assert err.count("\n") == 1
    assert said in err
    assert "glide-eval --debug" in err
    status, _, err = glide_eval(capsys, "--debug", "sweep", "a.toml")
    assert status == 1
    assert "Traceback (most recent call last)" in err
    assert said in err


@pytest.mark.parametrize(
    "command",
    [
        ("sweep", "no.toml"),
        ("metrics", "no"),
        ("metrics", "--real", "no", "--fake", "no", "--extractor", "tabletop"),
        ("reference", "build", "no", "--out", "x.npz"),
        ("reference", "info", "no.npz"),
        ("study", "status", "no"),
        ("report", "no"),
        ("report", "--votes", "no.csv"),
        ("models", "train", "no.toml"),
        ("plan", "--pilot", "no.csv"),
    ],
    ids=" ".join,
)
def test_a_path_that_is_not_there_is_wrong_usage_in_every_command(capsys, command):
    status, _, err = glide_eval(capsys, *command)
    assert status == 2, err


def heed_signals() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_a_sweep_with_a_sentence_and_it_resumes(capsys, here, number):
    slow = GENERATOR.replace("size = 32", "size = 32, seconds = 0.05")
    write_sweep(here, generator=slow)
    command = [sys.executable, "-m", "glide_eval", "sweep", "sweep.toml", "--out", "run"]
    # A shell's background jobs ignore Ctrl-C, and those of nohup its end; children inherit that.
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=heed_signals,
        env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])},
    )  # fmt: skip
    while process.poll() is None and not list(here.glob("run/samples/*/*.png")):
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == 128 + number
    assert err.strip() == "Stopped. What was made so far is kept."
    assert glide_eval(capsys, "sweep", "sweep.toml", "--out", "run")[0] == 0


def test_a_sweep_can_be_looked_at_before_it_runs(capsys, here):
    write_sweep(here)
    before = everything_in(here)
    status, out, _ = glide_eval(capsys, "sweep", "sweep.toml", "--out", "run", "--dry-run")
    assert status == 0
    assert out.splitlines() == [
        "18 images of 3 arms for run.",
        "unguided: 6 images to draw or read",
        "cfg-1.5: 6 images to draw or read",
        "cfg-3: 6 images to draw or read",
    ]
    assert everything_in(here) == before
    assert glide_eval(capsys, "sweep", "sweep.toml", "--out", "run", "--quiet") == (0, "", "")
    _, out, _ = glide_eval(capsys, "sweep", "sweep.toml", "--out", "run", "--dry-run")
    assert out.startswith("18 images of 3 arms for run: all are there.")


def test_metrics_are_printed_alone_where_a_script_reads_them(capsys, here):
    write_sweep(here)
    glide_eval(capsys, "sweep", "sweep.toml", "--out", "run")
    command = ("metrics", "run", "--metrics", "inception_score")
    status, out, _ = glide_eval(capsys, *command, "--json", "-")
    assert status == 0
    assert {row["arm"] for row in json.loads(out)["values"]} == {"unguided", "cfg-1.5", "cfg-3"}
    _, out, _ = glide_eval(capsys, *command, "--csv", "-")
    assert out.startswith("arm,metric,value,")
    assert glide_eval(capsys, *command, "--quiet")[:2] == (0, "")


def test_a_sweep_file_with_a_byte_order_mark_opens(capsys, here):
    path = write_sweep(here)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert glide_eval(capsys, "sweep", path, "--out", "run")[0] == 0
    assert glide_eval(capsys, "sweep", "run/sweep.toml", "--out", "run")[0] == 0
