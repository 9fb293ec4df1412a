"""What an owner's look at a study costs: `python -m benchmarks.owner [--votes 10000,200000]`.

The votes are drawn and put into the tables in bulk, with gold and repeated pairs, answers taken
back and rules that leave raters out, as a large crowd would leave them. Then a look is taken as the
owner's page does, its parts timed one by one, and the looks that follow while votes come in.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import pstats
import shutil
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from sqlalchemy import insert, select
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from study_app.errors import DatabaseError
from study_app.making import create_from_design
from study_app.owner.look import Observer, Watcher
from study_app.rating import Study
from study_app.rules import StudyDesign
from study_app.store import database_url
from study_app.store.orm import AssignmentRow, PairRow, RaterRow, UndoRow, VoteRow
from tests.fakes import make_fake_run

PROMPTS = 60  # of five arms and two questions: 1,200 pairs
EACH = 44  # votes of one rater: 40 on plain pairs, 2 on gold ones, 2 on pairs seen before
DESIGN = {
    "votes": {"per_pair": 1000},
    "raters": {"pairs": 40},
    "gold": {"per_rater": 2},
    "repeats": {"per_rater": 2},
    "exclude": {"gold_accuracy_below": 0.5, "median_seconds_below": 1.0},
    "entry": {"by": "open"},
}
MORE = 100  # votes that come in between two looks
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def fill(study: Study, votes: int, seed: int = 0) -> None:
    """Put so many more votes into a study's tables, those of `EACH` for a rater."""
    with Session(study.database.engine) as session, session.begin():
        add(session, votes, np.random.default_rng(seed))


def add(session: Session, votes: int, rng: np.random.Generator) -> None:
    """Add raters, their assignments and their votes."""
    first = [1 + (session.scalar(select(table.id).order_by(table.id.desc()).limit(1)) or 0)
             for table in (RaterRow, AssignmentRow, VoteRow, UndoRow)]  # fmt: skip
    pairs = session.execute(
        select(PairRow.id, PairRow.image_a_id, PairRow.image_b_id, PairRow.gold)
    ).all()
    plain = [pair for pair in pairs if not pair.gold]
    gold = [pair for pair in pairs if pair.gold]
    raters, assigned, given, undone = [], [], [], []
    for number in range(-(-votes // EACH)):
        rater = first[0] + number
        raters.append({
            "id": rater, "public_id": f"r{rater:07d}", "token_hash": f"{rater:064d}",
            "kind": "person", "share": EACH, "joined_at": BEGUN, "done": EACH, "given": EACH,
        })  # fmt: skip
        shown = [plain[i] for i in rng.choice(len(plain), EACH - 4, replace=False)]
        shown += [gold[i] for i in rng.choice(len(gold), 2, replace=False)]
        times, sides = rng.lognormal(1.5, 0.5, EACH), rng.random(EACH) < 0.5
        answers = rng.choice(["left", "right", "tie"], EACH, p=[0.42, 0.42, 0.16])
        start = first[1] + len(assigned)
        for place in range(EACH):
            again = place >= EACH - 2
            pair = shown[0 if place == EACH - 2 else 1] if again else shown[place]
            left, right = (pair.image_a_id, pair.image_b_id)[:: 1 if sides[place] else -1]
            row = start + place
            at = BEGUN + timedelta(seconds=0.3 * (row - 1))
            back = place == 5
            assigned.append({
                "id": row, "uid": f"{row:032d}", "rater_id": rater, "pair_id": pair.id,
                "left_image_id": left, "right_image_id": right, "assigned_at": at,
                "state": "answered", "revision": int(back), "repeated": again,
                "repeat_of_id": start + place - EACH + 2 if again else None,
            })  # fmt: skip
            for revision in range(1 + back):
                given.append({
                    "id": first[2] + len(given), "assignment_id": row, "revision": revision,
                    "answer": str(answers[place]), "seconds": float(times[place]),
                    "created_at": at,
                })  # fmt: skip
            if back:
                undone.append({"id": first[3] + len(undone), "assignment_id": row,
                               "created_at": at})  # fmt: skip
    for table, rows in (
        (RaterRow, raters), (AssignmentRow, assigned), (VoteRow, given), (UndoRow, undone),
    ):  # fmt: skip
        for some in range(0, len(rows), 20_000):
            session.execute(insert(table), rows[some : some + 20_000])


def new_study(folder: Path) -> URL:
    """Create an empty study of two questions."""
    run = make_fake_run(folder / "run", prompts=PROMPTS)
    url = database_url(str(run.study_path))
    create_from_design(StudyDesign.model_validate(DESIGN), url, run=run, password="open sesame")
    return url


def measure(votes: int, profile: bool) -> None:
    """Print what looks at a study of so many votes cost."""
    folder = Path(tempfile.mkdtemp(prefix="owner-"))
    try:
        url = new_study(folder)
        with contextlib.closing(Study.open(url, writable=True)) as study:
            fill(study, votes)
            observer, costs = Observer(study), list[float]()
            for more in (0, 0, MORE):
                fill(study, more, seed=more)
                begun = time.process_time()
                look = observer.look()
                costs.append(time.process_time() - begun)
            first, again, later = costs
            print(
                f"{sum(look.votes.values()):,} votes: CPU s of the first look {first:.2f}, with "
                f"nothing new {again:.3f}, with {MORE} new votes {later:.2f}",
                flush=True,
            )
            print(
                f"  what the server pays for a look of the page: {_served(url):.3f} ms", flush=True
            )
            if profile:
                fill(study, MORE, seed=1)
                seen = cProfile.Profile()
                seen.runcall(observer.look)
                pstats.Stats(seen).sort_stats("cumtime").print_stats(60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _served(url: URL, looks: int = 200) -> float:
    """Return the CPU ms of the server for a look of the page, which a process of its own takes."""
    watcher = Watcher(url.render_as_string(hide_password=False))
    try:
        watching = time.monotonic()
        while time.monotonic() < watching + 600:
            with contextlib.suppress(DatabaseError):  # the first look takes long
                watcher.latest()
                break
        begun = time.process_time()
        for _ in range(looks):
            watcher.latest()
        return (time.process_time() - begun) / looks * 1000
    finally:
        watcher.close()


def main() -> None:
    """Measure each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--votes", default="10000,200000,1000000", help="stored")
    parser.add_argument("--profile", action="store_true", help="show where the time goes")
    options = parser.parse_args()
    for size in options.votes.split(","):
        measure(int(size), options.profile)


if __name__ == "__main__":
    main()
