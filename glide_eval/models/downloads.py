"""One large file over HTTP, into place only when it is whole; goes on where it stopped.

While it comes in, `NAME.part` holds the bytes and `NAME.part.json` says of which version of which
URL they are. A killed or cut download resumes by an HTTP range of that version; where the server
has another version by now, or ignores ranges, it starts anew. The finished file is recorded in the
folder's `weights.json`, then renamed.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tqdm import tqdm

from generator.errors import GeneratorError
from generator.weight_files import Record, read_records, sha256, write_record
from glide_eval.errors import DownloadError, StorageError
from glide_eval.files import held, parse_json, read_whole

CHUNK = 1 << 20  # bytes
TIMEOUT = 30.0  # seconds without a byte
PATIENCE, LEAST = 60.0, 1 << 16  # seconds in which at least so many bytes must come
ATTEMPTS = 5  # in a row that bring nothing
BACKOFF = 2.0  # seconds before the second of them; doubles
_BROKEN = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


@dataclass(frozen=True, slots=True)
class _Version:
    """What a partial file is part of.

    Attributes:
        url: where from.
        validator: the server's ETag or date of that version; None if it gives none.
        size: bytes of the whole; None if the server doesn't say.
    """

    url: str
    validator: str | None
    size: int | None


def download(
    url: str,
    path: Path,
    expected_sha256: str | None = None,
    wait: Callable[[float], None] = time.sleep,
    *,
    expected_size: int | None = None,
    check: Callable[[Path], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Record:
    """Bring a file to disk, or the rest of it.

    Args:
        url: http or https.
        path: where the whole file goes; its folder is made.
        expected_sha256: hex digest, where it is known; else the one recorded at an earlier download
            of this file, if any.
        wait: sleeps between attempts.
        expected_size: bytes, where they are known.
        check: reads the whole file and raises a `GeneratorError` if it is not what it should be.
        clock: seconds.

    Returns:
        What was recorded of the file.

    Raises:
        DownloadError: no network, the server refuses, or what came is not the expected file.
        StorageError: the disk is full or can't be written to; what came so far is kept.
    """
    part = path.with_name(path.name + ".part")
    with _held(part) as file:
        known = _read_note(part)
        if not (known and known.url == url and known.size == file.tell()):  # killed at the very end
            _receive(url, file, part, wait, _Pace(clock), expected_size)
            os.fsync(file.fileno())
        digest, size = sha256(part), part.stat().st_size
        earlier = read_records(path.parent).get(path.name)
        expected = expected_sha256 or (earlier.sha256 if earlier else digest)
        if digest != expected:
            _forget(part)
            raise DownloadError(
                f"{url} is not the file it should be: expected sha256 {expected[:12]}…, found "
                f"{digest[:12]}… in {size:,} bytes, which were deleted. Try again later"
                + ("." if expected_sha256 else _accept(path))
            )
        if check is not None and digest != expected_sha256:
            _require_sound(url, part, check)
        record = Record(digest, size, url)
        write_record(path.parent, path.name, record)
        part.replace(path)
        _note(part).unlink(missing_ok=True)
    return record


def _accept(path: Path) -> str:
    return (
        f"; if the publisher replaced it, forget it in {path.parent / 'weights.json'}, which "
        "remembers the first download: glide-eval models fetch --force."
    )


def _require_sound(url: str, part: Path, check: Callable[[Path], None]) -> None:
    """Throw a file away that is whole, but not what it should be."""
    try:
        check(part)
    except GeneratorError as error:
        _forget(part)
        raise DownloadError(
            f"{url} is not the file it should be, and what came was deleted: {error} A proxy or a "
            "login page may stand between; try the address in a browser."
        ) from error


class _Pace:
    """Whether bytes come fast enough to wait for more."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._since, self._bytes = clock, clock(), 0

    def received(self, count: int) -> None:
        """Note some bytes.

        Raises:
            _SlowError: fewer than `LEAST` came in the last `PATIENCE` seconds.
        """
        self._bytes += count
        passed = self._clock() - self._since
        if passed >= PATIENCE:
            if self._bytes < LEAST:
                raise _SlowError(f"only {self._bytes:,} bytes came in {passed:.0f} s")
            self.restart()

    def restart(self) -> None:
        """Begin a new span, as after a pause."""
        self._since, self._bytes = self._clock(), 0


