"""How the rater's page looks at each size: nothing cut off, nothing wasted, little to load."""

from __future__ import annotations

import shutil
import time

import pytest
from selenium.webdriver.common.action_chains import ActionChains

from glide_eval.files import RunFolder
from study_app.making import create_from_design
from study_app.rating import Study
from study_app.rules import StudyDesign
from study_app.store import database_url
from tests.fakes import make_fake_run
from tests.study_app.accessibility import violations
from tests.study_app.browser import RaterWindow, chromium, look_as
from tests.study_app.conftest import PASSWORD

pytestmark = pytest.mark.browser

DESIGN = {
    "questions": [{"key": "photorealism"}, {"key": "caption_similarity"}],
    "votes": {"min_seconds": 0.3, "extra_answers": ["both_bad"]},
    "raters": {"pairs": 30},
}
SIZES = {  # width, height, and the least width of an image that is worth looking at
    "phone upright": (375, 720, 200),
    "phone on its side": (812, 375, 240),
    "low window": (640, 400, 200),
    "desktop": (1280, 800, 440),
}
BOXES = """
return [...document.querySelectorAll(arguments[0])].map(element => {
  const {left, top, right, bottom} = element.getBoundingClientRect();
  return [left, top, right, bottom];
});
"""
LOADED = """
const entries = performance.getEntriesByType("resource");
const page = performance.getEntriesByType("navigation");
return [...entries, ...page].reduce((sum, entry) => sum + entry.transferSize, 0);
"""
BORDERS = """
return [...document.querySelectorAll(".answers button")]
  .map(button => getComputedStyle(button).borderColor);
"""


@pytest.fixture
def rater(tmp_path, serving):
    made = make_fake_run(tmp_path / "made", prompts=6, size=256)
    run = RunFolder(shutil.move(made.root, tmp_path / "run"))
    url = database_url(str(run.study_path))
    create_from_design(StudyDesign.model_validate(DESIGN), url, run=run, password=PASSWORD)
    Study.open(url).close()
    browser = chromium(tmp_path / "profile")
    yield RaterWindow(browser, serving(url).address)
    browser.quit()


def test_images_and_answers_fit_on_the_screen_at_every_size(rater):
    rater.start()
    for name, (width, height, least) in SIZES.items():
        look_as(rater.driver, width, height, dark=False)
        images = rater.driver.execute_script(BOXES, ".pair img")
        shown = [*images, *rater.driver.execute_script(BOXES, ".answers button, .question")]
        assert len(shown) == 7
        for left, top, right, bottom in shown:
            assert left >= 0, name
            assert top >= 0, name
            assert right <= width, name
            assert bottom <= height, name
        for left, _, right, _ in images:
            assert right - left >= least, name
        assert not violations(rater.driver), name


def test_on_an_upright_phone_the_sides_are_upper_and_lower_and_the_vote_is_the_same(rater):
    seen = rater.start()
    assert rater.says("Left")
    look_as(rater.driver, 375, 720, dark=False)
    rater.wait(lambda: rater.says("Upper"))
    upper, lower = rater.driver.execute_script(BOXES, ".pair img")
    assert upper[3] <= lower[1], "one above the other"
    assert [image.get_attribute("alt") for image in rater.all(".pair img")] == [
        "Upper image",
        "Lower image",
    ]
    time.sleep(0.4)
    rater.click("left")
    rater.next_after(seen)
    look_as(rater.driver, 1280, 800, dark=False)
    rater.wait(lambda: rater.says("Left"))


def test_the_button_of_the_last_answer_looks_like_the_others_on_the_next_pair(rater):
    seen = rater.start()
    time.sleep(0.4)
    rater.click("left")  # the pointer stays on it
    rater.next_after(seen)
    assert len(set(rater.driver.execute_script(BORDERS))) == 1
    assert rater.all(".answers.rested"), "no style for a pointer that lies there applies"
    focused = "return document.activeElement.closest('.answers') === null"
    assert rater.driver.execute_script(focused)
    ActionChains(rater.driver, duration=0).move_by_offset(3, 3).perform()
    rater.wait(lambda: not rater.all(".answers.rested"))


def test_a_first_visit_loads_little_and_its_text_comes_with_the_page(rater):
    seen = rater.start()
    assert seen
    assert rater.driver.execute_script(LOADED) < 600_000
    rater.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    rater.driver.get(rater.address)
    assert "You will be asked" in rater.driver.page_source
    assert "needs JavaScript" in rater.driver.page_source


def test_after_start_the_browsers_back_button_leads_to_no_second_start(rater):
    rater.driver.get("data:text/html,elsewhere")
    seen = rater.start()
    own = rater.driver.current_url
    rater.driver.back()
    assert rater.driver.current_url.startswith("data:")
    rater.driver.forward()
    assert rater.wait(rater.seen) == seen
    assert rater.driver.current_url == own
