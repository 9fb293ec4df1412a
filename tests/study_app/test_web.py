"""What a study answers over the network, and what it gives away: a real server, no browser."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import shutil
import signal
import socket
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from glide_eval.files import RunFolder
from study_app.making import create_study
from study_app.owner import votes_frame
from study_app.rating import Study
from study_app.rules import Rules
from study_app.serving.hosts import ADDRESSES, allowed_hosts
from study_app.store import database_url
from tests.study_app.conftest import PASSWORD, ROOT, StudyServer, free_port
from tests.study_app.window import Window

A_LOOK = 0.4  # seconds before an answer that a person could give
CLOSED = [
    "/_stcore/metrics",
    "/_stcore/upload_file/a/b",
    "/_stcore/agent/openapi.json",
    "/_stcore/script-health-check",
    "/component/x/index.html",
    "/auth/login",
    "/app/static/study.db",
    "/image/../study.db",
    "/page/..%2F..%2Fserver.py",
    "/page/rater.js/../../../server.py",
    "/static/..%2f..%2f..%2fetc%2fpasswd",
    "/study.db",
    "/.streamlit/config.toml",
    "//etc/passwd",
]


@pytest.fixture(scope="module")
def served(finished_run, tmp_path_factory) -> Iterator[tuple[Study, StudyServer]]:
    """One study and one server for all of this; each test comes as a new rater."""
    run = RunFolder(
        Path(shutil.copytree(finished_run.root, tmp_path_factory.mktemp("web") / "run"))
    )
    url = database_url(str(run.study_path))
    create_study(run, url, rules=Rules(2, 8), password=PASSWORD)
    study, server = Study.open(url), StudyServer(url, free_port())
    yield study, server
    server.end(signal.SIGKILL)
    study.close()


@pytest.fixture
def study(served) -> Study:
    return served[0]


@pytest.fixture
def server(served) -> StudyServer:
    return served[1]


def count_votes(study: Study) -> int:
    return len(votes_frame(study))


def ask(server: StudyServer, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """A raw request: no client cleans up the path on its way."""
    parts = urllib.parse.urlsplit(server.address)
    with contextlib.closing(
        http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    ) as c:
        c.putrequest("GET", path, skip_host="Host" in headers)
        for name, value in headers.items():
            c.putheader(name, value)
        c.endheaders()
        answer = c.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()


async def owner_window(server: StudyServer, host: str = "127.0.0.1", **headers) -> list[bytes]:
    """The messages that a new window of the owner's page gets from Streamlit."""
    parts, asked = urllib.parse.urlsplit(server.address), BackMsg()
    asked.rerun_script.query_string = ""
    async with websockets.connect(
        f"ws://{host}:{parts.port}/_stcore/stream", host=parts.hostname, port=parts.port,
        subprotocols=["streamlit"], **headers,
    ) as socket:  # fmt: skip
        await socket.send(asked.SerializeToString())
        messages: list[bytes] = []
        while not messages or ForwardMsg.FromString(messages[-1]).WhichOneof("type") != (
            "script_finished"
        ):
            messages.append(await socket.recv())
    return messages


async def look(window: Window) -> None:
    """Open a page and leave."""
    async with window:
        pass


def test_paths_the_pages_do_not_need_are_closed_and_nothing_is_found_by_climbing(server):
    for path in CLOSED:
        status, headers, content = ask(server, path)
        assert status in (400, 403, 404), path
        assert len(content) < 200, path
        assert headers["x-content-type-options"] == "nosniff"


def test_every_answer_is_careful_and_names_no_software(server, study):
    for path in ("/", "/owner", "/page/rater.js", "/_stcore/health", "/image/x.png", "/nowhere"):
        _, headers, content = ask(server, path)
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'self'" in headers["content-security-policy"]
        assert "server" not in headers
        assert not [v for v in headers.values() if "uvicorn" in v.lower() or "python" in v.lower()]
        assert str(study.info.image_root).encode() not in content


def test_only_this_study_s_own_names_are_answered(server):
    port = server.address.rsplit(":", 1)[1]
    assert ask(server, "/", Host=f"localhost:{port}")[0] == 200
    status, _, content = ask(server, "/", Host="rebound.example.net")
    assert status == 400
    assert b"--public-url" in content, "whoever owns the study reads what to do"
    assert ask(server, "/", Host="")[0] == 400
    window = Window(server.address, "", host="rebound.example.net")
    asyncio.run(look(window))
    assert window.status == 400
    with pytest.raises(websockets.InvalidStatus):
        asyncio.run(owner_window(server, host="rebound.example.net"))


