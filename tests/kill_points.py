"""Kill a command at calls that touch files, run it again, and compare with an undisturbed run.

    python -m tests.kill_points            # a few points of every command
    python -m tests.kill_points --points 1000

Each command runs in a forked process that SIGKILLs itself before its n-th call that opens, writes,
syncs, renames or removes a file. What then lies under a final name must be whole: as it was before,
or as it ends. Run again, the command must end as if nothing had happened.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch

from glide_eval import extractors, references
from glide_eval.cli import main as command_line
from glide_eval.extractors import FakeExtractor
from glide_eval.files import RunFolder
from glide_eval.models.downloads import download
from glide_eval.references.build import build_reference
from study_app.store import database_url, upgrade_database
from tests.fakes import make_fake_run
from tests.glide_eval.servers import Server
from tests.glide_eval.sweeps import write_images, write_sweep
from tests.glide_eval.test_train_command import TINY

TOUCHING = {"open", "write", "fsync", "replace", "rename", "unlink", "mkdir", "truncate", "link"}
STUDY = Path(__file__).parent / "study_app" / "data" / "study_2.db"
SECONDS = 120  # for one process, which else hangs


@dataclass(frozen=True)
class Command:
    """What is killed.

    Attributes:
        prepare: makes a folder ready for it.
        run: does it in that folder.
        final: whether a file must be whole whenever it is there; by its path in the folder.
        result: what must be equal in the end.
    """

    prepare: Callable[[Path], object]
    run: Callable[[Path], object]
    final: Callable[[str], bool]
    result: Callable[[Path], Any]


def forked(work: Callable[[], object], point: int | None = None) -> tuple[int, int]:
    """Run in a child process that kills itself before its call number `point`.

    Returns:
        How the child ended, as `os.waitstatus_to_exitcode` has it, and the calls it counted.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        _in_child(work, point, writer)
    os.close(writer)
    with os.fdopen(reader) as counted:
        calls = counted.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), int(calls or 0)


def _in_child(work: Callable[[], object], point: int | None, writer: int) -> None:
    calls, lock = 0, threading.Lock()

    def watch(frame: FrameType, event: str, function: Any) -> None:
        nonlocal calls
        if event != "c_call" or function.__name__ not in TOUCHING or _to_a_terminal(function):
            return
        with lock:
            calls += 1
            if calls == point:
                os.kill(os.getpid(), signal.SIGKILL)

    signal.alarm(SECONDS)
    status = 1
    try:
        with Path(os.devnull).open("w") as silence:
            os.dup2(silence.fileno(), 1)
            threading.setprofile(watch)
            sys.setprofile(watch)
            work()
            status = 0
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.setprofile(None)
        os.write(writer, str(calls).encode())
        os._exit(status)


def _to_a_terminal(function: Any) -> bool:
    """Whether it writes to standard output, an error stream or memory, not to a file."""
    if function.__name__ != "write":
        return False
    name = getattr(getattr(function, "__self__", None), "name", None)
    return not isinstance(name, str) or name.startswith("<")


