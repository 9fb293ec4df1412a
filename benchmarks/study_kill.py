"""Kill a process in a stream of votes and count what was lost: SQLite, and PostgreSQL by URL.

    python -m benchmarks.study_kill
    python -m benchmarks.study_kill --db postgresql://USER:PASSWORD@HOST/EMPTY_DATABASE

The process dies by SIGKILL after so many votes were acknowledged, several times over; each time the
study is opened again and every acknowledged vote is looked for.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from study_app.making.create import create_study
from study_app.owner.export import votes_frame
from study_app.rating.study import Study
from study_app.rules.domain import Rules
from study_app.store.settings import database_url
from tests.fakes import make_fake_run

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--db", help="an empty PostgreSQL database; default: an SQLite file")
    parser.add_argument("--votes", type=int, default=2000, help="acknowledged before the last kill")
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--threads", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="study-kill-") as folder:
        run = make_fake_run(Path(folder) / "run", prompts=60, size=16)
        url = database_url(options.db or str(Path(folder) / "study.db"))
        rules = Rules(votes_per_pair=12, pairs_per_rater=100, min_seconds=0)
        create_study(run, url, rules=rules, password="x")
        acknowledged: list[str] = []
        started = time.perf_counter()
        for number in range(1, options.kills + 1):
            wanted = options.votes * number // options.kills
            acknowledged += stream(url, options.threads, wanted - len(acknowledged))
        seconds = time.perf_counter() - started
        study = Study.open(url)
        stored = Counter(votes_frame(study)["assignment"])
        study.close()
    lost = sum(stored[uid] == 0 for uid in acknowledged)
    doubled = sum(count > 1 for count in stored.values())
    print(f"{url.get_backend_name()}: {options.kills} kills in {seconds:.0f} s")
    print(f"acknowledged {len(acknowledged):,}  stored {stored.total():,}")
    print(f"lost {lost}  doubled {doubled}")
    sys.exit(bool(lost or doubled))


def stream(url, threads: int, wanted: int) -> list[str]:
    """Let a process vote until so many are acknowledged, then kill it; the acknowledged ones."""
    target = url.render_as_string(hide_password=False)
    command = [sys.executable, "-W", "ignore", "-m", "tests.study_app.voter", target]
    voter = subprocess.Popen(
        [*command, str(threads), "100000"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert voter.stdout is not None
    acknowledged = [voter.stdout.readline().strip() for _ in range(max(wanted, 1))]
    os.kill(voter.pid, signal.SIGKILL)
    acknowledged += voter.stdout.read().split()
    voter.wait()
    return [uid for uid in acknowledged if uid]


if __name__ == "__main__":
    main()
