"""Real Chromium against a real server process: votes, double clicks, reload, SIGKILL, restart."""

from __future__ import annotations

import re
import signal
import time

import pytest
from sqlalchemy import select

from study_app.making import create_study
from study_app.owner import votes_frame
from study_app.rating import Study
from study_app.rules import Rules
from study_app.store import ImageRow, Repository
from tests.study_app.browser import RaterWindow, Seen, chromium
from tests.study_app.conftest import PASSWORD

pytestmark = pytest.mark.browser

MIN_SECONDS = 0.3
A_LOOK = MIN_SECONDS + 0.1  # how long our rater looks before answering


@pytest.fixture
def browser(tmp_path):
    driver = chromium(tmp_path / "profile")
    yield driver
    driver.quit()


@pytest.fixture
def open_study(run, sqlite_url):
    create_study(run, sqlite_url, rules=Rules(2, 40, MIN_SECONDS), password=PASSWORD)
    study = Study.open(sqlite_url)
    yield study
    study.close()


def stored(study: Study) -> list[tuple[str, str, str]]:
    """(left image's sample, right image's sample, answer) of every vote in the database."""
    votes = votes_frame(study)
    return [
        ((row.arm_left, row.prompt_id, row.replica), (row.arm_right, row.prompt_id, row.replica),
         row.answer)
        for row in votes.itertuples()
    ]  # fmt: skip


def cast(study: Study, answers: list[tuple[Seen, str]]) -> list[tuple[str, str, str]]:
    """The same, as the rater saw it happen."""
    with study.database.reading() as session:
        samples = {
            image.id: (image.arm, image.prompt_id, image.replica)
            for image in Repository(session).images()
        }
        names = dict(session.execute(select(ImageRow.name, ImageRow.id)).all())
    return [
        (samples[names[seen.left]], samples[names[seen.right]], answer) for seen, answer in answers
    ]


def test_votes_survive_double_clicks_reload_sigkill_and_restart(open_study, serving, browser):
    study, server = open_study, serving(open_study.database.url)
    rater = RaterWindow(browser, server.address)
    seen, answers = rater.start(), []

    def answer(how: str, **ways) -> None:
        nonlocal seen
        time.sleep(A_LOOK)
        rater.click(how, **ways)
        answers.append((seen, how))
        seen = rater.next_after(seen)

    for how in ("left", "right", "tie"):
        answer(how)
    for how in ("left", "right", "left", "tie"):
        answer(how, double=True)
        time.sleep(A_LOOK)
        assert rater.seen() == seen, "the second click of a double click answers nothing"
    for key, how in (("ArrowRight", "right"), (" ", "tie"), ("ArrowLeft", "left")):
        time.sleep(A_LOOK)
        rater.press(key)
        answers.append((seen, how))
        seen = rater.next_after(seen)
    time.sleep(A_LOOK)
    rater.press("ArrowRight", repeats=40)
    answers.append((seen, "right"))
    seen = rater.next_after(seen)
    time.sleep(A_LOOK)
    assert rater.seen() == seen, "a held key answers the pair that was shown, and no other"

    browser.refresh()
    assert rater.wait(rater.seen) == seen, "a reload comes back to the same pair"
    answer("left")

    server.end(signal.SIGKILL)
    assert stored(study) == cast(study, answers), "every acknowledged vote, once, as it was given"

    server.start()
    rater.wait(lambda: not rater.all("[role=dialog]"))
    assert rater.wait(rater.seen) == seen, "the rater is where they were, without a reload"
    rater.click("right")
    answers.append((seen, "right"))
    seen = rater.next_after(seen)
    assert stored(study) == cast(study, answers), "the first click after the restart counts"
    answer("tie")
    assert stored(study) == cast(study, answers)
    assert len(answers) >= 10
    assert votes_frame(study)["rater"].nunique() == 1


def test_a_raters_page_and_traffic_tell_no_arm_and_they_reach_the_end(
    sqlite_study, serving, browser
):
    server = serving(sqlite_study.database.url)
    rater = RaterWindow(browser, server.address)
    # a person can't make themselves simulated, nor anything else, by the address
    seen = rater.start("/?kind=simulated&rater_kind=simulated")
    pages, urls = [], set()
    for _ in range(7):
        time.sleep(0.7)
        pages.append(browser.page_source)
        resources = "return performance.getEntriesByType('resource').map(entry => entry.name)"
        urls |= {*browser.execute_script(resources), browser.current_url}
        rater.click("left")
        seen = rater.next_after(seen)
    time.sleep(0.7)
    rater.click("tie")
    rater.wait(lambda: browser.find_elements("css selector", "main.done"))
    secrets = [*sqlite_study.info.arms, *sqlite_study.info.arms.values(), "p000", "samples/"]
    elsewhere = [url for url in urls if not url.startswith((server.address, "data:", "blob:"))]
    assert not elsewhere, "nothing is fetched from anywhere else"
    assert not [word for word in secrets for text in (*pages, *urls) if word in text]
    images = {url for url in urls if "/image" in url}
    assert len(images) >= 14
    assert all(re.fullmatch(r".*/image/[0-9a-f]{32}\.png", url) for url in images)
    votes = votes_frame(sqlite_study)
    assert votes["rater_kind"].tolist() == ["person"] * 8
    assert votes["seconds"].between(0.6, 60).all()


def test_images_deleted_meanwhile_are_passed_over_and_nothing_is_lost(open_study, serving, browser):
    server = serving(open_study.database.url)
    rater = RaterWindow(browser, server.address)
    seen = rater.start()
    token = browser.current_url.split("rater=")[1]
    turn = open_study.turn(token)
    kept = {turn.current.left, turn.current.right, turn.upcoming.left, turn.upcoming.right}
    images = sorted(open_study.info.image_root.glob("*.png"))
    gone = [path for path in images if path.stem not in kept][::2]
    for path in gone:
        path.unlink()
    told = False
    for _ in range(6):
        time.sleep(A_LOOK)  # the next images show before the server's words about them
        told = told or rater.says("left that pair out")
        rater.click("left")
        seen = rater.next_after(seen)
        told = told or rater.says("left that pair out")
        assert not {seen.left, seen.right} & {path.stem for path in gone}
    assert told, "the rater hears why"
    assert len(votes_frame(open_study)) == 6