def test_hosts_are_the_public_name_and_this_machine():
    assert "study.example.org" in allowed_hosts("127.0.0.1", "study.example.org")
    assert ADDRESSES not in allowed_hosts("0.0.0.0", "study.example.org")
    assert "192.0.2.7" in allowed_hosts("192.0.2.7", None)
    assert ADDRESSES not in allowed_hosts("192.0.2.7", None)


def test_a_public_address_may_be_a_number_of_either_kind(sqlite_study, serving):
    for url, host in (
        ("http://[2001:db8::1]:8501", "[2001:db8::1]:8501"),
        ("http://192.0.2.9", "192.0.2.9"),
    ):
        server = serving(sqlite_study.database.url, "--public-url", url)
        assert server.said[0] == f"Raters: {url}/"
        assert ask(server, "/", Host=host)[0] == 200
        assert ask(server, "/", Host="[2001:db8::2]")[0] == 400
        server.end(signal.SIGINT)


def test_in_a_lab_s_network_a_study_answers_to_addresses_and_this_machine_s_name(
    sqlite_study, serving
):
    server = serving(sqlite_study.database.url, "--host", "0.0.0.0")
    shown = urllib.parse.urlsplit(server.said[0].removeprefix("Raters: "))
    assert shown.hostname not in (None, "localhost", "0.0.0.0"), "an address others can use"
    for host in (shown.netloc, "192.0.2.9:8501", "[2001:db8::1]:8501", socket.gethostname()):
        assert ask(server, "/", Host=host)[0] == 200, host
    for host in ("rebound.example.net", "1.2.3.4.example.net", "1.2.3", "[::1", "*.*.*.*"):
        assert ask(server, "/", Host=host)[0] == 400, host
    server.end(signal.SIGINT)
    assert any("not encrypted" in line for line in server.said)


def test_another_site_s_page_cannot_open_a_window(server):
    with pytest.raises(websockets.InvalidStatus):
        asyncio.run(owner_window(server, origin="https://elsewhere.example.net"))


def test_another_site_s_page_cannot_answer_for_a_rater(server, study):
    """Without asking leave first, a page of another site can send text, and nothing as JSON."""
    parts = urllib.parse.urlsplit(server.address)
    asked = json.dumps({"query": {"rater": study.join()}, "event": {"kind": "begin"}})
    for kind, status in (("text/plain", 415), ("application/json", 200)):
        with contextlib.closing(http.client.HTTPConnection(parts.hostname, parts.port)) as c:
            c.request("POST", "/turn", asked, {"Content-Type": kind})
            assert c.getresponse().status == status
        with contextlib.closing(http.client.HTTPConnection(parts.hostname, parts.port)) as c:
            c.request("OPTIONS", "/turn", headers={"Origin": "https://elsewhere.example.net"})
            answer = c.getresponse()
            assert answer.status == 405
            assert not answer.getheader("Access-Control-Allow-Origin")


BAD_EVENTS = [b"", b"[]", b"{", b"null", b"\xff", b"[" * 50_000, b'{"query": 3, "event": [1]}']


def test_what_is_no_event_is_refused_and_the_server_goes_on(server, study):
    parts = urllib.parse.urlsplit(server.address)
    before = study.progress()
    for content in (*BAD_EVENTS, b"x" * 2**21):
        with contextlib.closing(http.client.HTTPConnection(parts.hostname, parts.port)) as c:
            c.request("POST", "/turn", content, {"Content-Type": "application/json"})
            assert c.getresponse().status in (200, 400, 413), content[:20]
    assert ask(server, "/")[0] == 200
    assert study.progress() == before


def test_a_new_window_hears_of_no_path_version_or_machine(server, study):
    messages = asyncio.run(owner_window(server))
    sessions = [
        message.new_session
        for message in map(ForwardMsg.FromString, messages)
        if message.WhichOneof("type") == "new_session"
    ]
    assert sessions
    for session in sessions:
        assert not session.main_script_path
        assert not session.initialize.environment_info.ListFields()
        assert not session.initialize.user_info.ListFields()
    everything = b"".join(messages) + ask(server, f"/?rater={study.join()}")[2]
    for secret in (str(ROOT), str(study.info.image_root), *study.info.arms):
        assert secret.encode() not in everything


