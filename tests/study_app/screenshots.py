"""Pictures of the pages for docs/: python -m tests.study_app.screenshots ADDRESS PASSWORD FOLDER.

Serve a copy of a run's study there: each picture of the rating page makes a rater join.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from selenium.webdriver.common.keys import Keys

from tests.study_app.browser import RaterWindow, chromium

VIEWS = {"": (1280, 800, False), "-dark": (1280, 800, True), "-phone": (375, 720, False)}
SETTLE_SECONDS = 2.0  # charts draw after their data arrived


def take(address: str, password: str, folder: Path) -> list[Path]:
    """Write start, pair and owner pages in light, dark and phone size; the files."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = []
    for name, (width, height, dark) in VIEWS.items():
        driver = chromium(Path(tempfile.mkdtemp()), width, height, dark=dark)
        window = RaterWindow(driver, address)

        def shot(page: str, name: str = name, driver=driver) -> None:
            time.sleep(SETTLE_SECONDS)
            taken.append(folder / f"study-{page}{name}.png")
            driver.save_screenshot(str(taken[-1]))

        driver.get(address)
        window.wait(lambda w=window: w.all("main.text"))
        shot("start")
        window.start()
        shot("pair")
        metrics = {"width": width, "height": 1900, "deviceScaleFactor": 1, "mobile": width < 500}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        driver.get(f"{address.rstrip('/')}/owner")
        field = window.wait(
            lambda d=driver: d.find_elements("css selector", "input[type=password]")
        )
        field[0].send_keys(password, Keys.ENTER)
        window.wait(
            lambda d=driver: d.find_elements("css selector", "[data-testid=stDownloadButton]")
        )
        shot("owner")
        driver.quit()
    return taken


if __name__ == "__main__":
    for path in take(sys.argv[1], sys.argv[2], Path(sys.argv[3])):
        print(path)
