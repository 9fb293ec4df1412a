"""The rating page without a mouse and without eyes: tab order, focus, zoom, what is announced."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from glide_eval.files import RunFolder
from study_app.making import create_study
from study_app.rules import Rules
from study_app.rules.limits import QUESTION_BLOCK
from study_app.store import database_url
from tests.study_app.accessibility import violations
from tests.study_app.browser import VIEWS, RaterWindow, chromium, look_as
from tests.study_app.conftest import PASSWORD, StudyServer, free_port

pytestmark = pytest.mark.browser

A_LOOK = 0.35  # how long our rater looks before answering
FOCUSED = """
const at = document.activeElement;
const style = getComputedStyle(at);
return [at.dataset?.answer ?? at.getAttribute("aria-label") ?? at.textContent,
        style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2];
"""
PRESSABLE = """
const rgba = (text) => {  // any CSS colour, as four numbers from 0 to 1
  const numbers = text.match(/-?[0-9.e-]+/g).map(Number);
  const [r, g, b, a = 1] = numbers;
  return text.startsWith("color") ? [r, g, b, a] : [r / 255, g / 255, b / 255, a];
};
const page = rgba(getComputedStyle(document.body).backgroundColor);
const pressable = ".answers button, .zoom, .below button:not([hidden])";
return [...document.querySelectorAll(pressable)].map((b) => {
  const border = b.matches(".answers *") ? rgba(getComputedStyle(b).borderTopColor) : [0, 0, 0, 0];
  return [b.offsetWidth, b.offsetHeight, border, page];
});
"""
LISTEN = """
window.heard = [];
const region = document.querySelector("[aria-live=polite]");
new MutationObserver(() => window.heard.push(region.textContent))
  .observe(region, {childList: true, characterData: true, subtree: true});
"""


@pytest.fixture(scope="module")
def window(finished_run, tmp_path_factory) -> Iterator[RaterWindow]:
    """One server and one browser for all of this."""
    folder = tmp_path_factory.mktemp("keys")
    run = RunFolder(Path(shutil.copytree(finished_run.root, folder / "run")))
    url = database_url(str(run.study_path))
    create_study(run, url, rules=Rules(4, 2 * QUESTION_BLOCK, 0.0), password=PASSWORD)
    server, browser = StudyServer(url, free_port()), chromium(folder / "profile")
    yield RaterWindow(browser, server.address)
    browser.quit()
    server.end(signal.SIGKILL)


@pytest.fixture
def rater(window) -> RaterWindow:
    """Somebody new, at their first pair."""
    look_as(window.driver, *VIEWS["desktop"][:2], dark=False)
    window.start()
    return window


def tab_to(rater: RaterWindow, name: str) -> list[str]:
    """Press the tab key until what is called so has the focus; all that had it on the way."""
    passed = []
    for _ in range(12):
        rater.press("Tab")
        what, visible = rater.driver.execute_script(FOCUSED)
        assert visible, f"nobody sees that {what!r} has the focus"
        passed.append(what)
        if what == name:
            return passed
    raise AssertionError(f"the tab key passes {passed}, not {name}")


def test_the_tab_key_goes_over_all_there_is_in_the_order_it_stands(rater):
    question = "return document.activeElement.matches('h1.question')"
    assert rater.driver.execute_script(question), "a screen reader reads on from the question"
    assert tab_to(rater, "right") == [
        "Enlarge: Left image",
        "Enlarge: Right image",
        "left",
        "tie",
        "right",
    ]
    seen = rater.seen()
    time.sleep(A_LOOK)
    rater.press("Enter")
    rater.next_after(seen)
    assert tab_to(rater, "Undo last answer"), "a new way back stands at the end"


def test_an_image_is_enlarged_and_left_by_keys_and_the_focus_comes_back(rater):
    seen = rater.seen()
    tab_to(rater, "Enlarge: Right image")
    rater.press("Enter")
    rater.wait(lambda: rater.all("dialog.zoomed[open]"))
    picture = "return document.querySelector('dialog img').src"
    assert seen.right in rater.driver.execute_script(picture)
    assert rater.driver.execute_script(FOCUSED) == ["Right image", True]
    assert not violations(rater.driver)
    rater.press("ArrowLeft")
    assert seen.left in rater.driver.execute_script(picture)
    pressed = (
        "return [...document.querySelectorAll('dialog [aria-pressed]')].map(b => b.ariaPressed)"
    )
    assert rater.driver.execute_script(pressed) == ["true", "false"]
    for _ in range(4):
        rater.press("Tab")
        outside = "return !document.activeElement.matches('dialog *, dialog, body')"
        assert not rater.driver.execute_script(outside), "what lies behind is out of reach"
    rater.press("Escape")
    rater.wait(lambda: not rater.all("dialog.zoomed"))
    assert rater.driver.execute_script(FOCUSED) == ["Enlarge: Right image", True]
    assert rater.seen() == seen, "arrows in the enlarged view answered nothing"


def test_a_screen_reader_hears_which_pair_this_is_and_what_is_new_about_it(rater):
    rater.driver.execute_script(LISTEN)
    last = QUESTION_BLOCK + 3
    for _ in range(1, last):
        seen = rater.seen()
        time.sleep(A_LOOK)
        rater.press("ArrowLeft")
        rater.next_after(seen)
    heard = rater.driver.execute_script("return window.heard")
    assert [text.split(".")[0] for text in heard] == [
        f"{number} of {2 * QUESTION_BLOCK}" for number in range(2, last + 1)
    ], "each pair once, by its own number"
    new_question = ["Which image" in text for text in heard]
    shows_caption = ["Caption: " in text for text in heard]
    assert [number for number, new in enumerate(new_question, 2) if new] == [QUESTION_BLOCK + 1]
    assert len(set(shows_caption[: QUESTION_BLOCK - 1])) == 1
    assert shows_caption[-1] != shows_caption[0], "the caption is told where there is one"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_what_can_be_pressed_is_large_enough_and_stands_out(rater, dark):
    look_as(rater.driver, 375, 720, dark=dark)
    for width, height, border, page in rater.driver.execute_script(PRESSABLE):
        assert min(width, height) >= 24
        if border[3]:
            seen = [border[3] * b + (1 - border[3]) * p for b, p in zip(border, page, strict=True)]
            assert contrast(seen, page) >= 3


def contrast(one: list[float], other: list[float]) -> float:
    """Of two sRGB colours, as WCAG 2 defines it."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color: list[float]) -> float:
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color[:3]
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_who_wants_less_motion_gets_none(rater):
    asked = {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]}
    rater.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", asked)
    moving = """
    document.querySelector("h1.question").classList.add("changed");
    return document.getAnimations().filter(a => a.playState === "running" &&
      a.effect.target?.closest(".rater")).length"""
    assert rater.driver.execute_script(moving) == 0
    rater.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert rater.driver.execute_script(moving) == 1, "others are shown that the question changed"
