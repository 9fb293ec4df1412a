"""Locks on shared folders: processes that pretend to be other machines, really killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from glide_eval.files import held, is_held, left_behind, locks
from glide_eval.files.partial import partial_path
from glide_eval.sweep import load_sweep, run_sweep
from tests.glide_eval.sweeps import images_of, manifest_of, write_sweep

REPOSITORY = Path(__file__).parents[2]
SLOW = 'model = "fake"\nmicro_batch = 4\nfake = {size = 32, seconds = 10}'
# Another machine on a network file system: kernel locks are granted to everybody, and no process
# can look at one of another host. A lease of two seconds, not of a minute.
NODE = """
import fcntl, os, socket, sys
fcntl.flock = fcntl.lockf = lambda *_: None
socket.gethostname = lambda: sys.argv[1]
os.uname = lambda was=os.uname(): os.uname_result((was[0], sys.argv[1], *was[2:]))
from glide_eval.files import locks
locks.LEASE, locks.HEARTBEAT = 2.0, 0.4
from glide_eval.cli import main
main(sys.argv[2:])
"""


def on_node(name: str, *arguments: str | Path) -> subprocess.Popen:
    """Start `glide-eval` as if on another machine."""
    return subprocess.Popen(
        [sys.executable, "-c", NODE, name, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def until(true, process: subprocess.Popen) -> None:
    """Wait for a condition while a process runs."""
    deadline = time.monotonic() + 60
    while not true():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_two_nodes_never_sweep_into_one_folder_and_a_dead_nodes_lock_runs_out(tmp_path):
    slow, out = write_sweep(tmp_path / "slow", generator=SLOW), tmp_path / "run"
    config = write_sweep(tmp_path)
    first = on_node("node-1", "sweep", slow, "--out", out)
    until((out / "run.json").is_file, first)
    part = out / "samples" / "unguided" / ".p0005-0.png.00000000-7.12345678.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"half")  # of a node that nobody can ask
    second = on_node("node-2", "sweep", config, "--out", out)
    said = second.communicate()[0]
    assert second.returncode == 1, said
    assert f"another sweep is writing there now (process {first.pid} on node-1)" in said

    first.kill()
    first.communicate()
    third = on_node("node-3", "sweep", config, "--out", out)
    said = third.communicate()[0]
    assert third.returncode == 0, said
    assert part.exists()  # its writer may be alive
    part.unlink()
    run_sweep(load_sweep(config), tmp_path / "whole", say=lambda _: None)
    assert images_of(out) == images_of(tmp_path / "whole")
    assert manifest_of(out) == manifest_of(tmp_path / "whole")


def test_a_killed_process_of_this_host_holds_nobody_up(tmp_path):
    lock = tmp_path / ".lock"
    code = (
        "import sys, pathlib, os, signal\n"
        "from glide_eval.files import held\n"
        "with held(pathlib.Path(sys.argv[1]), RuntimeError): os.kill(os.getpid(), signal.SIGKILL)"
    )
    dead = subprocess.run(
        [sys.executable, "-c", code, str(lock)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=False,
    )
    assert dead.returncode == -signal.SIGKILL
    assert lock.exists()
    with held(lock, RuntimeError):
        assert is_held(lock).startswith(f"process {os.getpid()} on")
    assert is_held(lock) == ""
    assert list(tmp_path.iterdir()) == []


def test_a_lock_whose_process_was_killed_before_it_wrote_its_name_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "NAMELESS", 0.2)
    lock = tmp_path / "run.lock"
    lock.touch()
    with held(lock, RuntimeError):
        assert lock.stat().st_size
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_gets_its_name_meanwhile_is_respected(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "NAMELESS", 5.0)
    lock = tmp_path / "run.lock"
    lock.touch()
    with held(tmp_path / "other.lock", RuntimeError):
        name = (tmp_path / "other.lock").read_bytes()
        writer = threading.Timer(0.3, lock.write_bytes, [name])
        writer.start()
        with (
            pytest.raises(RuntimeError, match=f"process {os.getpid()} on "),
            held(lock, RuntimeError),
        ):
            pass
        writer.join()
    assert lock.read_bytes() == name


def test_the_lock_of_a_sweep_that_version_0_1_was_killed_in_is_removed(tmp_path):
    lock, note = tmp_path / ".lock", tmp_path / ".lock.by"
    lock.touch()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    note.write_text(json.dumps({"pid": ended.pid, "host": locks.socket.gethostname()}))
    with held(lock, RuntimeError):
        pass
    assert list(tmp_path.iterdir()) == []


def test_who_lost_a_lock_hears_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "HEARTBEAT", 0.02)
    lock = tmp_path / ".lock"
    with held(lock, RuntimeError) as mine:
        mine.require()
        lock.unlink()
        lock.write_text(
            "filelock/2\npid=7\nhost=node-9\nmode=lease\ntoken=ab\nduration=60.0\nstart=1\n"
        )
        deadline = time.monotonic() + 30
        while mine.still() and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(RuntimeError, match="process 7 on node-9"):
            mine.require()
    assert lock.exists()  # it is another's now


def test_a_lock_that_comes_back_with_its_folder_is_ours_again(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "HEARTBEAT", 0.02)
    lock = tmp_path / ".lock"
    with held(lock, RuntimeError) as mine:
        name = lock.read_bytes()
        lock.unlink()
        deadline = time.monotonic() + 30
        while mine.still() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not mine.still()
        lock.write_bytes(name)
        mine.require()


def test_only_a_dead_writers_temporary_file_counts_as_left_behind(tmp_path):
    mine = partial_path(tmp_path / "a.png")
    mine.write_bytes(b"half")
    assert not left_behind(mine)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert left_behind(mine.with_name(mine.name.replace(f"-{os.getpid()}.", f"-{ended.pid}.")))
    foreign = mine.with_name(".a.png.00000000-1.12345678.part")
    foreign.write_bytes(b"half")
    assert not left_behind(foreign)
    os.utime(foreign, (0, 0))
    assert left_behind(foreign)
    assert left_behind(tmp_path / ".a.png.abc.part")  # as version 0.1 named it