HOSTILE = [
    "rater=" + "a" * 20_000,
    "rater=" + urllib.parse.quote("' OR 1=1 --"),
    "rater=" + urllib.parse.quote("<script>alert(1)</script>"),
    "rater=..%2F..%2Fetc%2Fpasswd",
    "rater=%00%ff",
    "rater=" + "0" * 32,
    "PROLIFIC_PID=" + urllib.parse.quote("'; DROP TABLE vote; --"),
    "invite=" + urllib.parse.quote("<img src=x onerror=alert(1)>"),
    "assignmentId=ASSIGNMENT_ID_NOT_AVAILABLE&hitId=x",
]


def test_a_hostile_address_gets_an_honest_page_and_changes_nothing(server, study):
    before = study.progress()
    for query in HOSTILE:
        window = Window(server.address, query)
        asyncio.run(look(window))
        assert "refused" in window.page["html"], query
        assert "alert" not in window.page["html"]
    assert study.progress() == before


def test_too_many_who_join_from_one_address_are_asked_to_wait(sqlite_study, serving):
    server = serving(sqlite_study.database.url)

    async def knock() -> str:
        for _ in range(150):  # 60 at once, then one a second
            window = Window(server.address, f"invite={0:032x}")
            await look(window)
            if "This link does not work" not in window.page["html"]:
                return window.page["html"]
        raise AssertionError("150 are let in")

    page = asyncio.run(knock())
    assert "Too many people are joining" in page
    assert "data-event='retry'" in page, "and can try again"


def test_events_a_page_never_sends_change_nothing(server, study):
    async def forge() -> None:
        window = Window(server.address, f"rater={study.join()}", fetch_images=False)
        await window.open()
        pair = window.page["pair"]
        for details in (
            {"kind": "answer", "assignment": "0" * 32, "answer": "left", "seconds": 2},
            {"kind": "answer", "assignment": "' OR 1=1 --", "answer": "left", "seconds": 2},
            {"kind": "answer", "assignment": pair["id"], "answer": "arm", "seconds": 2},
            {"kind": "answer", "assignment": pair["id"], "answer": ["left"]},
            {"kind": "answer", "assignment": pair["id"], "answer": "left", "seconds": 0.01},
            {"kind": "set_aside", "assignment": pair["id"]},
            {"kind": "undo"},
        ):
            await window.act(details.pop("kind"), **details)
            assert window.page["pair"] == pair
        await window.close()

    before = count_votes(study)
    asyncio.run(forge())
    assert count_votes(study) == before


def test_two_windows_of_one_rater_never_answer_a_pair_twice(server, study):
    async def race() -> None:
        query = f"rater={study.join()}"
        one, other = Window(server.address, query), Window(server.address, query)
        await one.open()
        await other.open()
        pair = one.page["pair"]["id"]
        assert other.page["pair"]["id"] == pair
        await asyncio.sleep(A_LOOK)
        await asyncio.gather(one.answer("left", 2.0), other.answer("right", 2.0))
        assert {one.page["pair"]["id"], other.page["pair"]["id"]} == {one.page["pair"]["id"]}
        assert len(one.notices + other.notices) == 1, "the slower one is told"
        await one.close()
        await other.close()

    before = count_votes(study)
    asyncio.run(race())
    assert count_votes(study) == before + 1


def test_a_pair_whose_image_is_gone_is_set_aside_and_the_rater_goes_on(server, study):
    async def go_on() -> None:
        window = Window(server.address, f"rater={study.join()}", fetch_images=False)
        await window.open()
        gone = window.page["pair"]
        study.image_path(gone["left"]).unlink()
        assert ask(server, f"/image/{gone['left']}.png")[0] == 404
        await window.act("set_aside", assignment=gone["id"])
        assert "left that pair out" in window.page["notice"]
        assert window.page["pair"]["id"] != gone["id"]
        await asyncio.sleep(A_LOOK)
        await window.answer("left", 2.0)
        assert window.page["progress"]["done"] == 1
        await window.close()

    asyncio.run(go_on())