def contents(folder: Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """Bytes of the files wanted, by path."""
    paths = ((p.relative_to(folder).as_posix(), p) for p in sorted(folder.rglob("*")))
    return {name: path.read_bytes() for name, path in paths if path.is_file() and wanted(name)}


def check(command: Command, folder: Path, points: int) -> tuple[int, int]:
    """Kill the command at so many points; return how many there were, of how many.

    Raises:
        AssertionError: something was lost, half written, or other than undisturbed.
    """
    ready, whole = folder / "ready", folder / "whole"
    command.prepare(ready)
    shutil.copytree(ready, whole)
    code, calls = forked(lambda: command.run(whole))
    assert code == 0, f"undisturbed, it ends with {code}"
    before = contents(ready, command.final)
    after, result = contents(whole, command.final), command.result(whole)
    chosen = np.unique(np.linspace(1, calls, min(points, calls)).round().astype(int))
    for point in chosen.tolist():
        killed = folder / f"at-{point}"
        shutil.copytree(ready, killed)
        code, _ = forked(lambda where=killed: command.run(where), point)
        # Threads take turns as they like, so the last calls may not come.
        assert code in (-signal.SIGKILL, 0), f"killed at {point} of {calls}, it ends with {code}"
        kept = contents(killed, command.final)
        for name, found in kept.items():
            assert found in (before.get(name), after.get(name)), (
                f"{name} is half written at {point}"
            )
        assert before.keys() <= kept.keys(), f"lost at {point}: {before.keys() - kept.keys()}"
        code, _ = forked(lambda where=killed: command.run(where))
        assert code == 0, f"after a kill at {point} of {calls}, it ends with {code}"
        assert command.result(killed) == result, f"differs after a kill at {point} of {calls}"
        remade = contents(killed, command.final)
        assert kept.items() - before.items() <= remade.items(), f"changed after a kill at {point}"
        shutil.rmtree(killed)
    return len(chosen), calls


def _sweep(folder: Path) -> None:
    command_line(["sweep", str(folder / "sweep.toml"), "--out", str(folder / "run")])


def _a_sample(name: str) -> bool:
    return name.endswith(".png")


def _samples(folder: Path) -> Any:
    return contents(folder, _a_sample), (folder / "run" / "manifest.jsonl").read_text().count("\n")


def _a_run(folder: Path) -> RunFolder:
    return make_fake_run(folder / "run", 8, size=16)


def _run_to_measure(folder: Path) -> None:
    run = _a_run(folder)
    run.metrics_path.unlink()
    run.scores_path.unlink()


def _metrics(folder: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    extractors.load_extractor = lambda *_: FakeExtractor()
    references.tabletop_reference = lambda extractor: build_reference(extractor, [*images], "noise")
    command_line(["metrics", str(folder / "run")])


def _a_table(name: str) -> bool:
    return name.endswith((".csv", ".png", ".tex")) and "/." not in name


def _tables(folder: Path) -> dict[str, bytes]:
    return contents(folder, _a_table)


def _report(folder: Path) -> None:
    command_line(["report", str(folder / "run")])


def _prepared_study(folder: Path) -> None:
    folder.mkdir(parents=True)
    study = shutil.copy(STUDY, folder / "study.db")
    upgrade_database(database_url(str(study)))


def _export(folder: Path) -> None:
    command_line(
        ["study", "export", "--db", str(folder / "study.db"), "--out", f"{folder}/votes.csv"]
    )


def _train(folder: Path) -> None:
    os.chdir(folder)
    command_line(["models", "train", "train.toml"])


def _prepared_training(folder: Path) -> None:
    folder.mkdir(parents=True)
    write_images(folder / "pictures", ["a red cube", "a blue ball", "a cone"], 24)
    (folder / "train.toml").write_text(TINY)


def commands(server: Server) -> dict[str, Command]:
    """What is killed, by name."""
    return {
        "sweep": Command(write_sweep, _sweep, _a_sample, _samples),
        "metrics": Command(_run_to_measure, _metrics, _a_table, _tables),
        "report": Command(_a_run, _report, _a_table, _tables),
        "export": Command(_prepared_study, _export, _a_table, _tables),
        "fetch": Command(
            lambda folder: folder.mkdir(parents=True),
            lambda folder: download(server.url, folder / "base.pt"),
            lambda name: name == "base.pt",
            lambda folder: contents(folder, lambda name: not name.startswith(".")),
        ),
        "train": Command(
            _prepared_training,
            _train,
            lambda name: name.endswith(".safetensors"),
            lambda folder: contents(folder / "out", lambda name: name.endswith(".safetensors")),
        ),
    }


def main(points: int, only: list[str]) -> int:
    """Kill every command at about `points` points altogether; print and return how many."""
    torch.set_num_threads(1)  # a forked process can't use its parent's threads
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    chosen = {name: c for name, c in commands(server).items() if not only or name in only}
    total = 0
    for name, command in chosen.items():
        with tempfile.TemporaryDirectory() as folder:
            made, calls = check(command, Path(folder), max(1, points // len(chosen)))
        print(f"{name}: {made} kills in {calls} calls, nothing lost, none differs", flush=True)
        total += made
    return total


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--points", type=int, default=24, help="altogether, about")
    parser.add_argument("only", nargs="*", help="commands; all of them by default")
    arguments = parser.parse_args()
    print(main(arguments.points, arguments.only), "points")
