"""The page as a PDF, printed by Chromium: the same layout and text as in the browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from analysis.errors import ReportError

BROWSERS = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)  # fmt: skip
FLAGS = (
    "--headless", "--disable-gpu", "--disable-extensions", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--no-pdf-header-footer",
)  # fmt: skip
PATIENCE = 180  # seconds; a large report takes about five


def find_browser() -> str:
    """Return the Chromium or Chrome that prints.

    Raises:
        ReportError: there is none.
    """
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise ReportError(
            "A PDF is printed by Chromium or Chrome; found neither on the PATH. Install one "
            "(Debian, Ubuntu: apt install chromium; macOS: brew install chromium), or leave pdf "
            "out of --format and print index.html from any browser."
        )
    return found


def print_pdf(page: str) -> bytes:
    """Return the page as PDF, without dates in it: the same page gives the same bytes.

    Args:
        page: HTML with everything it shows inside.

    Raises:
        ReportError: no browser, or one that fails.
    """
    browser = find_browser()
    with tempfile.TemporaryDirectory(prefix="glide-eval-print-") as folder:
        source, target = Path(folder) / "page.html", Path(folder) / "page.pdf"
        source.write_text(page, encoding="utf-8")
        command = [
            browser, *FLAGS, f"--user-data-dir={folder}/profile", f"--print-to-pdf={target}",
            source.as_uri(),
        ]  # fmt: skip
        if os.name == "posix" and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # Chromium refuses root's sandbox; the page is ours
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=PATIENCE, check=False
            )
            said = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        except subprocess.TimeoutExpired:
            said = [f"nothing after {PATIENCE} seconds"]
        if not target.is_file():
            raise ReportError(
                f"{browser} could not print the page ({said[0]}). Leave pdf out of --format and "
                "print index.html from a browser instead."
            )
        return _undated(target.read_bytes())


def _undated(pdf: bytes) -> bytes:
    """Return the PDF with its two dates replaced by ones of the same length."""
    return re.sub(
        rb"/(CreationDate|ModDate) ?\(D:\d{14}", lambda m: m[0][:-14] + b"20000101000000", pdf
    )
