"""A study in a language that the app has no words in, written from right to left, in Chromium."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from study_app.making import create_from_design
from study_app.owner import votes_frame
from study_app.rating import Study
from study_app.rules import load_study_file
from tests.study_app.accessibility import violations
from tests.study_app.browser import RaterWindow, chromium, look_as
from tests.study_app.conftest import PASSWORD

pytestmark = pytest.mark.browser
DESIGN = """
[pages]
language = "ar"
consent = "أوافق على المشاركة."
instructions = "انظر جيدا."

[votes]
min_seconds = 0.3
extra_answers = ["both_bad"]
"""
PLACES = """
return [...document.querySelectorAll(arguments[0])].map(one => one.getBoundingClientRect().left);
"""


@pytest.fixture
def rater(run, sqlite_url, serving, tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(DESIGN, "utf-8")
    shutil.copy(Path(__file__).parent / "data" / "words-ar.toml", tmp_path)
    design = load_study_file(path).design
    create_from_design(design, sqlite_url, run=run, source=path, password=PASSWORD)
    browser = chromium(tmp_path / "profile")
    yield RaterWindow(browser, serving(sqlite_url).address)
    browser.quit()


def test_a_language_written_from_right_to_left_leaves_left_on_the_left(rater, sqlite_url):
    driver = rater.driver
    driver.get(rater.address)
    page = driver.find_element("tag name", "html")
    assert (page.get_attribute("lang"), page.get_attribute("dir")) == ("ar", "rtl")
    assert rater.says("أوافق، تابع")
    assert not violations(driver)
    rater.go_on()
    rater.wait(lambda: rater.says("كيف تجيب"))
    keys = driver.execute_script(PLACES, "dl.keys div")
    assert keys == sorted(keys), "the keys stand as the images do"
    assert not violations(driver)
    seen = rater.wait(rater.first_pair)
    assert "الصورتين" in driver.find_element("css selector", "h1.question").text
    for width, height in ((1280, 800), (812, 375), (375, 720)):
        look_as(driver, width, height, dark=False)
        assert not violations(driver)
    look_as(driver, 1280, 800, dark=False)
    images = driver.execute_script(PLACES, ".pair img")
    answers = driver.execute_script(PLACES, ".answers button")
    assert images == sorted(images)
    assert answers == sorted(answers), "the left image's answer is the left one"
    assert [one.get_attribute("alt") for one in rater.all(".pair img")] == [
        "الصورة اليسرى",
        "الصورة اليمنى",
    ]
    time.sleep(0.4)
    rater.press("ArrowLeft")
    rater.next_after(seen)
    study = Study.open(sqlite_url)
    assert votes_frame(study)["answer"].tolist() == ["left"]
    study.close()
