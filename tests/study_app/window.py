"""A rater's browser without the browser: what the page asks for, over a real connection.

It asks in the same order: where the rater stands, then one request for each event; and both images
of each next pair. The connection is kept alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

PATIENCE = 120.0  # seconds until a request counts as hung


@dataclass
class Window:
    """One browser window of a rater's.

    Args:
        address: where the study is served.
        query: of the address: what a link or the rater's own token says.
        fetch_images: load each pair's images as a browser would.
        cookie: sent with every request.
        host: what the `Host` header says; the address's by default.

    Attributes:
        page: what the window shows.
        status: of the last answer.
        answered_by: the process that answered last, where a proxy's test tells it.
        images_from: the processes that sent images, likewise.
    """

    address: str
    query: str
    fetch_images: bool = True
    cookie: str = ""
    host: str = ""
    page: dict[str, Any] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    status: int = 0
    answered_by: str = ""
    images_from: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        parts = urlsplit(self.address)
        self._host, self._port = str(parts.hostname), parts.port or 80
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._seen: set[str] = set()
        self._visit = secrets.token_hex(16)

    async def open(self) -> None:
        """Come, and go by whatever stands before the first pair."""
        await self.connect()
        await self.go_on()

    async def go_on(self) -> None:
        """Press the button of each page of text until there is a pair, or no button."""
        for _ in range(4):
            button = re.search(r"data-event='(\w+)'", self.page.get("html", ""))
            if button:
                await self.act(button[1])

    async def connect(self) -> None:
        """Open the page, and ask where the rater stands."""
        await self.act("look")

    async def answer(self, answer: str, seconds: float) -> float:
        """Answer the pair on the page; seconds until the next one was there."""
        start, pair = time.perf_counter(), self.page["pair"]
        sides = {"assignment": pair["id"], "again": pair["again"]}
        await self.act("answer", **sides, answer=answer, seconds=seconds)
        took = time.perf_counter() - start
        if self.page.get("notice"):
            self.notices.append(self.page["notice"])
        await self._load_images()
        return took

    async def act(self, kind: str, **details: Any) -> None:
        """Send an event, and show what is answered; a refusal changes nothing on the page."""
        asked = {"query": dict(parse_qsl(self.query)), "visit": self._visit}
        content = json.dumps(asked | {"event": {"kind": kind, **details}}).encode()
        head, body = await self._ask("POST", "/turn", content)
        self.status = int(head.split()[1])
        self.answered_by = next(iter(_answerers(head)[-1:]), "")
        if self.status == 200:
            self.page = json.loads(body)
            self.query = urlencode(self.page["query"])

    async def close(self) -> None:
        """Leave as a closed window does."""
        if self._stream:
            self._stream[1].close()
            with contextlib.suppress(OSError):
                await self._stream[1].wait_closed()
            self._stream = None

    async def __aenter__(self) -> Window:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _load_images(self) -> None:
        if not self.fetch_images:
            return
        for pair in (self.page.get("pair"), self.page.get("upcoming")):
            for name in (pair["left"], pair["right"]) if pair else ():
                if name not in self._seen:
                    self._seen.add(name)
                    head, _ = await self._ask("GET", f"/image/{name}.png")
                    if " 200 " not in head.split("\r\n")[0]:
                        raise RuntimeError(f"{name}: {head.splitlines()[0]}")
                    self.images_from |= set(_answerers(head)[-1:])

    async def _ask(self, method: str, path: str, content: bytes = b"") -> tuple[str, bytes]:
        """The head and the body of an answer."""
        host = self.host or f"{self._host}:{self._port}"
        request = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {self.cookie}\r\n"
        if content:
            request += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        for _ in range(2):  # a connection that was idle for long has been closed by the server
            if self._stream is None:
                self._stream = await asyncio.open_connection(self._host, self._port, limit=2**22)
            reader, writer = self._stream
            try:
                async with asyncio.timeout(PATIENCE):
                    writer.write(f"{request}\r\n".encode() + content)
                    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                    length = head.split("content-length: ")[1].split("\r\n")[0]
                    return head, await reader.readexactly(int(length))
            except (asyncio.IncompleteReadError, ConnectionError):
                self._stream = None
        raise RuntimeError(f"{path}: the server closed the connection twice")


def _answerers(head: str) -> list[str]:
    """The processes that were asked, the last of which answered."""
    found = re.findall(r"x-answered-by: (.+)", head)
    return [who.strip() for who in found[-1].split(",")] if found else []
