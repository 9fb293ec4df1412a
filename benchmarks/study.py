"""What a study carries: `python -m benchmarks.study [--parts raters,closed,postgres,…]`.

Real server processes, real databases, real connections (`tests.study_app.window`), and, for what a
rater sees, real Chromium (`study_browser`). The driver is a process of its own; its share of the
processor is printed, so that it is seen not to be the limit.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy.engine import URL

from study_app.making.create import create_study
from study_app.owner.export import votes_frame
from study_app.rating.study import Study
from study_app.rules.domain import Rules
from study_app.store.settings import DATABASE_VARIABLE, database_url
from tests.fakes import make_fake_run
from tests.study_app.conftest import Postgres, free_port, start_postgres
from tests.study_app.window import Window

STALL = 0.1  # seconds
PROMPTS = 60  # of five arms and two questions: 1,200 pairs
SERVE = (  # the real thing, but for the limits an address has: all our raters come from one
    "import sys, study_app.serving.limits as limits\n"
    "for limit in (limits.joins, limits.events, limits.requests): limit.burst = 1e12\n"
    "from study_app.serving import RaterPage, serve\n"
    "from study_app.store import database_url\n"
    "from study_app.views import rate\n"
    "page = RaterPage(rate.shell, rate.respond)\n"
    "serve(database_url(sys.argv[1]), page, port=int(sys.argv[2]))\n"
)


@dataclass(frozen=True)
class Load:
    """How raters behave.

    Attributes:
        raters: how many at once.
        think: seconds between the next pair and its answer, on average; exponentially spread
            about half of it.
        seconds: how long the measured part lasts.
    """

    raters: int
    think: float
    seconds: float


@dataclass
class Measured:
    """What came of it."""

    latencies: np.ndarray  # seconds, each vote in the measured part
    votes: int
    lost: int
    notices: list[str]
    measured: float  # seconds
    memory: float  # bytes a connected session
    driver: float  # share of one core the driver used
    server: float  # cores the server processes used
    vote: float  # seconds of processor that a vote took them

    def report(self, title: str) -> None:
        """Print it."""
        ms = 1000 * self.latencies
        p50, p95, p99 = np.percentile(ms, [50, 95, 99])
        print(f"{title}")
        print(f"  vote → next pair   p50 {p50:6.1f}   p95 {p95:6.1f}   p99 {p99:6.1f}   "
              f"max {ms.max():6.1f} ms")  # fmt: skip
        print(f"  votes              {len(ms):,} in {self.measured:.0f} s: "
              f"{len(ms) / self.measured:.0f}/s; over {1000 * STALL:.0f} ms: {(ms > 100).sum()}; "
              f"lost or doubled: {self.lost}; not stored: {len(self.notices)} "
              f"{sorted(set(self.notices))}")  # fmt: skip
        print(f"  memory             {self.memory / 1024:.0f} KB per session")
        print(f"  processor          server {1000 * self.vote:.1f} ms per vote, "
              f"{self.server:.2f} cores; driver {self.driver:.2f}; "
              f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)  # fmt: skip


class Server:
    """A server process on a study."""

    def __init__(self, url: URL) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        text = url.render_as_string(hide_password=False)
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, text, str(self.port)],
            stdout=subprocess.DEVNULL,
            env=os.environ | {DATABASE_VARIABLE: text},
        )
        for _ in range(600):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.address}/_stcore/health", timeout=5).close()
                return
            time.sleep(0.1)
        raise RuntimeError("the server did not come up")

    def memory(self) -> int:
        """Resident bytes."""
        text = Path(f"/proc/{self.process.pid}/statm").read_text()
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu(self) -> float:
        """Seconds of processor used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """As Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)


@contextlib.contextmanager
def serving(study: Study) -> Iterator[Server]:
    """A server that is stopped afterwards."""
    server = Server(study.database.url)
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def new_study(url: URL | None = None) -> Iterator[Study]:
    """A study with enough pairs that no rater runs out."""
    folder = Path(tempfile.mkdtemp(prefix="study-load-"))
    try:
        run = make_fake_run(folder / "run", prompts=PROMPTS)
        url = url or database_url(str(run.study_path))
        create_study(run, url, rules=Rules(100_000, 1200, 0.0), password="open sesame")
        study = Study.open(url, writable=True)
        yield study
        study.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def new_rater(study: Study) -> str:
    """A new rater's own address, its query."""
    return f"rater={study.admit({})}"


