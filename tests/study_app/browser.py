"""A real Chromium that rates as a person does."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

T = TypeVar("T")
VIEWS = {
    "desktop": (1280, 800, False),
    "desktop-dark": (1280, 800, True),
    "phone": (375, 720, False),
    "phone-dark": (375, 720, True),
}
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
COLOURED = """
const app = document.querySelector("[data-testid=stApp]");
if (!app) return true;
const color = getComputedStyle(app).backgroundColor;
const [r, g, b] = color.match(/[0-9.]+/g).map(Number);
return (r + g + b < (color.startsWith("color") ? 1.5 : 383)) === arguments[0];
"""


def chromium(
    profile: Path,
    width: int = 1280,
    height: int = 800,
    *,
    dark: bool = False,
    flags: tuple[str, ...] = (),
) -> webdriver.Chrome:
    """A browser with a fresh profile, a viewport of exactly this size, and flags of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("chromium-browser") or ""
    for flag in (*FLAGS, *flags, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    look_as(driver, width, height, dark=dark)
    return driver


def look_as(driver: webdriver.Chrome, width: int, height: int, *, dark: bool) -> None:
    """From now on the page has a viewport of exactly this size and these colours."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    # Streamlit draws itself anew a moment after the page's own style sheet has changed.
    WebDriverWait(driver, 10).until(lambda d: d.execute_script(COLOURED, dark))


@dataclass(frozen=True)
class Seen:
    """What the page shows: image names as served, and the progress line."""

    left: str
    right: str
    progress: str


class RaterWindow:
    """The rating page, by what a person sees and does."""

    def __init__(self, driver: webdriver.Chrome, address: str) -> None:
        self.driver = driver
        self.address = address

    def start(self, path: str = "") -> Seen:
        """From the study's address, by whatever stands before them, to the first pair."""
        self.driver.get(self.address + path)
        return self.wait(self.first_pair)

    def first_pair(self) -> Seen | None:
        """The pair on the page; goes on from a page that is only text."""
        self.go_on()
        return self.seen()

    def go_on(self) -> None:
        """Press the page's one button, if it has one that is waiting for it."""
        for button in self.all("main.text [data-event]:not([aria-disabled])"):
            button.click()

    def seen(self) -> Seen | None:
        """The pair on the page; None while there is none, or it can't be answered yet."""
        found = self.driver.execute_script(_SEEN)
        return Seen(*found) if found else None

    def click(self, answer: str, *, double: bool = False) -> None:
        button = self.all(f".answers button[data-answer={answer}]")[0]
        actions = ActionChains(self.driver, duration=0)
        (actions.double_click(button) if double else actions.click(button)).perform()

    def press(self, key: str, *, repeats: int = 0) -> None:
        """A key, held for as many repeats, 30 ms apart."""
        code = "Space" if key == " " else key
        down = {
            "type": "rawKeyDown",
            "key": key,
            "code": code,
            "windowsVirtualKeyCode": _CODES[key],
        }
        if key == "Enter":
            down |= {"type": "keyDown", "text": "\r"}  # what presses a button
        self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", down)
        for _ in range(repeats):
            time.sleep(0.03)
            self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", down | {"autoRepeat": True})
        self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", down | {"type": "keyUp"})

    def next_after(self, before: Seen) -> Seen:
        """The pair that follows, once it is on the page: the vote before it is acknowledged."""

        def changed() -> Seen | None:
            now = self.seen()
            return now if now is not None and now.progress != before.progress else None

        return self.wait(changed)

    def wait(self, condition: Callable[[], T | None], seconds: float = 30) -> T:
        """What `condition` returns once it is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                found = condition()
            except (WebDriverException, IndexError):  # the page is changing, or on its way
                found = None
            if found:
                return found
            time.sleep(0.02)
        text = self.text()[:500]
        raise WebDriverException(f"Waited {seconds} s in vain. The page says: {text!r}")

    def all(self, css: str):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def says(self, text: str) -> bool:
        return text in self.text()

    def text(self) -> str:
        """All that can be read on the page; in one script, so that it is of one moment."""
        return self.driver.execute_script("return document.body?.innerText ?? ''")


# in one script, so that it is of one moment
_SEEN = """
const page = document.querySelector(".pair-page");
if (!page || !page.dataset.answerable) return null;
const images = [...page.querySelectorAll(".pair img")];
const ready = images.length === 2 && images.every(image => image.complete && image.naturalWidth);
return ready ? [...images.map(image => /([0-9a-f]{32})[.]png$/.exec(image.src)[1]),
  page.querySelector(".progress span").textContent] : null;
"""
_CODES = {
    **{str(digit): 48 + digit for digit in range(10)},
    "ArrowLeft": 37,
    "ArrowRight": 39,
    "ArrowDown": 40,
    " ": 32,
    "Backspace": 8,
    "Tab": 9,
    "Enter": 13,
    "Escape": 27,
}
