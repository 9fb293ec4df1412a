"""A rater's browser without the browser: Streamlit's messages over a real websocket.

It asks for what the page asks for, in the same order: a run of the script, then events, each
acknowledged before the next; and both images of each next pair, over a kept-alive connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

EVENTS = "$$STREAMLIT_INTERNAL_KEY_{}__events"  # the widget that carries a component's events
PATIENCE = 120.0  # seconds until a run counts as hung


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
        answered_by: the process that took the connection, where a proxy's test tells it.
        images_from: the processes that sent images, likewise.
    """

    address: str
    query: str
    fetch_images: bool = True
    cookie: str = ""
    host: str = ""
    page: dict[str, Any] = field(default_factory=dict)
    messages: list[bytes] = field(default_factory=list)  # the first ones, as they came
    notices: list[str] = field(default_factory=list)
    answered_by: str = ""
    images_from: set[str] = field(default_factory=set)

    async def open(self) -> None:
        """Connect, and go by whatever stands before the first pair."""
        await self.connect()
        await self.go_on()

    async def go_on(self) -> None:
        """Press the button of each page of text until there is a pair, or no button."""
        for _ in range(4):
            button = re.search(r"data-event='(\w+)'", self.page.get("html", ""))
            if button:
                await self.act(button[1])

    async def connect(self) -> None:
        """Connect and wait for the first page."""
        parts = urlsplit(self.address)
        self._host, self._port = str(parts.hostname), parts.port or 80
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._seen: set[str] = set()
        self._numbers = itertools.count()
        self._inbox, self._fragment, self._hash = "", "", ""
        headers = {"Cookie": self.cookie} if self.cookie else {}
        self._socket: ClientConnection = await connect(
            f"ws://{self.host or self._host}:{self._port}/_stcore/stream",
            host=self._host,
            port=self._port,
            subprotocols=["streamlit"],  # pyright: ignore[reportArgumentType]
            additional_headers=headers,
            max_size=None,
            compression="deflate",  # browsers offer it
            ping_interval=None,
            open_timeout=PATIENCE,
        )
        if self._socket.response is not None:
            asked = self._socket.response.headers.get("X-Answered-By", "")
            self.answered_by = asked.split(", ")[-1]  # the last that was asked did answer
        await self._run(None, None)

    async def answer(self, answer: str, seconds: float) -> float:
        """Answer the pair on the page; seconds until the next one was there."""
        start = time.perf_counter()
        await self.act("answer", assignment=self.page["pair"]["id"], answer=answer, seconds=seconds)
        took = time.perf_counter() - start
        if self.page.get("notice"):
            self.notices.append(self.page["notice"])
        await self._load_images()
        return took

    async def act(self, kind: str, **details: Any) -> None:
        """Send an event, and wait until it is acknowledged."""
        event = {"id": f"e{next(self._numbers)}", "kind": kind, **details}
        await self._run(event, event["id"])

    async def close(self) -> None:
        """Leave as a closed window does."""
        await self._socket.close()
        if self._stream:
            self._stream[1].close()
            with contextlib.suppress(OSError):
                await self._stream[1].wait_closed()

    async def __aenter__(self) -> Window:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(self, event: dict[str, Any] | None, ack: str | None) -> None:
        message = BackMsg()
        state = message.rerun_script
        state.query_string = self.query
        state.page_script_hash = self._hash
        if event is not None:
            state.fragment_id = self._fragment
            widget = state.widget_states.widgets.add()
            widget.id = EVENTS.format(self._inbox)
            widget.json_trigger_value = json.dumps([{"event": "event", "value": event}])
        await self._socket.send(message.SerializeToString())
        async with asyncio.timeout(PATIENCE):
            while not self._arrived(await self._socket.recv(), ack):
                pass

    def _arrived(self, content: str | bytes, ack: str | None) -> bool:
        """Whether this message brings the page that answers `ack`."""
        assert isinstance(content, bytes)
        if len(self.messages) < 20:
            self.messages.append(content)
        message = ForwardMsg.FromString(content)
        kind = message.WhichOneof("type")
        if kind == "page_info_changed":
            self.query = message.page_info_changed.query_string
        if kind == "new_session":
            self._hash = message.new_session.page_script_hash
        if kind != "delta" or not message.delta.new_element.HasField("bidi_component"):
            return False
        component = message.delta.new_element.bidi_component
        if component.component_name == "glide_eval_inbox":
            self._inbox, self._fragment = component.id, message.delta.fragment_id
            return False
        self.page = json.loads(component.bytes)
        return self.page["ack"] == ack

    async def _load_images(self) -> None:
        if not self.fetch_images:
            return
        for pair in (self.page.get("pair"), self.page.get("upcoming")):
            for name in (pair["left"], pair["right"]) if pair else ():
                if name not in self._seen:
                    self._seen.add(name)
                    await self._get(f"/image/{name}.png")

    async def _get(self, path: str) -> None:
        request = f"GET {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
        for _ in range(2):  # a connection that was idle for long has been closed by the server
            if self._stream is None:
                self._stream = await asyncio.open_connection(self._host, self._port, limit=2**22)
            reader, writer = self._stream
            try:
                writer.write(f"{request}Cookie: {self.cookie}\r\n\r\n".encode())
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            except (asyncio.IncompleteReadError, ConnectionError):
                self._stream = None
                continue
            await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
            if " 200 " not in head.split("\r\n")[0]:
                raise RuntimeError(f"{path}: {head.splitlines()[0]}")
            self.images_from |= set(re.findall(r"x-answered-by: (\S+)", head))
            return
        raise RuntimeError(f"{path}: the server closed the connection twice")