async def drive(study: Study, servers: list[Server], load: Load) -> Measured:
    """Connect everybody, let them vote, count."""
    for server in servers:  # the first window brings in modules and pages that all others share
        first = Window(server.address, new_rater(study))
        await first.open()
        await first.answer("tie", 1.0)
        await first.close()
    idle = sum(server.memory() for server in servers)
    raters = [
        Window(servers[number % len(servers)].address, new_rater(study))
        for number in range(load.raters)
    ]
    for group in range(0, len(raters), 10):
        await asyncio.gather(*(rater.open() for rater in raters[group : group + 10]))
    memory = (sum(server.memory() for server in servers) - idle) / len(raters)
    taken: list[float] = []
    cpu, own = sum(s.cpu() for s in servers), _own_cpu()
    start = time.perf_counter()
    end = start + load.seconds
    total = sum(await asyncio.gather(*(_vote(r, load, start, end, taken) for r in raters)))
    seconds = time.perf_counter() - start
    cpu, own = sum(s.cpu() for s in servers) - cpu, _own_cpu() - own
    notices = [notice for rater in raters for notice in rater.notices]
    await asyncio.gather(*(rater.close() for rater in raters))
    stored = len(votes_frame(study))
    lost = abs(stored - len(servers) - total + len(notices))
    return Measured(
        np.array(taken),
        total,
        lost,
        notices,
        0.9 * load.seconds,
        memory,
        own / seconds,
        cpu / seconds,
        cpu / max(total, 1),
    )


async def _vote(rater: Window, load: Load, start: float, end: float, taken: list[float]) -> int:
    """One rater's votes; the first tenth of the time warms everything up and isn't measured."""
    draw = random.Random(rater.query)
    warm = start + 0.1 * (end - start)
    await asyncio.sleep(draw.random() * load.think)
    votes = 0
    while time.perf_counter() < end and rater.page.get("pair"):
        think = load.think / 2 + draw.expovariate(2 / load.think) if load.think else 0.0
        began = time.perf_counter()
        took = await rater.answer(draw.choice(["left", "right", "tie"]), think)
        votes += 1
        if began >= warm:
            taken.append(took)
        await asyncio.sleep(think)
    return votes


def _own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(title: str, load: Load, *, url: URL | None = None, processes: int = 1) -> None:
    """One line of the table."""
    with new_study(url) as study:
        servers = [Server(study.database.url) for _ in range(processes)]
        try:
            asyncio.run(drive(study, servers, load)).report(title)
        finally:
            for server in servers:
                server.stop()


def raters(seconds: float) -> None:
    measure("200 raters, 3 s think time, SQLite FULL, one process", Load(200, 3.0, seconds))


def closed(seconds: float) -> None:
    measure("closed loop, 50 sessions, SQLite FULL, one process", Load(50, 0.0, seconds))


def postgres(seconds: float) -> None:
    with start_postgres(durable=True) as server:
        _postgres(server, seconds)


def _postgres(server: Postgres, seconds: float) -> None:
    title = "400 raters, 3 s think time, PostgreSQL, two processes"
    measure(title, Load(400, 3.0, seconds), url=server.new_database(), processes=2)


def browser(_seconds: float) -> None:
    from benchmarks.study_browser import make_heavy, measure_browser

    with new_study() as study, serving(study) as server:
        make_heavy(study.info.image_root)
        measure_browser(server.address, votes=200)


def clicks(_seconds: float) -> None:
    from benchmarks.study_browser import measure_clicks

    with new_study() as study, serving(study) as server:
        measure_clicks(study, server.address)


PARTS: dict[str, Callable[[float], None]] = {
    "raters": raters,
    "closed": closed,
    "postgres": postgres,
    "browser": browser,
    "clicks": clicks,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--seconds", type=float, default=60, help="each part's length")
    chosen = parser.parse_args()
    for part in chosen.parts.split(","):
        PARTS[part](chosen.seconds)


if __name__ == "__main__":
    main()
