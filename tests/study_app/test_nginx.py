"""docs/study-nginx.conf works: two app processes on one PostgreSQL, each browser kept to one."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from study_app.create import create_study
from study_app.domain import Rules
from study_app.export import votes_frame
from study_app.services import Study

from .conftest import PASSWORD, ROOT, StudyServer, free_port
from .window import Window

pytestmark = pytest.mark.postgres
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def configuration(folder: Path, port: int, servers: list[StudyServer]) -> str:
    """The documented file, with this machine's ports and without a certificate."""
    site = (ROOT / "docs/study-nginx.conf").read_text("utf-8")
    site = re.sub(r"server \{\s+listen 80;.*?\n\}\n", "", site, flags=re.DOTALL)
    site = re.sub(r"\s+ssl_certificate.*?;", "", site)
    site = site.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
    site = site.replace("server_name study.example.org;", "server_name 127.0.0.1;")
    site = site.replace("/var/log/nginx/study.log", str(folder / "study.log"))
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
    if NGINX is None:
        pytest.skip("no nginx on this machine")
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


def test_browsers_stay_with_their_process_and_go_to_the_other_when_it_dies(proxied):
    study, address, servers = proxied
    with urllib.request.urlopen(f"{address}/", timeout=10) as first:
        cookie = first.headers["Set-Cookie"]
    assert re.fullmatch(r"study_node=[0-9a-f]{32}; Path=/; HttpOnly; Secure; SameSite=Lax", cookie)
    again = urllib.request.Request(f"{address}/", headers={"Cookie": cookie.split(";")[0]})
    with urllib.request.urlopen(again, timeout=10) as second:
        assert "Set-Cookie" not in second.headers, "a browser keeps its process"
        assert "nginx/" not in second.headers.get("Server", "")
    answers = 0

    async def rate() -> int:
        windows = [
            Window(address, f"rater={study.join()}", cookie=f"study_node={number:032x}")
            for number in range(6)
        ]
        votes = 0
        for window in windows:
            await window.open()
            await window.answer("left", 2.0)
            votes += 1
        servers[0].end(signal.SIGKILL)
        for window in windows:
            await window.close()
            await window.open()  # as a browser does when its connection is lost
            assert window.page["progress"]["done"] == 1
            await window.answer("right", 2.0)
            votes += 1
            await window.close()
        return votes

    answers = asyncio.run(rate())
    votes = votes_frame(study)
    assert len(votes) == answers == 12
    assert votes["assignment"].is_unique
