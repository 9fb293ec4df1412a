"""docs/how-to/study-nginx.conf works: two app processes on one PostgreSQL, one per browser."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from http.client import HTTPMessage
from pathlib import Path

import pytest

from study_app.making import create_study
from study_app.owner import votes_frame
from study_app.rating import Study
from study_app.rules import Rules
from tests.study_app.conftest import PASSWORD, ROOT, StudyServer, free_port
from tests.study_app.window import Window

pytestmark = [pytest.mark.postgres, pytest.mark.nginx]
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def configuration(folder: Path, port: int, servers: list[StudyServer]) -> str:
    """The documented file, with this machine's ports and without a certificate."""
    site = (ROOT / "docs/how-to/study-nginx.conf").read_text("utf-8")
    site = re.sub(r"server \{\s+listen 80;.*?\n\}\n", "", site, flags=re.DOTALL)
    site = re.sub(r"\s+ssl_certificate.*?;", "", site)
    site = site.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
    site = site.replace("server_name study.example.org;", "server_name 127.0.0.1;")
    site = site.replace("/var/log/nginx/study.log", str(folder / "study.log"))
    told = "add_header X-Answered-By $upstream_addr always;"  # which process did, for the test
    site = site.replace("add_header Set-Cookie", f"{told}\n        add_header Set-Cookie")
    for written, server in zip(("8501", "8502"), servers, strict=True):
        site = site.replace(f"127.0.0.1:{written}", server.address.removeprefix("http://"))
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off;\nuser root;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\n{temporary}{site}}}\n"
    )


@pytest.fixture
def proxied(run, serving, postgres, tmp_path) -> Iterator[tuple[Study, str, list[StudyServer]]]:
    url = postgres.new_database()
    create_study(run, url, rules=Rules(2, 8, 0.0), password=PASSWORD)
    study, servers, port = Study.open(url), [serving(url), serving(url)], free_port()
    written = tmp_path / "nginx.conf"
    written.write_text(configuration(tmp_path, port, servers))
    nginx = subprocess.Popen([NGINX, "-e", tmp_path / "error.log", "-c", written])
    address = f"http://127.0.0.1:{port}"
    for _ in range(100):
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=5).close()
            break
        except OSError:
            time.sleep(0.1)
    yield study, address, servers
    nginx.send_signal(signal.SIGQUIT)
    nginx.wait(20)
    study.close()


def get(address: str, cookie: str = "") -> HTTPMessage:
    """The headers of an answer to a browser with this cookie."""
    request = urllib.request.Request(address, headers={"Cookie": cookie} if cookie else {})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.headers


def cookies_of_each_process(address: str, servers: list[StudyServer], count: int) -> list[str]:
    """Cookies of browsers: `count` that nginx sends to each of the processes."""
    found: dict[str, list[str]] = {server.address: [] for server in servers}
    for number in range(500):
        cookie = f"study_node={number:032x}"
        headers = get(f"{address}/_stcore/health", cookie)
        mine = found[f"http://{headers['X-Answered-By']}"]
        if len(mine) < count:
            mine.append(cookie)
        if all(len(some) == count for some in found.values()):
            return [cookie for some in found.values() for cookie in some]
    raise AssertionError("of 500 browsers nearly all were sent to one process")


def test_a_new_browser_gets_a_cookie_and_keeps_its_process(proxied):
    _, address, _ = proxied
    first = get(f"{address}/")
    cookie = first["Set-Cookie"]
    assert re.fullmatch(r"study_node=[0-9a-f]{32}; Path=/; HttpOnly; Secure; SameSite=Lax", cookie)
    assert "nginx/" not in first.get("Server", "")
    for path in ("/", "/owner", "/_stcore/health", "/page/rater.js") * 3:
        again = get(f"{address}{path}", cookie.split(";")[0])
        assert "study_node" not in str(again.get_all("Set-Cookie")), "it keeps the one it has"
        assert again["X-Answered-By"] == first["X-Answered-By"]


def test_both_processes_serve_raters_and_one_takes_over_when_the_other_dies(proxied):
    study, address, servers = proxied
    cookies = cookies_of_each_process(address, servers, 3)

    async def rate() -> None:
        windows = [Window(address, f"rater={study.join()}", cookie=cookie) for cookie in cookies]
        for window in windows:
            await window.open()
            await window.answer("left", 2.0)
        homes = [f"http://{window.answered_by}" for window in windows]
        assert homes == [servers[0].address] * 3 + [servers[1].address] * 3
        assert {f"http://{who}" for window in windows for who in window.images_from} == set(homes)
        assert all(window.images_from == {window.answered_by} for window in windows)
        servers[0].end(signal.SIGKILL)
        for number, window in enumerate(windows):
            if number < 3:  # as a browser does when its connection is lost
                await window.close()
                await window.open()
                assert window.page["progress"]["done"] == 1
            await window.answer("right", 2.0)  # the others notice nothing
            assert f"http://{window.answered_by}" == servers[1].address
            await window.close()

        async with Window(address, f"rater={study.join()}") as framed:  # no cookies in a frame
            await framed.go_on()
            await framed.answer("tie", 2.0)
            assert framed.page["progress"]["done"] == 1

    asyncio.run(rate())
    votes = votes_frame(study)
    assert len(votes) == 13
    assert votes["assignment"].is_unique
    assert votes["rater"].value_counts().tolist() == [2] * 6 + [1]
