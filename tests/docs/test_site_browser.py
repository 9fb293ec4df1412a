"""The documentation opened from disk in Chromium: it asks no other host, and its search works."""

from __future__ import annotations

import shutil

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.study_app.browser import chromium

PAGES = ("index.html", "tutorials/first-sweep.html", "how-to/write-a-report.html",
         "reference/commands.html", "reference/api/analysis.html",
         "explanation/statistics.html", "model-card.html")  # fmt: skip
# Addresses of the network that the page asked for; files on disk are not among them.
ASKED = "return performance.getEntriesByType('resource').map(entry => entry.name)"
ASK = """
const [address, done] = arguments;
const image = new Image();
image.onerror = () => done();
image.src = address;
"""
ELSEWHERE = "http://127.0.0.1:9/image.png"  # port 9: nobody answers
RESULTS = "return [...document.querySelectorAll('.md-search-result__link')].map(a => a.href)"
FOUND = "explanation/statistics.html"
TOO_WIDE = "return document.documentElement.scrollWidth > innerWidth"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("chromium") or shutil.which("chromium-browser"))
        or not shutil.which("chromedriver"),
        reason="no chromium and chromedriver on PATH",
    ),
]


@pytest.mark.parametrize("width", [1280, 375])
def test_pages_opened_from_disk_ask_no_other_host_and_fit_the_window(site, tmp_path, width):
    browser = chromium(tmp_path / "profile", width, 800)
    try:
        for page in PAGES:
            browser.get((site / page).as_uri())
            WebDriverWait(browser, 30).until(lambda b: b.find_elements(By.TAG_NAME, "h1"))
            assert browser.execute_script(ASKED) == [], page
            assert not browser.execute_script(TOO_WIDE), page
        errors = [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"]
        assert errors == []
        browser.execute_async_script(ASK, ELSEWHERE)
        assert browser.execute_script(ASKED) == [ELSEWHERE], "a request would have been seen"
    finally:
        browser.quit()


def test_search_works_on_pages_opened_from_disk(site, tmp_path):
    browser = chromium(tmp_path / "profile")
    try:
        browser.get((site / "index.html").as_uri())
        box = browser.find_element(By.CSS_SELECTOR, "input.md-search__input")
        box.click()
        box.send_keys("krippendorff")
        WebDriverWait(browser, 30).until(
            lambda b: any(FOUND in target for target in b.execute_script(RESULTS))
        )
    finally:
        browser.quit()
