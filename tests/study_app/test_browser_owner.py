"""The owner's page in real Chromium."""

from __future__ import annotations

import signal

import pytest
from selenium.webdriver.common.keys import Keys

from study_app.making import create_study, read_scores, simulate
from tests.study_app.accessibility import violations
from tests.study_app.browser import VIEWS, RaterWindow, chromium, look_as
from tests.study_app.conftest import PASSWORD

pytestmark = pytest.mark.browser


def test_the_owner_needs_the_password_sees_the_study_and_can_pause_it(
    sqlite_study, serving, run, tmp_path
):
    simulate(sqlite_study, read_scores(run.scores_path), raters=6, votes=60, seed=0)
    token = sqlite_study.join()
    pair = sqlite_study.turn(token).current
    sqlite_study.vote(token, pair.assignment, "left", 2.0)
    server = serving(sqlite_study.database.url)
    browser = chromium(tmp_path / "profile")
    window = RaterWindow(browser, server.address)

    def sign_in(password: str) -> None:
        field = window.wait(lambda: window.all("input[type=password]"))
        field[0].send_keys(Keys.CONTROL, "a")
        field[0].send_keys(password, Keys.ENTER)

    def press(label: str) -> None:
        window.wait(lambda: [b for b in window.all("button") if b.text == label])[0].click()

    try:
        browser.get(f"{server.address}/owner")
        window.wait(lambda: window.all("input[type=password]"))
        assert not violations(browser)
        sign_in("a guess")
        window.wait(lambda: window.says("That is not the password"))
        assert not window.says("cfg-3")
        assert not window.says("Votes by people")
        sign_in(PASSWORD)
        window.wait(lambda: window.says("60 of the 61 votes are simulated"))
        window.wait(lambda: window.says("Live Elo, SIMULATED votes, not people’s"))
        window.wait(lambda: window.says("Download votes.csv"))
        assert window.says("0 of 1 excluded")
        for view, (width, height, dark) in VIEWS.items():
            look_as(browser, width, height, dark=dark)
            assert not violations(browser), view
            wide = browser.execute_script("return document.documentElement.scrollWidth")
            assert wide <= width, f"cut off on a {view}"
        look_as(browser, 1280, 800, dark=False)
        press("Pause")
        window.wait(lambda: window.says("Paused"))
        assert sqlite_study.state == "paused"
        press("Resume")
        window.wait(lambda: sqlite_study.state == "open")
        press("Sign out")
        window.wait(lambda: window.all("input[type=password]"))
        assert not window.says("Votes by people")
    finally:
        browser.quit()


@pytest.mark.postgres
def test_the_owner_reads_that_the_database_is_away_and_sees_the_study_when_it_is_back(
    run, serving, postgres, tmp_path
):
    url = postgres.new_database()
    create_study(run, url, password=PASSWORD)
    server = serving(url)
    browser = chromium(tmp_path / "profile")
    window = RaterWindow(browser, server.address)
    try:
        browser.get(f"{server.address}/owner")
        field = window.wait(lambda: window.all("input[type=password]"))
        field[0].send_keys(PASSWORD, Keys.ENTER)
        window.wait(lambda: window.says("Votes by people"))
        postgres.stop()
        try:
            window.wait(lambda: window.all("[data-testid=stAlert]"), 60)
            assert not window.says("Votes by people")
            assert not window.says("Traceback")
            assert not violations(browser)
        finally:
            postgres.start()
        window.wait(lambda: window.says("Votes by people"), 60)
        assert not window.all("[data-testid=stAlert]")
    finally:
        browser.quit()
    server.end(signal.SIGKILL)
    assert not any("Traceback" in line for line in server.said)
