"""When storage fails in the middle of a study: raters hear the truth, and no vote is lost."""

from __future__ import annotations

import asyncio
import resource
import signal

import pytest

from study_app.making import create_study
from study_app.owner import votes_frame
from study_app.rating import Study
from study_app.rules import Rules
from tests.study_app.conftest import PASSWORD, StudyServer
from tests.study_app.window import Window


def answers_stored(study: Study) -> int:
    return len(votes_frame(study))


async def send_again_until_stored(window: Window, answer: str) -> None:
    """Send an answer as the page does: as long as it takes."""
    for _ in range(100):
        await window.answer(answer, 2.0)
        if window.status == 200:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"it was never stored: {window.status}")


def test_on_a_full_disk_a_vote_is_not_claimed_and_counts_once_there_is_room(sqlite_study, serving):
    server = serving(sqlite_study.database.url)
    pid = server.process.pid

    async def rate() -> None:
        async with Window(server.address, f"rater={sqlite_study.join()}") as window:
            await window.go_on()
            await asyncio.sleep(0.4)
            await window.answer("left", 2.0)
            shown = window.page
            await asyncio.sleep(0.4)
            before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, -1))  # no file can grow
            await window.answer("right", 2.0)
            assert window.status == 503, "the page keeps the answer and sends it again"
            assert window.page == shown
            assert answers_stored(sqlite_study) == 1
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
            await window.answer("right", 2.0)
            assert window.page["notice"] == ""
            assert window.page["pair"]["id"] != shown["pair"]["id"]

    asyncio.run(rate())
    assert votes_frame(sqlite_study)["answer"].tolist() == ["left", "right"]


def test_two_servers_on_one_sqlite_file_share_the_pairs_and_one_goes_on_alone(
    sqlite_study, serving
):
    first, second = (serving(sqlite_study.database.url) for _ in range(2))
    raters = [sqlite_study.join() for _ in range(4)]

    async def answered(window: Window) -> int:
        async with window:
            await window.go_on()
            for _ in range(3):
                await asyncio.sleep(0.4)
                await window.answer("left", 2.0)
                assert window.status == 200
        return 3

    async def rate(*servers: StudyServer) -> int:
        windows = [
            Window(server.address, f"rater={rater}")
            for rater, server in zip(raters, servers, strict=True)
        ]
        return sum(await asyncio.gather(*map(answered, windows)))

    given = asyncio.run(rate(first, second, first, second))
    first.end(signal.SIGKILL)
    given += asyncio.run(rate(second, second, second, second))
    votes = votes_frame(sqlite_study)
    assert len(votes) == given == 24
    assert not votes.duplicated(["rater", "assignment"]).any()
    votes["arms"] = [*map(frozenset, zip(votes["arm_left"], votes["arm_right"], strict=True))]
    pair = ["question", "prompt_id", "replica", "arms"]
    assert votes.groupby(pair).size().max() <= 2, "no pair has more votes than it wants"


@pytest.mark.postgres
def test_a_database_that_goes_away_and_comes_back_loses_nothing(run, serving, postgres):
    url = postgres.new_database()
    create_study(run, url, rules=Rules(2, 8), password=PASSWORD)
    study = Study.open(url)
    server = serving(url)

    async def rate() -> None:
        async with Window(server.address, f"rater={study.join()}") as window:
            await window.go_on()
            await asyncio.sleep(0.4)
            await window.answer("left", 2.0)
            pair = window.page["pair"]["id"]
            await asyncio.sleep(0.4)
            postgres.stop()
            try:
                await window.answer("right", 2.0)
                assert window.status == 503, "nothing of the database is told"
                assert window.page["pair"]["id"] == pair
            finally:
                postgres.start()
            await send_again_until_stored(window, "right")
            assert window.page["pair"]["id"] != pair

    asyncio.run(rate())
    assert votes_frame(study)["answer"].tolist() == ["left", "right"]
    study.close()
