"""The real command, really killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.glide_eval.sweeps import images_of, manifest_of, write_sweep

REPOSITORY = Path(__file__).parents[2]
SLOW = 'model = "fake"\nmicro_batch = 4\nfake = {size = 48, seconds = 0.03}'


def start(config: Path, out: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "glide_eval", "sweep", str(config), "--out", str(out)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def images_in(out: Path) -> int:
    return sum(1 for _ in out.glob("samples/*/*.png"))


def kill_after(config: Path, out: Path, images: int, pause: float) -> None:
    """SIGKILL the sweep `pause` seconds after it holds that many images."""
    process = start(config, out)
    deadline = time.monotonic() + 60
    while images_in(out) < images:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(pause)
    process.send_signal(signal.SIGKILL)
    output = process.communicate()[0]
    assert process.returncode == -signal.SIGKILL, output


def test_a_sweep_killed_three_times_and_resumed_equals_an_undisturbed_one(tmp_path):
    captions = ", ".join(f'"picture number {n}"' for n in range(18))
    config = write_sweep(tmp_path, generator=SLOW, prompts=f"captions = [{captions}]")
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    output = start(config, whole).communicate()[0]
    assert "made 54" in output

    rng = random.Random(20211220)
    held = 0
    for _ in range(3):
        kill_after(config, resumed, held + rng.randint(1, 8), rng.uniform(0, 0.1))
        held = images_in(resumed)
        assert held < 54
    last = start(config, resumed)
    output = last.communicate()[0]
    assert last.returncode == 0, output
    assert "are there" in output

    assert images_of(resumed) == images_of(whole)
    assert manifest_of(resumed) == manifest_of(whole)
    assert {p.name for p in resumed.iterdir()} == {p.name for p in whole.iterdir()}
