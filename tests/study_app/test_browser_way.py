"""A rater's whole way in real Chromium, from a link to the completion code, without a mouse."""

from __future__ import annotations

import time

import pytest

from study_app.making import create_from_design
from study_app.owner import votes_frame
from study_app.rating import Study
from study_app.rules import StudyDesign
from tests.study_app.accessibility import violations
from tests.study_app.browser import RaterWindow, chromium
from tests.study_app.conftest import PASSWORD

pytestmark = pytest.mark.browser

PROLIFIC = "PROLIFIC_PID=5f1a2b3c4d5e6f7a8b9c0d1e&STUDY_ID=abc&SESSION_ID=xyz"
DESIGN = {
    "votes": {"per_pair": 2, "min_seconds": 0.3, "both_bad": True},
    "raters": {"pairs": 5, "break_every": 3},
    "entry": {"by": "prolific"},
    "pages": {"consent": "I take part.\n\n<b>Not bold</b>", "instructions": "Look closely."},
    "practice": [{"question": "photorealism", "prompt": "p0001", "explanation": "One is blurred."}],
    "completion": {"code": "C0FFEE", "redirect": "http://127.0.0.1:9/done?cc={code}"},
}


@pytest.fixture
def open_study(run, url):
    create_from_design(StudyDesign.model_validate(DESIGN), url, run=run, password=PASSWORD)
    study = Study.open(url)
    yield study
    study.close()


def enter(rater: RaterWindow) -> None:
    """Press the button that has the keyboard's focus, reached by the tab key alone."""
    focused = "return document.activeElement.closest('[data-event]') !== null"
    for _ in range(12):
        if rater.driver.execute_script(focused):
            break
        rater.press("Tab")
    rater.press("Enter")


def practise(rater: RaterWindow) -> None:
    """Answer the practice pair, wrongly or not, until it is right; feedback is read and left."""
    for key in ("ArrowLeft", "ArrowRight"):
        rater.wait(rater.seen)
        assert rater.all(".practice:not([hidden])")
        time.sleep(0.4)
        rater.press(key)
        (panel,) = rater.wait(lambda: rater.all(".feedback:not([hidden])"))
        assert "One is blurred." in panel.text
        assert not violations(rater.driver)
        right = panel.get_attribute("data-right") == "true"
        rater.press("Tab")  # from the text that was just read out to its button
        rater.press("Enter")
        rater.wait(lambda: not rater.all(".feedback:not([hidden])"))
        if right:
            return
    raise AssertionError("neither side was right")


def test_from_a_link_to_the_code_with_the_keyboard_alone(open_study, serving, tmp_path):
    server = serving(open_study.database.url)
    browser = chromium(tmp_path / "profile", 375, 720, dark=True)
    try:
        rater = RaterWindow(browser, server.address)
        browser.get(f"{server.address}/?{PROLIFIC}")
        rater.wait(lambda: rater.says("Before you start"))
        assert rater.says("<b>Not bold</b>"), "the owner's text is text"
        # an outside id does not stay in the address
        rater.wait(lambda: "PROLIFIC" not in browser.current_url)
        assert not violations(browser)
        enter(rater)
        rater.wait(lambda: rater.says("Look closely."))
        assert not violations(browser)
        enter(rater)
        practise(rater)
        seen = rater.wait(rater.seen)
        assert not violations(browser)
        wide = "return document.documentElement.scrollWidth"
        assert browser.execute_script(wide) <= 375, "nothing is cut off on a phone"
        heights = (
            "return [...document.querySelectorAll('.answers button')].map(b => b.offsetHeight)"
        )
        assert min(browser.execute_script(heights)) >= 44, "buttons a thumb can hit"
        for key in ("ArrowLeft", "ArrowRight"):
            time.sleep(0.4)
            rater.press(key)
            seen = rater.next_after(seen)
        rater.press("Backspace")
        seen = rater.next_after(seen)
        assert rater.says("taken back")
        for key in ("ArrowDown", " "):
            time.sleep(0.4)
            rater.press(key)
            if key == "ArrowDown":
                seen = rater.next_after(seen)
        rater.wait(lambda: rater.says("Time for a short break"))
        assert not violations(browser)
        browser.refresh()
        rater.wait(lambda: rater.says("Time for a short break"))
        enter(rater)
        seen = rater.wait(rater.seen)
        time.sleep(0.4)
        rater.press("ArrowRight")
        seen = rater.next_after(seen)
        browser.get(f"{server.address}/?{PROLIFIC}")  # the same person, as if on another device
        assert rater.wait(rater.seen) == seen
        time.sleep(0.4)
        rater.press("ArrowRight")
        rater.wait(lambda: rater.says("C0FFEE"))
        assert not violations(browser)
        link = rater.all("a[data-redirect]")[0].get_attribute("href")
        assert link == "http://127.0.0.1:9/done?cc=C0FFEE"
    finally:
        browser.quit()
    votes = votes_frame(open_study)
    standing = votes.loc[~votes["revised"].astype(bool)]
    assert standing["answer"].tolist().count("both_bad") == 1
    assert len(standing) == 5
