"""What is answered over HTTP: raters' pages and events, images by opaque names, the owner's page.

Every request passes, from the outside in: headers that give nothing away, the hosts this study
answers to, the paths that are open at all, and how often one address may ask. The rater's page, its
files, images and events are then answered here; the owner's page is Streamlit's.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import mimetypes
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl

from study_app.errors import DatabaseError
from study_app.rating import Study
from study_app.rules import MTURK_SUBMIT
from study_app.store import StudyInfo

from .hosts import KnownHosts
from .limits import (
    ANSWERING,
    KEPT_BYTES,
    LARGEST_EVENT,
    MESSAGES_AT_ONCE,
    MESSAGES_PER_SECOND,
    connections,
    events,
    requests,
)
from .padding import OVERHEAD, padded
from .rate_limit import RateLimit
from .when_asked import HEALTH, WhenAsked

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
    from streamlit import App

SCRIPT = Path(__file__).parents[1] / "views" / "app.py"
PAGE_FILES = SCRIPT.with_name("static") / "page"

HEADERS = {
    "Referrer-Policy": "no-referrer",  # a rater's address holds their token
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Robots-Tag": "noindex, nofollow",
    # Streamlit's own scripts need inline code, and its charts evaluate expressions; `headers` says
    # which sites stand for {forms} and {frames}
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        "connect-src 'self' ws: wss: data: blob:; worker-src 'self' blob:; object-src 'none'; "
        "base-uri 'self'; form-action 'self'{forms}; frame-ancestors 'self'{frames}"
    ),
}

OPEN_PATHS = frozenset({
    "/", "/rate", "/turn", "/owner", "/favicon.png", "/favicon.ico",
    HEALTH, "/_stcore/host-config", "/_stcore/stream",
})  # fmt: skip
OPEN_FOLDERS = ("/static/", "/media/", "/image/", "/page/")
NEVER_KEPT = {"Cache-Control": "no-store"}
LOGIN_PATHS = frozenset({"/auth/login", "/auth/logout", "/oauth2callback"})


@dataclass(frozen=True, slots=True)
class RaterPage:
    """What raters see, made by a room above this one.

    Attributes:
        shell: gives the page of a study, as HTML, for an address's query parameters.
        respond: does what a page asks for (a JSON object, and the address it comes from), and
            gives what the page shows next.
    """

    shell: Callable[[Study, Mapping[str, str]], str]
    respond: Callable[[Study, Mapping[str, Any], str], Mapping[str, Any]]


def build_app(
    study: Callable[[], Study], page: RaterPage, hosts: list[str], *, login: bool = False
) -> ASGIApp:
    """The ASGI app of a study's pages; its arguments are those of `wrapped`."""

    def streamlit_app() -> App:
        import streamlit

        return streamlit.App(SCRIPT)

    return wrapped(WhenAsked(streamlit_app), study, page, hosts, login=login)


def wrapped(
    app: ASGIApp,
    study: Callable[[], Study],
    page: RaterPage,
    hosts: list[str],
    *,
    login: bool = False,
) -> ASGIApp:
    """Streamlit's app, answered for where a study answers by itself, and guarded.

    Args:
        app: Streamlit's, of `SCRIPT`.
        study: gives the study that is served.
        page: what raters see.
        hosts: names this study answers to (see `hosts.allowed_hosts`).
        login: the owner signs in with OpenID Connect, so its routes are open.
    """
    # Each layer wraps the ones above it, so the last one sees a request first.
    app = _Discreet(app)
    app = _Rating(app, study, page)
    app = _Files(app, study)
    app = _PolitePace(app)
    app = _OpenPathsOnly(app, login=login)
    app = KnownHosts(app, hosts)
    return _CarefulHeaders(app, headers(study().info))


def headers(info: StudyInfo) -> dict[str, str]:
    """`HEADERS`, with the sites that may show this study inside their page or be handed a task."""
    forms = MTURK_SUBMIT if info.entry == "mturk" else ()
    said = {
        name: value.format(
            forms="".join(f" {site}" for site in forms),
            frames="".join(f" {site}" for site in info.framed_by),
        )
        for name, value in HEADERS.items()
    }
    return said if info.framed_by else said | {"X-Frame-Options": "SAMEORIGIN"}