class _SlowError(ConnectionError):
    """The server sends, but hardly anything."""


def _receive(
    url: str,
    file: BinaryIO,
    part: Path,
    wait: Callable[[float], None],
    pace: _Pace,
    expected_size: int | None,
) -> None:
    """Append to the part until it is whole, through as many connections as it takes."""
    with tqdm(desc=part.stem, unit="B", unit_scale=True, unit_divisor=1000, disable=None) as bar:
        fruitless = 0
        while True:
            before = file.tell()
            try:
                pace.restart()
                with _opened(url, file, part) as (response, version):
                    _refuse_size(url, version, expected_size)
                    bar.total, bar.n = version.size, file.tell()
                    bar.refresh()
                    _copy(response, file, part, bar, pace)
                if version.size is None or file.tell() == version.size:
                    return
                trouble = f"the connection ended after {file.tell():,} of {version.size:,} bytes"
            except _BROKEN as error:
                trouble = _refusal(url, error)
            fruitless = 0 if file.tell() >= before + LEAST else fruitless + 1
            if fruitless == ATTEMPTS:
                kept = f"{file.tell():,} bytes are kept in {part}. " if file.tell() else ""
                raise DownloadError(
                    f"{url} can't be fetched: {trouble}, and {ATTEMPTS} attempts brought nothing "
                    f"more. {kept}Check the network and run the same command again."
                )
            wait(min(BACKOFF * 2 ** (fruitless - 1), 30.0) if fruitless else 0.0)


@contextlib.contextmanager
def _opened(
    url: str, file: BinaryIO, part: Path
) -> Generator[tuple[http.client.HTTPResponse, _Version]]:
    """A response whose body goes on where the file ends; the file is emptied if it has to be."""
    have, known = file.tell(), _read_note(part)
    # Identity: a range of compressed bytes could not be joined to what is on disk.
    headers = {"Accept-Encoding": "identity", "User-Agent": "glide-eval"}
    if have and known and known.url == url and known.validator:
        headers |= {"Range": f"bytes={have}-", "If-Range": known.validator}
    try:
        response = _OPENER.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except ValueError as error:  # an address that is none
        raise DownloadError(
            f"{url}: the server sends us on to an address that is none ({error}). A proxy may "
            "stand between; try the address in a browser."
        ) from error
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 416:
            raise
        _empty(file)  # there are no such bytes: what we hold is of something else
        raise ConnectionError("the server has fewer bytes than were received") from error
    with response:
        _refuse_kind(url, response)
        version = _version(url, response)
        if response.status == 206 and _range_start(response) == have and known == version:
            yield response, version
            return
        if response.status == 206:  # not the bytes that were asked for
            _empty(file)
            raise ConnectionError("the server sent another part of the file than was asked for")
        _empty(file)
        _must_fit(part, version)
        _note(part).write_text(json.dumps(asdict(version)), encoding="utf-8")
        yield response, version


def _refuse_kind(url: str, response: http.client.HTTPResponse) -> None:
    """Refuse what a server sends in a file's place, by its headers."""
    kind = response.headers.get_content_type()
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if kind == "text/html":
        raise DownloadError(
            f"{url} can't be fetched: the server sent a web page, expected a file. A login page or "
            "a proxy may stand between; try the address in a browser."
        )
    if encoding not in ("identity", ""):
        raise DownloadError(
            f"{url} can't be fetched: the server sent it encoded ({encoding}), expected the file "
            "itself. Fetch it by other means and put it into the folder by hand."
        )


def _refuse_size(url: str, version: _Version, expected: int | None) -> None:
    if version.size == 0 or (expected is not None and version.size not in (None, expected)):
        wanted = f"{expected:,} bytes" if expected is not None else "the file"
        raise DownloadError(
            f"{url} is not the file it should be: the server offers {version.size:,} bytes, "
            f"expected {wanted}. Try again later."
        )


