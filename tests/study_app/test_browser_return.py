"""Every way in which a rater comes back, in real Chromium, around a server that is killed.

Each way is tried with the server killed and started again before a vote, while it is on its way,
and after it. No vote may be lost or doubled, and the page must go on by itself.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator

import pytest
from selenium.common.exceptions import WebDriverException

from study_app.making import create_from_design
from study_app.owner import votes_frame
from study_app.rating import Study
from study_app.rules import StudyDesign
from tests.study_app.browser import RaterWindow, Seen, chromium
from tests.study_app.conftest import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.slow]

DESIGN = {
    "votes": {"per_pair": 2, "min_seconds": 0.3},
    "raters": {"pairs": 40},
    "entry": {"by": "open"},
}
LINK = "/?PROLIFIC_PID=5f1a2b3c4d5e6f7a8b9c0d1e"
A_LOOK = 0.4
Way = Callable[[RaterWindow], None]


def stay(_: RaterWindow) -> None:
    """Touch nothing."""


def reload(rater: RaterWindow) -> None:
    rater.driver.refresh()


def reload_without_cache(rater: RaterWindow) -> None:
    rater.driver.execute_cdp_cmd("Page.reload", {"ignoreCache": True})


def leave_and_go_back(rater: RaterWindow) -> None:
    rater.driver.get("data:text/html,elsewhere")
    rater.driver.back()


def go_back_and_forward(rater: RaterWindow) -> None:
    rater.driver.back()
    rater.driver.forward()


def type_the_address(rater: RaterWindow) -> None:
    visit(rater, rater.own)


def follow_the_link(rater: RaterWindow) -> None:
    visit(rater, rater.address + LINK)


def open_a_second_tab(rater: RaterWindow) -> None:
    rater.driver.switch_to.new_window("tab")
    visit(rater, rater.own)


def close_the_tab_and_open_it_again(rater: RaterWindow) -> None:
    old = rater.driver.current_window_handle
    open_a_second_tab(rater)
    new = rater.driver.current_window_handle
    rater.driver.switch_to.window(old)
    rater.driver.close()
    rater.driver.switch_to.window(new)


def go_on_in_a_new_window(rater: RaterWindow) -> None:
    rater.driver.switch_to.new_window("window")
    visit(rater, rater.own)


def close_the_lid(rater: RaterWindow) -> None:
    """The network is gone for a while, longer than a request waits."""
    offline(rater, True)
    time.sleep(5)
    offline(rater, False)


def change_the_network(rater: RaterWindow) -> None:
    """Whatever was on its way is cut off."""
    offline(rater, True)
    offline(rater, False)


WAYS: tuple[Way, ...] = (
    stay,
    reload,
    reload_without_cache,
    leave_and_go_back,
    go_back_and_forward,
    type_the_address,
    follow_the_link,
    open_a_second_tab,
    close_the_tab_and_open_it_again,
    go_on_in_a_new_window,
    close_the_lid,
    change_the_network,
)
# the others do not reach the database otherwise
ON_BOTH = (stay, reload, open_a_second_tab)


def visit(rater: RaterWindow, address: str) -> None:
    """Open an address as typing does, also one that can't be reached."""
    rater.driver.execute_cdp_cmd("Page.navigate", {"url": address})


def offline(rater: RaterWindow, gone: bool) -> None:
    rater.driver.execute_cdp_cmd("Network.enable", {})
    conditions = {"offline": gone, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    rater.driver.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)


class OwnWindow(RaterWindow):
    """A rater's window that knows the rater's own address."""

    own = ""

    def begin(self) -> Seen:
        """Come by the link, and then anew by the rater's own address."""
        self.start(LINK)
        self.own = self.driver.current_url
        assert "rater=" in self.own
        visit(self, self.own)
        return self.wait(self.first_pair)

    def vote(self) -> None:
        time.sleep(A_LOOK)
        self.click("left")

    def come_back(self) -> None:
        """Load a page again that could not be reached; leave alone one that could."""
        if not self.driver.execute_script("return location.protocol").startswith("http"):
            visit(self, self.own)

    def follows(self, before: Seen) -> Seen:
        """The pair after this one: the vote on this one counts."""

        def changed() -> Seen | None:
            self.come_back()
            now = self.seen()
            return now if now is not None and now.progress != before.progress else None

        return self.wait(changed)


@pytest.fixture
def rater(run, url, serving, tmp_path) -> Iterator[tuple[Study, OwnWindow, object]]:
    create_from_design(StudyDesign.model_validate(DESIGN), url, run=run, password=PASSWORD)
    study, browser = Study.open(url), chromium(tmp_path / "profile")
    server = serving(url)
    yield study, OwnWindow(browser, server.address), server
    browser.quit()
    study.close()


def come(window: OwnWindow, way: Way) -> None:
    """Come back in a way, also to a page that can't be reached."""
    with contextlib.suppress(WebDriverException):
        way(window)


def restart(server) -> None:
    server.end(signal.SIGKILL)
    server.start()


def ways_for(study: Study) -> tuple[Way, ...]:
    return WAYS if study.database.folder is not None else ON_BOTH


def require_each_vote_once(study: Study, votes: int, way: Way) -> None:
    stored = votes_frame(study)
    assert (len(stored), stored["assignment"].nunique()) == (votes, votes), way.__name__
    assert stored["answer"].tolist() == ["left"] * votes
    assert stored["rater"].nunique() == 1


def test_votes_before_and_after_a_restart_count_once_however_the_rater_comes_back(rater):
    study, window, server = rater
    seen = window.begin()
    for pairs, way in enumerate(ways_for(study)):
        window.vote()
        seen = window.follows(seen)
        restart(server)
        come(window, way)
        assert window.wait(window.seen) == seen, way.__name__
        require_each_vote_once(study, 2 * pairs + 1, way)
        window.vote()
        seen = window.follows(seen)
        require_each_vote_once(study, 2 * pairs + 2, way)


def test_a_vote_given_while_the_server_is_away_counts_once_however_the_rater_comes_back(rater):
    study, window, server = rater
    seen = window.begin()
    for votes, way in enumerate(ways_for(study), 1):
        server.end(signal.SIGKILL)
        window.vote()
        come(window, way)
        server.start()
        seen = window.follows(seen)
        require_each_vote_once(study, votes, way)


def test_an_answer_acknowledged_late_leaves_a_later_one_of_another_page_alone(rater):
    study, window, _ = rater
    first = window.begin()
    slow = window.driver.current_window_handle
    offline(window, True)
    window.vote()
    open_a_second_tab(window)
    second = window.follows(first)  # it sent what the first could not
    gone = window.driver.current_window_handle
    offline(window, True)
    window.vote()
    window.driver.switch_to.window(slow)
    offline(window, False)
    assert window.follows(first) == second  # told only now that its answer is stored
    window.driver.switch_to.window(gone)
    window.driver.close()
    window.driver.switch_to.window(slow)
    open_a_second_tab(window)
    window.follows(second)
    require_each_vote_once(study, 2, open_a_second_tab)
