"""Serving a study until it is stopped: the port, the names it answers to, uvicorn."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sqlalchemy.engine import URL

from study_app.errors import ServerError, StudyUsageError
from study_app.rating import Study
from study_app.store import DATABASE_VARIABLE, owner_emails, url_from_environment

from .hosts import EVERYWHERE, allowed_hosts, reachable_host
from .limits import LARGEST_MESSAGE, WAITING_CONNECTIONS

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from .web import RaterPage

_OPEN_NETWORK = (
    "Everybody in this network can open it, and what they send is not encrypted. It answers to "
    "this machine's addresses and name; for any other name, and for the internet, see --public-url."
)


@functools.cache
def current_study() -> Study:
    """The one study this process serves.

    Raises:
        StudyError: none was chosen, or its database can't be used.
    """
    return Study.open(url_from_environment(), writable=True)


def serve(
    url: URL,
    page: RaterPage,
    *,
    host: str = "127.0.0.1",
    port: int = 8501,
    public_url: str | None = None,
    announce: Callable[[str], object] = print,
) -> None:
    """Serve a study until interrupted.

    Args:
        url: the study's database.
        page: what raters see.
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
        os.environ["STREAMLIT_BROWSER_SERVER_ADDRESS"] = public_host or reachable_host(host)
        study = current_study()
        address = (public_url or f"http://{reachable_host(host)}:{port}").rstrip("/")
        announce(f"Raters: {address}/")
        announce(f"Owner:  {address}/owner")
        if public_url is None and host in EVERYWHERE:
            announce(_OPEN_NETWORK)
        try:
            _run(listener, page, allowed_hosts(host, public_host))
        finally:
            study.close()
            current_study.cache_clear()


def _run(listener: socket.socket, page: RaterPage, hosts: list[str]) -> None:
    """Answer requests until Ctrl-C."""
    import uvicorn

    from .tuning import settle, tune
    from .web import build_app

    tune()
    app = build_app(current_study, page, hosts, login=bool(owner_emails()))
    _warm(page)
    settle("rate")
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=LARGEST_MESSAGE,
        ws_per_message_deflate=False,  # a compressor takes 50 KB per window
        timeout_graceful_shutdown=1,
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])


def _warm(page: RaterPage) -> None:
    """Bring in what the first rater would wait for."""
    page.shell(current_study(), {})
    _ = current_study().longest_image


def guard(page: RaterPage, public_url: str) -> Callable[[ASGIApp], ASGIApp]:
    """Return what makes a study's pages of Streamlit's app, where others start the server.

    For hosts that run `streamlit run` themselves: the middleware of a `streamlit.App` of `SCRIPT`.
    The database is the one that the environment names.

    Args:
        page: what raters see.
        public_url: where raters reach it.
    """
    from .web import wrapped

    hosts = allowed_hosts("127.0.0.1", _public_host(public_url))
    _warm(page)
    login = bool(owner_emails())
    return lambda app: wrapped(app, current_study, page, hosts, login=login)


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
        listener.listen(WAITING_CONNECTIONS)
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


def _public_host(public_url: str | None) -> str | None:
    """The host as browsers name it: an IPv6 address in brackets."""
    if public_url is None:
        return None
    try:
        parts = urlsplit(public_url)
        host = parts.hostname if parts.scheme in ("http", "https") else None
    except ValueError:  # brackets that hold no address
        host = None
    if not host:
        raise StudyUsageError(
            f"--public-url {public_url!r} is not an address; expected https://study.example.org."
        )
    return f"[{host}]" if ":" in host else host
