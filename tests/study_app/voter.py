"""A process that votes as fast as it can and says which votes were acknowledged.

    python -m tests.study_app.voter DATABASE_URL THREADS RATERS

Every line it writes is the id of an assignment whose vote came back as accepted; it is written
after the acknowledgement and before the next vote. Raters who are done make room for others.
"""

from __future__ import annotations

import os
import sys
import threading

from study_app.rating import Study
from study_app.store import database_url


def main(url: str, threads: int, raters: int) -> None:
    study = Study.open(database_url(url))
    shares = [raters // threads + (n < raters % threads) for n in range(threads)]
    workers = [threading.Thread(target=_rate, args=(study, share)) for share in shares]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    study.close()


def _rate(study: Study, raters: int) -> None:
    for _ in range(raters):
        token = study.join()
        while (pair := study.turn(token).current) is not None:
            for answer in ("left", "right"):  # a double click, on both sides
                if study.vote(token, pair.assignment, answer, 1.0) == "accepted":
                    os.write(1, f"{pair.assignment}\n".encode())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
