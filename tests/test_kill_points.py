"""Every command that writes is killed at a few calls that touch files; by hand at a thousand."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_nothing_is_lost_or_half_written_wherever_a_command_is_killed():
    # In a process of its own, on one thread: it forks, and forks can't use their parent's threads.
    done = subprocess.run(
        [sys.executable, "-m", "tests.kill_points", "--points", "12"],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"\d+ kills in \d+ calls", done.stdout)) == 6
