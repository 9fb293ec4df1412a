"""The server without a browser: ports, headers, images, a clean stop."""

from __future__ import annotations

import io
import signal
import socket
import urllib.error
import urllib.request

import pytest
from PIL import Image

from study_app.errors import ServerError, StudyUsageError
from study_app.serving import RaterPage, serve
from study_app.views import rate

PAGE = RaterPage(rate.shell, rate.respond)


def pixels(source) -> bytes:
    with Image.open(source) as image:
        return image.tobytes()


def get(url: str) -> tuple[int, dict[str, str], bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()


def test_images_are_served_unchanged_by_opaque_names_only_and_ctrl_c_stops_cleanly(
    sqlite_study, serving, run
):
    server = serving(sqlite_study.database.url)
    assert server.said == [f"Raters: {server.address}/", f"Owner:  {server.address}/owner"]
    pair = sqlite_study.turn(sqlite_study.join()).current
    status, headers, content = get(f"{server.address}/image/{pair.left}.png")
    assert (status, headers["content-type"]) == (200, "image/png")
    stored = run.root / "study_images" / f"{pair.left}.png"
    assert pixels(io.BytesIO(content)) == pixels(stored), "of one length, with the same pixels"
    assert "last-modified" not in headers, "dates would tell who was made when"
    assert "immutable" in headers["cache-control"]
    assert headers["referrer-policy"] == "no-referrer"
    for other in ("0" * 32, "..%2F..%2Fstudy.db", "..%2Frun.json", "%00", "a" * 2000):
        status, _, content = get(f"{server.address}/image/{other}.png")
        assert status in (400, 404)
        assert b"PNG" not in content
    assert server.end(signal.SIGINT) == 0
    assert server.said[-1] == "Stopped. Every accepted vote is stored."


def test_a_port_in_use_is_told_before_anything_starts(sqlite_study):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ServerError, match=f"Port {port} on 127.0.0.1 is in use") as error:
            serve(sqlite_study.database.url, PAGE, port=port)
    assert "\n" not in str(error.value)


def test_an_address_of_another_machine_cannot_be_listened_on(sqlite_study):
    with pytest.raises(ServerError, match=r"Could not listen on 192\.0\.2\.1"):
        serve(sqlite_study.database.url, PAGE, host="192.0.2.1", port=0)


@pytest.mark.parametrize("wrong", ["study.example.org", "https://", "http://[::1", "ftp://a.org"])
def test_a_public_address_must_be_one(sqlite_study, wrong):
    with pytest.raises(StudyUsageError, match=r"expected https://study\.example\.org"):
        serve(sqlite_study.database.url, PAGE, port=0, public_url=wrong)
