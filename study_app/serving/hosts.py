"""The names a study answers to.

A page of somebody else's can have its own name resolve to this machine's address (DNS rebinding)
and then read what it finds there as if it were its own. So a study answers only to names that are
its own. Numeric addresses can't be taken over in that way: a browser that says one in `Host` went
there by it.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

EVERYWHERE = ("0.0.0.0", "::", "")
"""Hosts that listen on every network this machine is in."""

ADDRESSES = "*.*.*.*"
"""Stands for every numeric address in a list of names."""

_REFUSED = (
    "This study does not answer to the name in your browser's address bar. Open it by the address "
    "its owner was shown at the start. Owner: to serve it under this name, start it with "
    "--public-url and the whole address, such as http://lab.example.org:8501."
)


def allowed_hosts(host: str, public_host: str | None) -> list[str]:
    """Names this study answers to: this machine for itself, and its public name.

    One that listens everywhere and was given no public name answers to every numeric address and
    to this machine's own name, which is how a lab's network reaches it.

    Args:
        host: the address it listens on.
        public_host: the host of `--public-url`; None without one.
    """
    own = ["localhost", "127.0.0.1", "[::1]"]
    if public_host is not None:
        return [*own, public_host]
    if host in EVERYWHERE:
        name = socket.gethostname().lower()
        return [*own, ADDRESSES, name, f"{name.removesuffix('.local')}.local"]
    return [*own, f"[{host}]" if ":" in host else host]


def reachable_host(host: str) -> str:
    """The host to put in an address that others can open.

    For a study that listens everywhere: this machine's own address in the network by which it
    reaches others, or its name when it is in none.
    """
    if host not in EVERYWHERE:
        return f"[{host}]" if ":" in host else host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: only asks which way it would go
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


class KnownHosts:
    """Answers 400 to whoever asks for a name that is not this study's.

    Args:
        app: answers the others.
        hosts: names as `Host` headers say them, without port; `ADDRESSES` for any numeric one.
    """

    def __init__(self, app: ASGIApp, hosts: list[str]) -> None:
        self._app = app
        self._names = frozenset(host.lower() for host in hosts) - {ADDRESSES}
        self._addresses = ADDRESSES in hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] == "lifespan" or self._knows(_host(scope)):
            await self._app(scope, receive, send)
            return
        from starlette.responses import PlainTextResponse

        await PlainTextResponse(_REFUSED, status_code=400)(scope, receive, send)

    def _knows(self, name: str) -> bool:
        return name in self._names or (self._addresses and _is_address(name))


def _host(scope: Scope) -> str:
    """The `Host` header in lower case, without its port; empty when there is none or several."""
    named = [value for key, value in scope["headers"] if key == b"host"]
    if len(named) != 1:
        return ""
    host = named[0].decode("latin-1").lower()
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
