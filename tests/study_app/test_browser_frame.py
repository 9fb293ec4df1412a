"""A study inside another site's page, as Mechanical Turk shows it to workers, in real Chromium."""

from __future__ import annotations

import http.server
import ssl
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from study_app.making import create_from_design
from study_app.owner import votes_frame
from study_app.rating import Study
from study_app.rules import StudyDesign
from tests.study_app.accessibility import violations
from tests.study_app.browser import RaterWindow, chromium
from tests.study_app.conftest import PASSWORD

pytestmark = pytest.mark.browser

LINK = (
    "?assignmentId=3TESTASSIGNMENT0000000000000A&hitId=3TESTHIT00000000000000000000A"
    "&workerId=A1TESTWORKER&turkSubmitTo=https%3A%2F%2Fwww.mturk.com"
)
SITES = ("*.mturk.com", "*.example.net")


@dataclass
class Sites:
    """The `SITES` of this test, all on this machine: each shows one page with a frame.

    Attributes:
        port: on this machine.
        framed: what the frame holds.
        handed_in: forms sent here, as host, path and fields.
    """

    port: int = 0
    framed: str = ""
    handed_in: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)


@pytest.fixture
def sites(tmp_path) -> Iterator[Sites]:
    found = Sites()

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            frame = f"<iframe width=1000 height=700 src='{found.framed}'></iframe>"
            self._say(f"<!doctype html><html lang=en><title>Tasks</title>{frame}")

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
            found.handed_in.append(
                (self.headers["Host"], self.path, dict(urllib.parse.parse_qsl(sent)))
            )
            self._say("<!doctype html><title>Tasks</title><p>Handed in.")

        def _say(self, page: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    found.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def certificate(folder: Path) -> Path:
    """A certificate nobody vouches for, with its key, in one file."""
    path = folder / "certificate.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=test -days 2 -out - -keyout -"
    made = subprocess.run(command.split(), check=True, capture_output=True)
    path.write_bytes(made.stdout)
    return path


@pytest.fixture
def browser(sites, tmp_path):
    driver = chromium(
        tmp_path / "profile",
        flags=(
            "--ignore-certificate-errors",
            "--host-resolver-rules="
            + ",".join(f"MAP {site}:443 127.0.0.1:{sites.port}" for site in SITES),
        ),
    )
    yield driver
    driver.quit()


@pytest.fixture
def mturk_study(run, sqlite_url) -> Iterator[Study]:
    design = {
        "votes": {"min_seconds": 0},
        "raters": {"pairs": 2},
        "entry": {"by": "mturk"},
        "completion": {},
    }
    create_from_design(StudyDesign.model_validate(design), sqlite_url, run=run, password=PASSWORD)
    study = Study.open(sqlite_url)
    yield study
    study.close()


def test_a_worker_does_the_task_inside_mechanical_turks_page_and_hands_it_in(
    mturk_study, serving, sites, browser
):
    server = serving(mturk_study.database.url)
    sites.framed = f"{server.address}/{LINK}"
    rater = RaterWindow(browser, server.address)

    def open_task() -> None:
        browser.get("https://worker.mturk.com/projects/X/tasks")
        browser.switch_to.frame(0)

    open_task()
    seen = rater.wait(rater.first_pair)
    kept = "document.cookie = 'probe=1'; return document.cookie"
    assert not browser.execute_script(kept), "cookies do not work in here, and none is needed"
    address = browser.execute_script("return location.href")
    assert "A1TESTWORKER" not in address
    assert "3TESTHIT" not in address
    time.sleep(0.4)
    rater.press("ArrowLeft")
    seen = rater.next_after(seen)
    open_task()
    assert rater.wait(rater.seen) == seen, "the task opened again goes on where it was"
    time.sleep(0.4)
    rater.click("right")
    rater.wait(lambda: rater.says("hand in your task"))
    assert not rater.says("close this page")
    assert not violations(browser)
    code = rater.all(".code strong")[0].text
    rater.all("form button")[0].click()
    rater.wait(lambda: sites.handed_in)
    fields = {"assignmentId": "3TESTASSIGNMENT0000000000000A", "answers": "2", "code": code}
    assert sites.handed_in == [("www.mturk.com", "/mturk/externalSubmit", fields)]
    assert [*mturk_study.completion_codes().values()] == [code]
    assert votes_frame(mturk_study)["answer"].tolist() == ["left", "right"]


def test_no_other_site_can_show_the_study_inside_its_page(mturk_study, serving, sites, browser):
    server = serving(mturk_study.database.url)
    sites.framed = f"{server.address}/{LINK}"
    rater = RaterWindow(browser, server.address)
    for site in ("https://elsewhere.example.net", "https://worker.mturk.com.example.net"):
        browser.get(site)
        browser.switch_to.frame(0)
        rater.wait(lambda: browser.execute_script("return location.protocol") == "chrome-error:")
    assert mturk_study.progress().raters == {}