class _Rating:
    """The rater's page at `/`, and at `/turn` what it asks for: one request per event.

    A page of another site can't ask: it would need leave, which nobody gives, to send JSON here.
    """

    def __init__(self, app: ASGIApp, study: Callable[[], Study], page: RaterPage) -> None:
        self._app = app
        self._study = study
        self._page = page
        # Not Starlette's pool, whose way there and back takes a tenth of an answer's time.
        self._threads = ThreadPoolExecutor(ANSWERING, "answer")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "") if scope["type"] == "http" else ""
        if path in ("/", "/rate"):
            await self._shell(scope)(scope, receive, send)
        elif path == "/turn":
            await (await self._turn(scope, receive))(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _shell(self, scope: Scope) -> Response:
        from starlette.responses import HTMLResponse, Response

        if scope["method"] not in ("GET", "HEAD"):
            return Response(status_code=405)
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        return HTMLResponse(self._page.shell(self._study(), query), headers=NEVER_KEPT)

    async def _turn(self, scope: Scope, receive: Receive) -> Response:
        from starlette.responses import Response

        status, asked = await _event(scope, receive)
        if asked is None:
            return Response(status_code=status)
        address = (scope.get("client") or ("unknown",))[0]
        if not events.allow(f"{address} {_token(asked)}"):
            return Response(status_code=429, headers={"Retry-After": "1"})
        try:
            respond = partial(self._page.respond, self._study(), asked, address)
            shown = await asyncio.get_running_loop().run_in_executor(self._threads, respond)
        except DatabaseError:  # the page keeps what it sent, and sends it again
            return Response(status_code=503, headers=NEVER_KEPT)
        content = json.dumps(shown, separators=(",", ":"))
        return Response(content, media_type="application/json", headers=NEVER_KEPT)


async def _event(scope: Scope, receive: Receive) -> tuple[int, Mapping[str, Any] | None]:
    """Return what a page asks for, or None with the status of its refusal."""
    from starlette.requests import ClientDisconnect, Request

    if scope["method"] != "POST":
        return 405, None
    if (b"content-type", b"application/json") not in scope["headers"]:
        return 415, None
    content = b""
    try:
        async for part in Request(scope, receive).stream():
            content += part
            if len(content) > LARGEST_EVENT:
                return 413, None
        asked = json.loads(content)
    except (ValueError, RecursionError, ClientDisconnect):
        return 400, None
    return (200, cast("Mapping[str, Any]", asked)) if isinstance(asked, dict) else (400, None)


def _token(asked: Mapping[str, Any]) -> str:
    query = asked.get("query")
    return str(query.get("rater"))[:32] if isinstance(query, dict) else ""  # pyright: ignore


class _Files:
    """Images by their opaque names, and the rater page's own script and style.

    Images are the same bytes for everybody, without a date that could tell arms apart, and all of
    one length; those asked for lately are kept in memory, so that the disk does not show in the
    time an answer takes.
    """

    def __init__(self, app: ASGIApp, study: Callable[[], Study]) -> None:
        self._app = app
        self._study = study
        self._kept: dict[str, bytes] = {}  # by name, oldest first
        self._room = KEPT_BYTES
        self._page = {file.name: file.read_bytes() for file in PAGE_FILES.iterdir()}
        self._small = {name: gzip.compress(text, mtime=0) for name, text in self._page.items()}
        self._tags = {
            name: f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            for name, content in self._page.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(("/image/", "/page/")):
            await self._app(scope, receive, send)
        elif scope["method"] not in ("GET", "HEAD"):
            await _refuse(scope, receive, send, 405)
        else:
            folder, name = path[1:].split("/", 1)
            answer = await self._image(name) if folder == "image" else self._file(name, scope)
            await answer(scope, receive, send)

    async def _image(self, name: str) -> Response:
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import Response

        content = self._kept.get(name)
        if content is None:
            # A slow disk must not hold up the event loop, on which all raters' messages run.
            content = await run_in_threadpool(self._read, name)
        if content is None:
            return Response(status_code=404, headers={"Cache-Control": "no-store"})
        # The bytes of a name never change; private keeps them out of caches that others share.
        headers = {"Cache-Control": "private, max-age=31536000, immutable"}
        return Response(content, media_type="image/png", headers=headers)

    def _read(self, name: str) -> bytes | None:
        path = (
            self._study().image_path(name.removesuffix(".png")) if name.endswith(".png") else None
        )
        try:
            length = self._study().longest_image + OVERHEAD
            content = None if path is None else padded(path.read_bytes(), length)
        except OSError:
            return None
        if content is not None:
            self._keep(name, content)
        return content

    def _keep(self, name: str, content: bytes) -> None:
        self._kept[name] = content
        self._room -= len(content)
        while self._room < 0 and len(self._kept) > 1:
            self._room += len(self._kept.pop(next(iter(self._kept))))

    def _file(self, name: str, scope: Scope) -> Response:
        from starlette.responses import Response

        if name not in self._page:
            return Response(status_code=404)
        # Page files change with a release, so browsers ask each time and mostly get a 304.
        headers = {"Cache-Control": "no-cache", "ETag": self._tags[name]}
        if (b"if-none-match", self._tags[name].encode()) in scope["headers"]:
            return Response(status_code=304, headers=headers)
        kind = "text/javascript" if name.endswith(".js") else mimetypes.guess_type(name)[0]
        if any(key == b"accept-encoding" and b"gzip" in value for key, value in scope["headers"]):
            headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
            return Response(self._small[name], media_type=kind, headers=headers)
        return Response(self._page[name], media_type=kind, headers=headers)


class _CarefulHeaders:
    """Adds the same headers to every response; messages of a window's socket have none."""

    def __init__(self, app: ASGIApp, said: dict[str, str]) -> None:
        self._app = app
        self._headers = [(name.lower().encode(), value.encode()) for name, value in said.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        await self._app(scope, receive, send_with_headers)


class _OpenPathsOnly:
    """Answers 404 to whatever the pages do not need: metrics, uploads, agents, other components."""

    def __init__(self, app: ASGIApp, *, login: bool) -> None:
        self._app = app
        self._open = OPEN_PATHS | LOGIN_PATHS if login else OPEN_PATHS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        is_open = scope["type"] == "lifespan" or path in self._open
        if is_open or (path.startswith(OPEN_FOLDERS) and ".." not in path):
            await self._app(scope, receive, send)
        else:
            await _refuse(scope, receive, send, 404)


class _PolitePace:
    """Limits how often one address asks, and how fast one window talks."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind, address = scope["type"], (scope.get("client") or ("unknown",))[0]
        if kind == "websocket":
            if not connections.allow(address):
                await _refuse(scope, receive, send, 429)
                return
            receive = _paced(receive)
        elif kind == "http" and not (
            scope["path"].startswith("/static/") or requests.allow(address)
        ):
            await _refuse(scope, receive, send, 429)
            return
        await self._app(scope, receive, send)


def _paced(receive: Receive) -> Receive:
    """The same messages, not faster than a person makes them: a flood waits in its own socket."""
    pace = RateLimit(MESSAGES_AT_ONCE, MESSAGES_PER_SECOND * 60, time.monotonic)

    async def receive_slowly() -> Message:
        message = await receive()
        while not pace.allow(""):
            await asyncio.sleep(1 / MESSAGES_PER_SECOND)
        return message

    return receive_slowly


class _Discreet:
    """Takes this machine's paths and versions out of what Streamlit tells each new window."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._mark = str(SCRIPT).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return

        async def send_discreetly(message: Message) -> None:
            # A search of bytes is cheap; most messages have no path and are not parsed.
            if self._mark in (message.get("bytes") or b""):
                message["bytes"] = discreet(message["bytes"])
            await send(message)

        await self._app(scope, receive, send_discreetly)


def discreet(content: bytes) -> bytes:
    """A message of Streamlit's without paths, versions and ids of this installation."""
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

    message = ForwardMsg.FromString(content)
    if message.WhichOneof("type") == "new_session":
        session = message.new_session
        session.main_script_path = ""
        session.initialize.user_info.Clear()
        session.initialize.environment_info.Clear()
    return message.SerializeToString()


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int) -> None:
    from starlette.responses import Response

    headers = {"Retry-After": "10"} if status == 429 else {}
    if scope["type"] == "http":
        await Response(status_code=status, headers=headers)(scope, receive, send)
    else:
        # Closed before it is accepted, so the server answers the handshake with 403.
        await send({"type": "websocket.close", "code": 1008})
