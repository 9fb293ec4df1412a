"""The report in a real browser: no request, no console error, no sideways scroll on a phone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = pytest.mark.browser

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[webdriver.Chrome]:
    options = Options()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


def look(browser: webdriver.Chrome, page: Path, width: int, scheme: str) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())


def test_opens_without_a_request_or_a_console_message(browser, simulated_report):
    browser.get("about:blank")
    browser.get_log("performance")
    look(browser, simulated_report, 1280, "light")
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requested = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert simulated_report.as_uri() in requested
    assert [
        url for url in requested if not url.startswith(("data:", simulated_report.as_uri()))
    ] == []


def test_every_image_and_figure_is_painted(browser, simulated_report):
    look(browser, simulated_report, 1280, "light")
    images = browser.execute_script(
        "return [...document.images].map(i => i.complete && i.naturalWidth > 0)"
    )
    assert len(images) >= 40
    assert all(images)
    sizes = [svg.size for svg in browser.find_elements(By.CSS_SELECTOR, "figure svg")]
    assert len(sizes) >= 10
    assert all(size["width"] > 200 and size["height"] > 150 for size in sizes)


@pytest.mark.parametrize("width", [375, 768, 1280])
def test_page_never_scrolls_sideways(browser, simulated_report, width):
    look(browser, simulated_report, width, "light")
    widest = browser.execute_script("return document.documentElement.scrollWidth")
    assert widest <= width


def test_dark_scheme_turns_page_and_figures(browser, simulated_report):
    colours = {}
    for scheme in ("light", "dark"):
        look(browser, simulated_report, 1280, scheme)
        colours[scheme] = browser.execute_script(
            "const fill = s => getComputedStyle(document.querySelector(s));"
            "return [fill('body').backgroundColor, fill('figure svg text').fill]"
        )
    assert colours["light"] == ["rgb(255, 255, 255)", "rgb(98, 106, 120)"]
    assert colours["dark"] == ["rgb(19, 22, 28)", "rgb(162, 169, 182)"]


def test_pictures_open_at_full_size_and_arrows_walk_through_them(browser, simulated_report):
    look(browser, simulated_report, 1280, "light")
    shown = "const [i] = document.querySelectorAll('dialog[open] img'); return i && "
    browser.execute_script("document.querySelector('#samples .strip img').focus()")
    press = ActionChains(browser)
    press.send_keys(Keys.ENTER).perform()
    wait = WebDriverWait(browser, 10)
    wait.until(lambda _: browser.execute_script(shown + "i.naturalWidth > 0"))
    first = browser.execute_script(shown + "i.src")
    assert "/samples/" in first
    assert "#picture=unguided~" in browser.current_url
    ActionChains(browser).send_keys(Keys.ARROW_RIGHT).perform()
    address = browser.current_url
    assert "#picture=cfg-1.5~" in address
    assert browser.execute_script(shown + "i.src") != first
    ActionChains(browser).send_keys(Keys.ESCAPE).perform()
    wait.until(lambda _: not browser.execute_script(shown + "true"))
    browser.get("about:blank")
    browser.get(address)  # as somebody else's browser opens it
    wait.until(lambda _: "/samples/cfg-1.5/" in (browser.execute_script(shown + "i.src") or ""))


@pytest.mark.parametrize("width", [375, 1280])
def test_pages_of_votes_never_scroll_sideways(browser, simulated_report, width):
    for page in sorted((simulated_report.parent / "votes").glob("photo*.html")):
        look(browser, page, width, "dark")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_a_phone_shows_each_score_with_its_interval(browser, simulated_report):
    look(browser, simulated_report, 375, "light")
    cells = browser.find_elements(By.CSS_SELECTOR, ".board .under")
    assert len(cells) >= 8
    for cell in cells:
        assert " to " in cell.text
        assert cell.rect["x"] > 0
        assert cell.rect["x"] + cell.rect["width"] <= 375
