"""Downloads from servers that cut connections, ignore ranges, lie, and come back changed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from generator import checkpoints
from generator.errors import CheckpointError
from generator.weight_files import Record, read_records, write_record
from glide_eval.errors import DownloadError, StorageError
from glide_eval.files import held
from glide_eval.models import downloads as module
from glide_eval.models.downloads import download
from tests.glide_eval.servers import CONTENT, DIGEST, Server


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "glide" / "base.pt"


def fetch(server: Server, path: Path, **options):
    return download(server.url, path, wait=lambda _: None, **options)


def assert_whole(path: Path, content: bytes = CONTENT) -> None:
    assert path.read_bytes() == content
    assert sorted(p.name for p in path.parent.iterdir()) == ["base.pt", "weights.json"]


def test_a_file_arrives_whole_and_is_recorded(server, path):
    record = fetch(server, path)
    assert_whole(path)
    assert (record.sha256, record.size, record.url) == (DIGEST, len(CONTENT), server.url)
    assert read_records(path.parent) == {"base.pt": record}


def test_cut_connections_are_resumed_where_they_ended(server, path):
    server.cut = [1_000_000, 700_000]
    fetch(server, path)
    assert_whole(path)
    assert server.ranges == [None, "bytes=1000000-", "bytes=1700000-"]


def test_a_killed_download_resumes_in_the_next_process(server, path):
    server.pause = 0.05
    code = "import sys, pathlib; from glide_eval.models.downloads import download; "
    code += "download(sys.argv[1], pathlib.Path(sys.argv[2]))"
    process = subprocess.Popen([sys.executable, "-c", code, server.url, str(path)])
    part = path.with_name("base.pt.part")
    while not (part.is_file() and part.stat().st_size):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not path.exists()
    have = part.stat().st_size
    assert 0 < have < len(CONTENT)
    server.pause = 0
    fetch(server, path)
    assert_whole(path)
    assert server.ranges == [None, f"bytes={have}-"]


def test_a_download_killed_before_its_last_rename_needs_no_network(server, path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_record", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch(server, path)
    server.status = 500
    fetch(server, path)
    assert_whole(path)


def test_a_server_that_ignores_ranges_sends_the_whole_file_again(server, path):
    server.obeys_ranges = False
    server.cut = [1_000_000]
    fetch(server, path)
    assert_whole(path)
    assert len(server.ranges) == 2


def test_a_file_replaced_between_attempts_is_fetched_from_its_start(server, path):
    server.cut = [1_000_000, *[0] * module.ATTEMPTS]
    with pytest.raises(DownloadError, match="1,000,000 bytes are kept"):
        fetch(server, path)
    server.content, server.tag = CONTENT[::-1], '"v2"'
    fetch(server, path)
    assert_whole(path, CONTENT[::-1])


@pytest.mark.parametrize("tag", [None, 'W/"v1"'])
def test_without_a_sure_sign_of_its_version_a_file_is_not_pieced_together(server, path, tag):
    server.tag = tag
    server.cut = [1_000_000]
    fetch(server, path)
    assert_whole(path)
    assert server.ranges == [None, None]


def test_a_server_with_fewer_bytes_than_we_hold_makes_us_start_anew(server, path):
    server.cut = [2_000_000, *[0] * module.ATTEMPTS]
    with pytest.raises(DownloadError):
        fetch(server, path)
    server.content = CONTENT[:1_500_000]
    fetch(server, path)
    assert_whole(path, CONTENT[:1_500_000])


def test_the_wrong_part_of_a_file_is_not_taken(server, path):
    server.wrong_start = True
    server.cut = [1_000_000]
    fetch(server, path)
    assert_whole(path)


def test_a_length_that_never_comes_true_is_no_file(server, path):
    server.cut = [2_999_999, *[0] * module.ATTEMPTS]
    with pytest.raises(DownloadError, match=r"after 2,999,999 of 3,000,000 bytes.*same command"):
        fetch(server, path)
    assert not path.exists()


def test_a_server_that_does_not_say_the_length_is_refused(server, path):
    server.names_length = False
    with pytest.raises(DownloadError, match="does not say how long"):
        fetch(server, path)
    assert not path.exists()


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_is_final_and_says_so(server, path, status):
    server.status = status
    with pytest.raises(DownloadError, match=f"answered {status}"):
        fetch(server, path)
    assert len(server.ranges) == 1


def test_a_busy_server_is_asked_again(server, path):
    server.status = 503
    waits = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            server.status = 200

    download(server.url, path, wait=wait)
    assert waits == [2, 4, 8]
    assert_whole(path)


def test_no_network_is_one_paragraph(path):
    with pytest.raises(DownloadError, match=r"no connection.*Check the network") as caught:
        download("http://127.0.0.1:9/base.pt", path, wait=lambda _: None)
    assert list(path.parent.iterdir()) == []
    assert "\n" not in str(caught.value)


def test_a_file_of_another_digest_is_thrown_away(server, path):
    with pytest.raises(DownloadError, match=r"expected sha256 000000000000.*found " + DIGEST[:12]):
        fetch(server, path, expected_sha256="0" * 64)
    assert list(path.parent.iterdir()) == []


def test_a_publisher_who_changes_a_recorded_file_is_noticed(server, path):
    fetch(server, path)
    path.unlink()
    server.content = CONTENT[::-1]
    with pytest.raises(DownloadError, match=r"weights\.json, which remembers the first download"):
        fetch(server, path)
    assert read_records(path.parent)["base.pt"].sha256 == DIGEST


def test_a_full_disk_stops_before_the_first_byte(server, path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 1_000))
    with pytest.raises(StorageError, match=r"3,000,000 bytes .*1,000 free"):
        fetch(server, path)


def test_a_disk_that_fills_up_keeps_what_came(server, path):
    # A process may write files of one megabyte: as a full disk, with another errno.
    code = (
        "import resource, signal, sys, pathlib; from glide_eval.models.downloads import download;"
        "from glide_eval.errors import StorageError;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_200_000,) * 2)\n"
        "try: download(sys.argv[1], pathlib.Path(sys.argv[2]))\n"
        "except StorageError as error: print(error)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, server.url, str(path)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "can't be written" in said
    assert path.with_name("base.pt.part").stat().st_size == 1_200_000
    fetch(server, path)
    assert_whole(path)
    assert server.ranges == [None, "bytes=1200000-"]


def test_two_downloads_of_one_file_do_not_mix(server, path):
    with (
        held(path.with_name("base.pt.part.lock"), RuntimeError),
        pytest.raises(DownloadError, match=rf"another process.*\(process {os.getpid()} on"),
    ):
        fetch(server, path)


def refused(server: Server, path: Path, match: str, **options) -> None:
    """Nothing of what the server sends is kept or recorded."""
    with pytest.raises(DownloadError, match=match) as caught:
        fetch(server, path, **options)
    assert "\n" not in str(caught.value)
    assert list(path.parent.iterdir()) == []


def test_a_login_page_is_no_file(server, path):
    server.content = b"<html>please log in</html>"
    server.headers = {"Content-Type": "text/html; charset=utf-8"}
    refused(server, path, "sent a web page, expected a file")


def test_an_empty_answer_is_no_file(server, path):
    server.content = b""
    refused(server, path, "offers 0 bytes")


def test_an_encoded_answer_is_no_file(server, path):
    server.headers = {"Content-Encoding": "gzip"}
    refused(server, path, r"sent it encoded \(gzip\)")


def test_a_file_of_another_size_is_refused_before_its_first_byte(server, path):
    refused(server, path, "offers 3,000,000 bytes, expected 12 bytes", expected_size=12)
    fetch(server, path, expected_size=len(CONTENT))
    assert_whole(path)


@pytest.mark.parametrize("where", ["ftp://127.0.0.1/x", "file:///etc/passwd", "http://[::1"])
def test_a_redirect_that_leaves_the_web_is_not_followed(server, path, where):
    server.redirect = where
    refused(server, path, "sends us on to|address that is none|is not allowed")


def test_what_can_not_be_read_as_what_it_should_be_is_not_recorded(server, path):
    def check(part: Path) -> None:
        assert part.read_bytes() == CONTENT
        raise CheckpointError("It is no network.")

    refused(server, path, "not the file it should be.*It is no network", check=check)


def test_two_files_pieced_together_under_one_tag_are_found_out(server, path, tmp_path):
    import torch

    for name, value in (("a", 0.0), ("b", 1.0)):
        torch.save({"x": torch.full((50_000,), value)}, tmp_path / name)
    first, second = ((tmp_path / name).read_bytes() for name in "ab")
    assert len(first) == len(second)
    server.content = first[: len(first) // 2] + second[len(first) // 2 :]
    refused(server, path, "checksum of", check=checkpoints._require_whole_archive)


def test_a_drip_of_bytes_for_each_connection_ends(server, path):
    server.cut = [1] * 1000
    with pytest.raises(DownloadError, match=rf"{module.ATTEMPTS} attempts brought nothing more"):
        fetch(server, path)
    assert len(server.ranges) == module.ATTEMPTS


def test_a_drip_of_bytes_within_a_connection_ends(server, path):
    server.drip = 1000
    seconds = iter(range(0, 10**9, 5))  # a clock that says: 200 bytes per second
    with pytest.raises(DownloadError, match=r"only \d+,\d+ bytes came in 6\d s"):
        fetch(server, path, clock=lambda: next(seconds))
    starts = [int((asked or "bytes=0-")[6:-1]) for asked in server.ranges]
    came = np.diff([*starts, path.with_name("base.pt.part").stat().st_size])
    # On a busy machine many pieces may come at once: an attempt that brought enough is no failure.
    slow = (came < module.LEAST).tolist()
    assert slow[-module.ATTEMPTS :] == [True] * module.ATTEMPTS
    assert not any(slow[: -module.ATTEMPTS])


def test_downloads_at_the_same_time_lose_no_record(tmp_path):
    names = [f"{number}.pt" for number in range(40)]
    record = Record(DIGEST, 1, "http://127.0.0.1/")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: write_record(tmp_path, name, record), names))
    assert sorted(read_records(tmp_path)) == sorted(names)
    assert [path.name for path in tmp_path.iterdir()] == ["weights.json"]
    write_record(tmp_path, names[0], None)
    assert sorted(read_records(tmp_path)) == sorted(names[1:])