class _WebOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects to web addresses alone."""

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        """See the base class; a refused answer is closed."""
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except (ValueError, DownloadError):
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        """See the base class; other protocols are refused."""
        if urllib.parse.urlsplit(newurl).scheme not in ("http", "https"):
            raise DownloadError(
                f"{req.full_url} can't be fetched: the server sends us on to {newurl[:200]}, "
                "expected a web address. A proxy may stand between; try it in a browser."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_WebOnly)


def _version(url: str, response: http.client.HTTPResponse) -> _Version:
    """Which version of the file a response is about."""
    tag = response.headers.get("ETag")
    # A weak tag allows other bytes, and If-Range needs the very same ones (RFC 9110, 13.1.5).
    strong = tag if tag and not tag.startswith("W/") else None
    length = response.headers.get("Content-Length")
    whole = re.fullmatch(r"bytes \d+-\d+/(\d+)", response.headers.get("Content-Range", ""))
    size = int(whole[1]) if whole else int(length) if length and length.isdigit() else None
    if size is None and response.status == 200 and not response.chunked:
        raise DownloadError(
            f"{url}: the server does not say how long the file is, so nobody could tell a whole "
            "one from half of it. Fetch it by other means and put it into the folder by hand."
        )
    return _Version(url, strong or response.headers.get("Last-Modified"), size)


def _copy(
    response: http.client.HTTPResponse, file: BinaryIO, part: Path, bar: tqdm[Any], pace: _Pace
) -> None:
    while chunk := response.read1(CHUNK):  # as bytes come: a drip must not block us
        rest = memoryview(chunk)
        try:
            while rest:  # a disk that fills up takes a piece, then fails
                rest = rest[file.write(rest) :]
        except OSError as error:
            raise _unwritable(part, error) from error
        bar.update(len(chunk))
        pace.received(len(chunk))


def _refusal(url: str, error: Exception) -> str:
    """What went wrong, for the last line of many attempts; some answers are final at once."""
    if isinstance(error, urllib.error.HTTPError):
        if error.code < 500 and error.code not in (408, 429):
            raise DownloadError(
                f"{url} can't be fetched: the server answered {error.code} {error.reason}, "
                "expected the file. It may have moved, or a proxy stands between; try the address "
                "in a browser."
            ) from error
        return f"the server answered {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return f"no connection ({error.reason})"
    return f"the connection broke ({error or type(error).__name__})"


def _range_start(response: http.client.HTTPResponse) -> int | None:
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


@contextlib.contextmanager
def _held(part: Path) -> Generator[BinaryIO]:
    """The partial file, open at its end, ours alone until the block (or the process) ends."""

    def busy(who: str) -> DownloadError:
        return DownloadError(
            f"{part}: another process is downloading this file now ({who}). Wait for it."
        )

    try:
        part.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(part, error) from error
    with held(part.with_name(part.name + ".lock"), busy), _opened_for_more(part) as file:
        file.seek(0, os.SEEK_END)
        try:
            yield file
        finally:
            if file.tell() == 0:
                _forget(part)


def _opened_for_more(part: Path) -> BinaryIO:
    try:
        # Unbuffered, so that what a killed download received is on disk.
        return part.open("ab", buffering=0)
    except OSError as error:
        raise _unwritable(part, error) from error


def _must_fit(part: Path, version: _Version) -> None:
    free = shutil.disk_usage(part.parent).free
    if version.size and free < version.size:
        raise StorageError(
            f"{part.parent} has too little room: expected {version.size:,} bytes for {part.stem}, "
            f"found {free:,} free. Make room, or set GLIDE_EVAL_WEIGHTS to a folder elsewhere."
        )


def _unwritable(part: Path, error: OSError) -> StorageError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return StorageError(
        f"{part} can't be written: {'the disk is full' if full else error.strerror}. "
        f"{'Make room and run the same command again' if full else 'Check the folder'}, or set "
        "GLIDE_EVAL_WEIGHTS to a folder elsewhere."
    )


def _empty(file: BinaryIO) -> None:
    file.truncate(0)
    file.seek(0)


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_note(part: Path) -> _Version | None:
    try:
        return _Version(**parse_json(read_whole(_note(part))))
    except (OSError, ValueError, TypeError):
        return None
