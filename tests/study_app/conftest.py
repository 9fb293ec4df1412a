from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import URL

from glide_eval.files import RunFolder
from study_app.making import create_study
from study_app.rating import Study
from study_app.rules import Rules
from study_app.store import database_url
from tests.fakes import make_fake_run

PASSWORD = "open sesame"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory) -> RunFolder:
    """A small complete run; copy it before writing to it."""
    return make_fake_run(tmp_path_factory.mktemp("runs") / "tiny", prompts=6, size=32)


@pytest.fixture
def run(finished_run: RunFolder, tmp_path: Path) -> RunFolder:
    return RunFolder(Path(shutil.copytree(finished_run.root, tmp_path / "tiny")))


@pytest.fixture
def sqlite_url(run: RunFolder) -> URL:
    return database_url(str(run.study_path))


@pytest.fixture
def sqlite_study(run: RunFolder, sqlite_url: URL) -> Iterator[Study]:
    yield from _new_study(run, sqlite_url)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, sqlite_url: URL) -> URL:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return sqlite_url
    return request.getfixturevalue("postgres").new_database()


@pytest.fixture
def study(run: RunFolder, url: URL) -> Iterator[Study]:
    """A study of the small run, on each kind of database."""
    yield from _new_study(run, url)


def _new_study(run: RunFolder, url: URL) -> Iterator[Study]:
    create_study(run, url, rules=Rules(votes_per_pair=2, pairs_per_rater=8), password=PASSWORD)
    study = Study.open(url)
    yield study
    study.close()


@dataclass
class Postgres:
    """A throw-away PostgreSQL server.

    Attributes:
        port: on this machine.
        control: runs pg_ctl on it.
        options: what it was started with.
    """

    port: int
    control: Callable[..., None]
    options: str

    def stop(self) -> None:
        """As when the machine it runs on goes away."""
        self.control("-m", "immediate", "-w", "stop")

    def start(self) -> None:
        """Come back, with everything that was committed."""
        self.control("-o", self.options, "-w", "start")

    @property
    def server_url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def new_database(self) -> URL:
        name = f"study_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return database_url(f"postgresql://postgres@127.0.0.1:{self.port}/{name}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with start_postgres() as server:
        yield server


@contextlib.contextmanager
def start_postgres(*, durable: bool = False) -> Iterator[Postgres]:
    """A server in a folder of its own; `durable` writes to the disk before it answers."""
    binaries = _postgres_binaries()
    assert binaries is not None
    # PostgreSQL refuses to run as root, and its user can't enter pytest's private folders
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="study-postgres-"))
    if as_user:
        shutil.chown(folder, "postgres")
    data, port = folder / "data", free_port()

    def call(*command: str | Path) -> None:
        subprocess.run([*as_user, *map(str, command)], check=True, cwd=folder, stdout=-3, stderr=-3)

    try:
        call(binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
        options += "" if durable else " -c fsync=off"
        call(binaries / "pg_ctl", "-D", data, "-o", options, "-l", folder / "log", "-w", "start")
        try:
            yield Postgres(
                port, lambda *words: call(binaries / "pg_ctl", "-D", data, *words), options
            )
        finally:
            call(binaries / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _postgres_binaries() -> Path | None:
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3])
    )
    return installed[-1].parent if installed else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_up(address: str) -> None:
    """Wait until a study's server answers, under whatever name it is reached elsewhere."""
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=5):
                return
        except urllib.error.HTTPError:
            return  # it knows itself by another name
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"{address} did not come up")


class StudyServer:
    """`glide-eval study serve` as a process of its own; killed by its id alone."""

    def __init__(
        self, url: URL, port: int, *options: str, folder: Path = ROOT, **environment: str
    ) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self._command = [
            sys.executable,
            "-c",
            "from glide_eval.cli import main; main()",
            *("study", "serve", "--db", url.render_as_string(hide_password=False)),
            *("--port", str(port), *options),
        ]
        self._folder = folder
        self._environment = os.environ | {"PYTHONPATH": str(ROOT)} | environment
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self._command, cwd=self._folder, env=self._environment, stdout=-1, stderr=-2, text=True
        )
        self.said = []
        for line in self.process.stdout:  # ends with the process, if it fails
            self.said.append(line.strip())
            if line.startswith("Owner:"):
                break
        else:
            raise RuntimeError("\n".join(self.said))
        wait_until_up(self.address)

    def end(self, how: signal.Signals) -> int:
        """Send a signal to this process, wait for its end; its exit status."""
        os.kill(self.process.pid, how)
        self.said += self.process.stdout.read().splitlines()
        self.process.stdout.close()
        return self.process.wait(20)


@pytest.fixture
def serving() -> Iterator[Callable[..., StudyServer]]:
    """Serves a study; whatever still runs at the end of the test is killed."""
    servers: list[StudyServer] = []

    def serve(url: URL, *options: str, port: int | None = None, **more) -> StudyServer:
        servers.append(StudyServer(url, port or free_port(), *options, **more))
        return servers[-1]

    yield serve
    for server in servers:
        if server.process.poll() is None:
            server.end(signal.SIGKILL)
