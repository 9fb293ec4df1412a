"""Every page a rater can meet, in real Chromium: honest words, no accessibility rule broken.

Each is looked at on a desktop and on a phone, in light and in dark; a picture of each lies in the
test's folder.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from study_app.making import create_from_design
from study_app.owner import delete_rater, votes_frame
from study_app.rating import Study
from study_app.rules import StudyDesign
from tests.study_app.accessibility import violations
from tests.study_app.browser import VIEWS, RaterWindow, Seen, chromium, look_as
from tests.study_app.conftest import PASSWORD

pytestmark = pytest.mark.browser

PROLIFIC = "/?PROLIFIC_PID={:024x}&STUDY_ID=abc&SESSION_ID=xyz"
ALL = tuple(VIEWS)
TWO = ("desktop", "phone-dark")  # of pages that differ in words alone
A_LOOK = 0.4  # how long our rater looks before answering
Begin = Callable[..., tuple[Study, RaterWindow]]


@pytest.fixture
def begin(run, serving, tmp_path) -> Iterator[Begin]:
    """Serves a study of a design; the study, and a window on it."""
    studies, browsers = [], []

    def begin(url, **design) -> tuple[Study, RaterWindow]:
        create_from_design(StudyDesign.model_validate(design), url, run=run, password=PASSWORD)
        studies.append(Study.open(url))
        server = serving(url)
        browsers.append(chromium(tmp_path / "profile"))
        window = RaterWindow(browsers[-1], server.address)
        window.pid = server.process.pid
        return studies[-1], window

    yield begin
    for browser in browsers:
        browser.quit()
    for study in studies:
        study.close()


def look(window: RaterWindow, name: str, folder: Path, views: Sequence[str] = ALL) -> None:
    """What stands on the page breaks no rule and fits, however it is looked at."""
    for view in views:
        width, height, dark = VIEWS[view]
        look_as(window.driver, width, height, dark=dark)
        wide = window.driver.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, f"{name} is cut off on a {view}"
        window.driver.save_screenshot(str(folder / f"{name}-{view}.png"))
        assert not violations(window.driver), f"{name}, {view}"


def answer(window: RaterWindow, seen: Seen) -> None:
    """Look at a pair and answer it."""
    time.sleep(A_LOOK)
    window.click("left")
    window.next_after(seen)


def open_at(window: RaterWindow, path: str, words: str) -> None:
    window.driver.get(window.address + path)
    window.wait(lambda: window.says(words))


def test_whoever_cannot_come_in_reads_why_and_what_to_do(begin, sqlite_url, tmp_path):
    study, window = begin(sqlite_url, raters={"max": 2})
    open_at(window, f"/?invite={0:032x}", "perhaps a part of it was lost")
    look(window, "refused-forged", tmp_path)
    open_at(window, "/?assignmentId=ASSIGNMENT_ID_NOT_AVAILABLE", "Accept the task first")
    look(window, "refused-preview", tmp_path, TWO)
    (invite,) = study.invite(1)
    study.admit({"invite": invite})
    delete_rater(study, invite)
    open_at(window, f"/?invite={invite}", "If it was meant for you")
    look(window, "refused-used", tmp_path, TWO)
    for number in range(2):
        study.turn(study.admit({"PROLIFIC_PID": f"{number:024x}"}))
    open_at(window, PROLIFIC.format(9), "all the participants it needs")
    look(window, "refused-full", tmp_path, TWO)
    study.close_voting()
    open_at(window, PROLIFIC.format(9), "takes no new participants")
    look(window, "refused-closed", tmp_path, TWO)


def test_a_study_by_invitation_tells_who_comes_without_a_link(begin, sqlite_url, tmp_path):
    _, window = begin(sqlite_url, entry={"by": "invite"})
    open_at(window, "/", "entered by a personal link")
    look(window, "refused-missing", tmp_path, TWO)


def test_a_raters_own_pages_in_every_state_of_the_study(begin, sqlite_url, tmp_path):
    study, window = begin(sqlite_url, votes={"min_seconds": 0, "both_bad": True})
    answer(window, window.start())
    look(window, "pair", tmp_path)
    window.all("button.zoom")[1].click()
    window.wait(lambda: window.all("dialog.zoomed[open]"))
    look(window, "zoom", tmp_path)
    window.all("dialog button.close")[0].click()
    before = resource.prlimit(window.pid, resource.RLIMIT_FSIZE, (1, -1))  # the disk is full
    seen = window.wait(window.seen)
    time.sleep(A_LOOK)
    window.click("left")
    window.wait(lambda: window.says("could not be saved yet"))
    assert window.seen() is None, "nothing else can be answered before that"
    look(window, "pair-disk-full", tmp_path, TWO)
    token = window.driver.current_url
    open_at(window, "/", "How to answer")
    window.go_on()
    window.wait(lambda: window.says("storage can't be reached"))
    look(window, "trouble-disk-full", tmp_path, TWO)
    resource.prlimit(window.pid, resource.RLIMIT_FSIZE, before)
    window.wait(window.seen)
    window.driver.get(token)
    assert window.wait(window.seen).progress != seen.progress, "the answer was sent again"
    turn = study.turn(token.split("rater=")[1])
    near = {turn.current.left, turn.current.right, turn.upcoming.left, turn.upcoming.right}
    others = sorted(study.info.image_root.glob("*.png"))
    for path in [path for path in others if path.stem not in near][::3]:
        path.unlink()
    while not window.says("left that pair out"):
        answer(window, window.wait(window.seen))
    look(window, "pair-image-missing", tmp_path, TWO)
    study.pause()
    window.driver.refresh()
    window.wait(lambda: window.says("A pause"))
    look(window, "paused", tmp_path)
    study.resume()
    window.go_on()
    given = len(votes_frame(study))
    answer(window, window.wait(window.seen))
    assert len(votes_frame(study)) == given + 1
    study.close_voting()
    window.driver.refresh()
    window.wait(lambda: window.says("This study is closed"))
    look(window, "closed", tmp_path, TWO)


WAIT = """
const real = window.setTimeout;
window.setTimeout = (act, ms) => real(act, ms === 20000 ? %d : ms);
"""


def wait_instead(window: RaterWindow, milliseconds: int) -> None:
    """Pages that are loaded from now on wait so long where a rater is to be taken back."""
    known = getattr(window, "waiting", None)
    if known is not None:
        window.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", known)
    window.waiting = window.driver.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument", {"source": WAIT % milliseconds}
    )


def test_who_is_done_is_taken_back_unless_they_want_to_stay(begin, sqlite_url, tmp_path):
    _, window = begin(
        sqlite_url,
        votes={"min_seconds": 0},
        raters={"pairs": 1},
        completion={"code": "C0FFEE", "redirect": "http://127.0.0.1:9/back?code={code}"},
    )
    wait_instead(window, 1500)
    window.start()
    time.sleep(A_LOOK)
    window.click("left")
    window.wait(lambda: window.says("C0FFEE"))
    window.all("[data-stay]")[0].click()
    focus = "return document.activeElement.hasAttribute('data-redirect')"
    assert window.driver.execute_script(focus), "a screen reader reads on at the way back"
    time.sleep(1.7)
    assert window.says("C0FFEE"), "and stays"
    assert not window.says("in 20 seconds")
    wait_instead(window, 600_000)
    window.driver.refresh()
    window.wait(lambda: window.says("in 20 seconds"))
    look(window, "done", tmp_path, TWO)
    wait_instead(window, 1500)
    window.driver.refresh()
    gone = "return location.protocol"  # there is nothing at that address
    window.wait(lambda: window.driver.execute_script(gone) == "chrome-error:")


def test_a_pair_answered_in_one_tab_is_told_in_the_other(begin, sqlite_url):
    study, window = begin(sqlite_url, votes={"min_seconds": 0})
    answer(window, window.start())
    seen, here = window.wait(window.seen), window.driver.current_window_handle
    address = window.driver.current_url
    window.driver.switch_to.new_window("tab")
    window.driver.get(address)
    assert window.wait(window.seen) == seen
    answer(window, seen)
    after = window.seen()
    window.driver.switch_to.window(here)
    assert window.seen() == seen
    window.click("right")
    window.wait(lambda: window.says("had its answer already, perhaps in another window"))
    assert window.wait(window.seen) == after, "both tabs go on with the same pair"
    assert votes_frame(study)["answer"].tolist() == ["left", "left"]


@pytest.mark.postgres
def test_while_the_database_is_away_raters_read_so_and_go_on_where_they_were(
    begin, postgres, tmp_path
):
    study, window = begin(postgres.new_database(), votes={"min_seconds": 0})
    seen = window.start()
    postgres.stop()
    try:
        window.driver.refresh()
        window.wait(lambda: window.says("storage can't be reached"))
        assert not window.says("postgres")
        look(window, "trouble", tmp_path)
    finally:
        postgres.start()

    def back():
        window.go_on()
        return window.seen()

    assert window.wait(back) == seen
    answer(window, seen)
    assert len(votes_frame(study)) == 1
