"""What a rater sees in real Chromium: from a click to the next two images on the screen."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from study_app.owner.export import votes_frame
from study_app.rating.study import Study
from tests.study_app.browser import RaterWindow, chromium

SIZE = 256
LOOK = 0.35  # seconds our rater looks before each click

# Runs in the page. Every frame is looked at: are both images there, whole? A click's time ends
# after the frame that painted two images other than those clicked on.
WATCH = """
const watch = window.watch = {took: [], blank: 0, frames: 0};
let waiting = null;
const shown = () => [...document.querySelectorAll(".pair img")];
const names = () => shown().map(image => image.src).join();
addEventListener("click", event => {
  if (event.target.closest(".answers button")) waiting = {at: event.timeStamp, before: names()};
}, true);
const painted = new MessageChannel();
painted.port1.onmessage = ({data}) => watch.took.push(performance.now() - data);
const frame = () => {
  const images = shown();
  watch.frames += 1;
  const whole = image => image.complete && image.naturalWidth && image.checkVisibility();
  if (images.length !== 2 || !images.every(whole)) watch.blank += 1;
  else if (waiting && names() !== waiting.before) {
    const {at} = waiting;
    waiting = null;
    requestAnimationFrame(() => painted.port2.postMessage(at)); // the one before is on screen
  }
  requestAnimationFrame(frame);
};
requestAnimationFrame(frame);
"""


def make_heavy(images: Path) -> None:
    """Noise in place of every image: a PNG as large as one of its size can be."""
    rng = np.random.default_rng(0)
    for path in images.iterdir():
        noise = rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)


def measure_clicks(study: Study, address: str, clicks: int = 100, held: float = 10.0) -> None:
    """Double-click `clicks` times and hold a key for `held` seconds; print what was stored."""
    driver = chromium(Path(tempfile.mkdtemp(prefix="study-browser-")))
    try:
        rater = RaterWindow(driver, address)
        seen = rater.start()
        for number in range(clicks):
            time.sleep(LOOK)
            rater.click(("left", "right", "tie")[number % 3], double=True)
            seen = rater.next_after(seen)
        time.sleep(1)
        doubled = len(votes_frame(study))
        rater.press("ArrowRight", repeats=round(held / 0.03))
        time.sleep(1)
        kept = len(votes_frame(study)) - doubled
    finally:
        driver.quit()
    print(
        f"{clicks} double clicks: {doubled} votes; a key held for {held:.0f} s: {kept} vote",
        flush=True,
    )


def measure_browser(address: str, votes: int) -> None:
    """Rate `votes` pairs, at a quick rater's pace, and print how it felt."""
    driver = chromium(Path(tempfile.mkdtemp(prefix="study-browser-")))
    try:
        rater = RaterWindow(driver, address)
        seen = rater.start()
        driver.execute_script(WATCH)
        for number in range(votes):
            time.sleep(LOOK)
            rater.click(("left", "right", "tie")[number % 3])
            seen = rater.next_after(seen)
        watch = driver.execute_script("return window.watch")
    finally:
        driver.quit()
    p50, p95 = np.percentile(watch["took"], [50, 95])
    print(
        f"click → next two images painted in Chromium ({SIZE}×{SIZE} noise)\n"
        f"  p50 {p50:.1f}   p95 {p95:.1f}   max {max(watch['took']):.1f} ms   "
        f"blank frames {watch['blank']} of {watch['frames']:,} in {len(watch['took'])} votes",
        flush=True,
    )
