"""Serving the pages: Streamlit's app with a route for images beside it."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sqlalchemy.engine import URL

from .errors import ServerError, StudyUsageError
from .services import Study
from .settings import DATABASE_VARIABLE, url_from_environment

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Referrer-Policy": "no-referrer",  # a rater's address holds their token
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
}


@functools.cache
def current_study() -> Study:
    """The one study this process serves.

    Raises:
        StudyError: none was chosen, or its database can't be used.
    """
    return Study.open(url_from_environment(), writable=True)


def serve(
    url: URL,
    *,
    host: str = "127.0.0.1",
    port: int = 8501,
    public_url: str | None = None,
    announce: Callable[[str], object] = print,
) -> None:
    """Serve a study until interrupted.

    Args:
        url: the study's database.
        host: address to listen on.
        port: port to listen on; 0 for any free one.
        public_url: where raters reach it, when a proxy stands before it.
        announce: told the rater's address, then the owner's.

    Raises:
        DatabaseError: the database is missing, locked, foreign or out of reach.
        ServerError: the port is in use, or the address can't be listened on.
    """
    public_host = _public_host(public_url)
    with _listen(host, port) as listener:
        port = listener.getsockname()[1]
        os.environ[DATABASE_VARIABLE] = url.render_as_string(hide_password=False)
        os.environ["STREAMLIT_SERVER_PORT"] = str(port)
        os.environ["STREAMLIT_SERVER_ADDRESS"] = host
        os.environ["STREAMLIT_BROWSER_SERVER_ADDRESS"] = public_host or _browsable(host)
        study = current_study()
        address = (public_url or f"http://{_browsable(host)}:{port}").rstrip("/")
        announce(f"Raters: {address}/")
        announce(f"Owner:  {address}/owner")
        try:
            _run(listener)
        finally:
            study.close()
            current_study.cache_clear()


def _run(listener: socket.socket) -> None:
    """Answer requests until Ctrl-C."""
    import uvicorn

    config = uvicorn.Config(
        build_app(),
        log_level="error",
        access_log=False,
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=2**20,
        timeout_graceful_shutdown=1,
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])


def build_app() -> ASGIApp:
    """The ASGI app: Streamlit's pages, `/image/<name>.png`, careful headers."""
    import streamlit
    from starlette.middleware import Middleware
    from starlette.routing import Route

    return streamlit.App(
        Path(__file__).with_name("app.py"),
        routes=[Route("/image/{name}.png", _image)],
        middleware=[Middleware(_CarefulHeaders)],
    )


async def _image(request: Request) -> Response:
    """An image by its opaque name: unchanged bytes, and no date that could tell arms apart."""
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import Response

    path = current_study().image_path(request.path_params["name"])
    try:
        content = await run_in_threadpool(path.read_bytes) if path else None
    except OSError:
        content = None
    if content is None:
        return Response(status_code=404)
    headers = {"Cache-Control": "private, max-age=31536000, immutable"}
    return Response(content, media_type="image/png", headers=headers)


class _CarefulHeaders:
    """Adds `HEADERS` to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    *((name.lower().encode(), value.encode()) for name, value in HEADERS.items()),
                ]
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise StudyUsageError(f"Port {port} is not a port; expected 1 to 65535.")
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(512)
        return listener
    except OSError as error:
        if listener is not None:
            listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ServerError(
                f"Port {port} on {host} is in use by another program, perhaps by this study "
                f"served already. Stop that one, or choose another port: --port {port + 1}."
            ) from error
        raise ServerError(
            f"Could not listen on {host}, port {port}: {error.strerror}. Expected an address of "
            "this machine and a port above 1023; see --host and --port."
        ) from error


def _browsable(host: str) -> str:
    return "localhost" if host in ("0.0.0.0", "::", "") else host


def _public_host(public_url: str | None) -> str | None:
    if public_url is None:
        return None
    parts = urlsplit(public_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise StudyUsageError(
            f"--public-url {public_url!r} is not an address; expected https://study.example.org."
        )
    return parts.hostname
